package protocol

import (
	"context"
	"time"
)

// History returns changes of a ticket, newest first. p needs no target.
func (c *Client) History(ctx context.Context, p HistoryParams) (HistoryResult, error) {
	var r HistoryResult
	p.Target = c.target()
	err := c.call(ctx, MethodHistory, &p, &r, nil)
	return r, err
}

// EraseHistory removes the values of up to [MaxTickets] tickets from the history and from the feed, and returns the number of
// changes that had values.
func (c *Client) EraseHistory(ctx context.Context, ids []int64) (int64, error) {
	var r CountResult
	err := c.call(ctx, MethodEraseHistory, &EraseHistoryParams{Target: c.target(), IDs: ids}, &r, nil)
	return r.Count, err
}

// FeedStatus asks how the feed, its destinations and the history are.
func (c *Client) FeedStatus(ctx context.Context) (FeedStatusResult, error) {
	var r FeedStatusResult
	err := c.call(ctx, MethodFeedStatus, &SiteParams{Target: c.target()}, &r, nil)
	return r, err
}

// FeedControl operates a destination. to is for [FeedRewind] alone.
func (c *Client) FeedControl(ctx context.Context, name string, action FeedAction, to time.Time) error {
	p := &FeedControlParams{Target: c.target(), Name: name, Action: action, To: to}
	return c.call(ctx, MethodFeedControl, p, &FeedControlResult{}, nil)
}

// FeedDeadList returns letters of a destination behind a key; limit 0 stands for [DefaultLimit].
func (c *Client) FeedDeadList(ctx context.Context, name string, after int64, limit int) ([]FeedLetter, error) {
	var r FeedDeadListResult
	p := &FeedDeadListParams{Target: c.target(), Name: name, After: after, Limit: limit}
	err := c.call(ctx, MethodFeedDeadList, p, &r, nil)
	return r.Letters, err
}

// FeedDeadRetry has the events of dead letters, or of all dead letters if keys is nil, tried again, and returns their number.
func (c *Client) FeedDeadRetry(ctx context.Context, name string, keys []int64) (int64, error) {
	var r CountResult
	p := &FeedDeadParams{Target: c.target(), Name: name, IDs: keys, All: keys == nil}
	err := c.call(ctx, MethodFeedDeadRetry, p, &r, nil)
	return r.Count, err
}

// FeedDeadDrop removes letters, or all dead letters if keys is nil, and returns their number.
func (c *Client) FeedDeadDrop(ctx context.Context, name string, keys []int64) (int64, error) {
	var r CountResult
	p := &FeedDeadParams{Target: c.target(), Name: name, IDs: keys, All: keys == nil}
	err := c.call(ctx, MethodFeedDeadDrop, p, &r, nil)
	return r.Count, err
}
