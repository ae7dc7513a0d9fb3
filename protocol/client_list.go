package protocol

import "context"

// List returns one page of tickets. p.Site, where empty, is the client's.
func (c *Client) List(ctx context.Context, p ListParams) (ListResult, error) {
	var r ListResult
	if p.Site == "" {
		p.Site = c.Site
	}
	err := c.call(ctx, MethodList, &p, &r, nil)
	return r, err
}

// Count returns how many tickets a selection has.
func (c *Client) Count(ctx context.Context, s Selection) (CountResult, error) {
	var r CountResult
	err := c.call(ctx, MethodCount, &CountParams{Target: c.target(), Selection: s}, &r, nil)
	return r, err
}

// CountBy returns how many tickets of a selection there are for each value of a field.
func (c *Client) CountBy(ctx context.Context, s Selection, field string) (CountResult, error) {
	var r CountResult
	err := c.call(ctx, MethodCount, &CountParams{Target: c.target(), Selection: s, By: field}, &r, nil)
	return r, err
}

// DeadList returns up to limit dead letters of tickets above after, by ticket id; 0 for both is the first
// [DefaultLimit].
func (c *Client) DeadList(ctx context.Context, after int64, limit int) ([]Letter, error) {
	var r DeadListResult
	err := c.call(ctx, MethodDeadList, &DeadListParams{Target: c.target(), After: after, Limit: limit}, &r, nil)
	return r.Letters, err
}

// DeadRetry puts dead letters back into the queue, all where ids is nil, and returns how many there were.
func (c *Client) DeadRetry(ctx context.Context, ids []int64) (int64, error) {
	return c.dead(ctx, MethodDeadRetry, ids)
}

// DeadDrop gives up the changes that MySQL refuses, all where ids is nil, and returns how many tickets had any.
func (c *Client) DeadDrop(ctx context.Context, ids []int64) (int64, error) {
	return c.dead(ctx, MethodDeadDrop, ids)
}

func (c *Client) dead(ctx context.Context, m Method, ids []int64) (int64, error) {
	var r CountResult
	err := c.call(ctx, m, &DeadParams{Target: c.target(), IDs: ids, All: ids == nil}, &r, nil)
	return r.Count, err
}
