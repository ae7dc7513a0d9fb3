package protocol

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// ErrBroken is wrapped by every error after which the connection is closed: the call may or may not have been done,
// and every later call of this client fails. Dial again; repeat a change only under the same request id.
var ErrBroken = errors.New("connection to ticketd broken")

// Client is one connection to a daemon, for one goroutine at a time.
//
// A call ends at its context's deadline, the whole of it: writing, waiting and all reads. The daemon learns how long that is, so
// that it answers before. Anything unexpected closes the connection for good, so that no call can ever be given another one's
// reply. An *[Error] from the daemon leaves the connection open unless it says Closing.
type Client struct {
	// Site is sent with every call; empty where the caller may use exactly one, or Table says which.
	Site string
	// Table is sent with every call, too: what the caller calls its table, see [Target]. Empty compares nothing.
	Table string
	// Remember and Ack are sent with every change that says nothing of its own; see [Change]. Remember only goes
	// with a request id.
	Remember time.Duration
	Ack      Ack

	conn   net.Conn
	r      *bufio.Reader
	enc    Encoder
	buf    []byte
	lastID uint32
	broken error
}

// Dial connects to the socket at path, within ctx's deadline.
func Dial(ctx context.Context, path string) (*Client, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to ticketd: %w", err)
	}
	return &Client{conn: conn, r: bufio.NewReader(conn)}, nil
}

// Close closes the connection. It may be called again.
func (c *Client) Close() error {
	if c.broken != nil {
		return nil //nolint:nilerr // it is closed already, whatever the reason
	}
	c.broken = fmt.Errorf("%w: it was closed", ErrBroken)
	if err := c.conn.Close(); err != nil {
		return fmt.Errorf("close connection to ticketd: %w", err)
	}
	return nil
}

// Ping asks for the daemon's version.
func (c *Client) Ping(ctx context.Context) (PingResult, error) {
	var r PingResult
	err := c.call(ctx, MethodPing, &SiteParams{Target: c.target()}, &r, nil)
	return r, err
}

// Create makes a ticket. With a request id the call may be repeated within a day and answers the same ticket.
func (c *Client) Create(ctx context.Context, fields []Field, requestID string) (CreateResult, error) {
	return c.CreateWith(ctx, CreateParams{Change: Change{RequestID: requestID}, Fields: fields})
}

// CreateWith is Create with all parameters. p.Site, where empty, is the client's.
func (c *Client) CreateWith(ctx context.Context, p CreateParams) (CreateResult, error) {
	var r CreateResult
	c.complete(&p.Change)
	err := c.call(ctx, MethodCreate, &p, &r, nil)
	return r, err
}

func (c *Client) target() Target { return Target{Site: c.Site, Table: c.Table} }

// complete gives a change what the client has for all of them, where it has nothing of its own.
func (c *Client) complete(p *Change) {
	if p.Site == "" {
		p.Site = c.Site
	}
	if p.Table == "" {
		p.Table = c.Table
	}
	if p.Remember == 0 && p.RequestID != "" {
		p.Remember = c.Remember
	}
	if p.Ack == "" {
		p.Ack = c.Ack
	}
}

// Set merges fields into a ticket and returns its revision. p.Site, where empty, is the client's.
func (c *Client) Set(ctx context.Context, p SetParams) (int64, error) {
	var r RevisionResult
	c.complete(&p.Change)
	err := c.call(ctx, MethodSet, &p, &r, nil)
	return r.Revision, err
}

// SetMany merges fields into up to [MaxTickets] tickets and returns one outcome per ticket, in their order.
func (c *Client) SetMany(ctx context.Context, tickets []TicketFields, requestID string) ([]SetOutcome, error) {
	var r SetManyResult
	p := SetManyParams{Change: Change{RequestID: requestID}, Tickets: tickets}
	c.complete(&p.Change)
	err := c.call(ctx, MethodSetMany, &p, &r, nil)
	if err == nil && len(r.Outcomes) != len(tickets) {
		return nil, c.fail(fmt.Errorf("%w: %d outcomes for %d tickets", errShape, len(r.Outcomes), len(tickets)))
	}
	return r.Outcomes, err
}

// Get returns a ticket with all of its fields.
func (c *Client) Get(ctx context.Context, id int64) (Ticket, error) {
	var r Ticket
	err := c.call(ctx, MethodGet, &GetParams{Target: c.target(), ID: id}, &r, nil)
	return r, err
}

// GetMany returns up to [MaxTickets] tickets, in the order of their ids; nil where there is none.
func (c *Client) GetMany(ctx context.Context, ids []int64) (GetManyResult, error) {
	var r GetManyResult
	err := c.call(ctx, MethodGetMany, &GetManyParams{Target: c.target(), IDs: ids}, &r, nil)
	if err == nil && len(r.Tickets) != len(ids) {
		return GetManyResult{}, c.fail(fmt.Errorf("%w: %d tickets for %d ids", errShape, len(r.Tickets), len(ids)))
	}
	return r, err
}

// Delete deletes a ticket and returns the revision of the deletion.
func (c *Client) Delete(ctx context.Context, id int64, requestID string) (int64, error) {
	var r RevisionResult
	p := DeleteParams{Change: Change{RequestID: requestID}, ID: id}
	c.complete(&p.Change)
	err := c.call(ctx, MethodDelete, &p, &r, nil)
	return r.Revision, err
}

// Flush brings the given tickets, or every dirty one where ids is nil, to MySQL and returns when they are there.
// progress may be nil; it is called on the caller's goroutine.
func (c *Client) Flush(ctx context.Context, ids []int64, progress func(done, total int64)) (FlushResult, error) {
	var r FlushResult
	if progress == nil {
		progress = func(_, _ int64) {}
	}
	p := &FlushParams{Target: c.target(), IDs: ids, All: ids == nil}
	err := c.call(ctx, MethodFlush, p, &r, progress)
	return r, err
}

// Status asks how the daemon and the site are.
func (c *Client) Status(ctx context.Context) (StatusResult, error) {
	var r StatusResult
	err := c.call(ctx, MethodStatus, &SiteParams{Target: c.target()}, &r, nil)
	return r, err
}

func (c *Client) call(ctx context.Context, m Method, p Params, r Result, progress func(done, total int64)) error {
	if c.broken != nil {
		return fmt.Errorf("%s: %w", m, c.broken)
	}
	if timed, may := p.(interface{ wait(timeout time.Duration) }); may {
		timed.wait(left(ctx))
	}
	id := c.nextID()
	frame, err := c.enc.Request(id, m, p)
	if err != nil {
		return fmt.Errorf("%s: %w", m, err) // nothing was sent: the connection is as it was
	}
	reply, err := c.exchange(ctx, id, frame, progress)
	if err != nil {
		return fmt.Errorf("%s: %w", m, c.fail(err))
	}
	if reply.Err != nil {
		if reply.Err.Closing {
			_ = c.fail(reply.Err)
		}
		return fmt.Errorf("%s: %w", m, reply.Err)
	}
	if err := r.Decode(reply.Result); err != nil {
		return fmt.Errorf("%s: %w", m, c.fail(err))
	}
	return nil
}

// left is how long the caller waits.
func left(ctx context.Context) time.Duration {
	if deadline, bounded := ctx.Deadline(); bounded {
		return time.Until(deadline)
	}
	return MaxTimeout
}

// exchange sends a request and waits for its reply, until ctx ends. A context's end is the error whatever it
// interrupted.
func (c *Client) exchange(
	ctx context.Context, id uint32, frame []byte, progress func(done, total int64),
) (*Reply, error) {
	stop, err := c.bound(ctx)
	if err != nil {
		return nil, err
	}
	_, writeErr := c.conn.Write(frame)
	// The daemon may have said why it closed before it read all, so its word is looked for even after a failed write.
	reply, err := c.await(id, progress)
	if err != nil && writeErr != nil {
		err = writeErr
	}
	interrupted := stop()
	switch {
	case err == nil:
		return reply, interrupted
	case interrupted != nil:
		return nil, interrupted
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, context.DeadlineExceeded // the socket's clock was a little ahead of the context's
	default:
		return nil, err
	}
}

func (c *Client) nextID() uint32 {
	c.lastID++
	if c.lastID == 0 { // 0 is the daemon's, for errors about nothing that was understood
		c.lastID = 1
	}
	return c.lastID
}

// bound makes every read and write of a call end with ctx. stop takes that back; a connection that ctx's end has
// interrupted already is not to be used again, which stop says with an error.
func (c *Client) bound(ctx context.Context) (stop func() error, err error) {
	deadline, _ := ctx.Deadline() // the zero time means none
	if err := c.conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	cancel := context.AfterFunc(ctx, func() {
		_ = c.conn.SetDeadline(time.Unix(1, 0)) // long past: interrupts what is blocked
	})
	return func() error {
		if !cancel() {
			return context.Cause(ctx)
		}
		return nil
	}, nil
}

// await reads up to the reply with this id, handing on the progress before it.
func (c *Client) await(id uint32, progress func(done, total int64)) (*Reply, error) {
	for {
		payload, err := ReadFrame(c.r, c.buf)
		c.buf = payload
		if err != nil {
			return nil, err
		}
		answer, err := DecodeAnswer(payload)
		if err != nil {
			return nil, err
		}
		if p := answer.Progress; p != nil {
			if p.ID != id || progress == nil {
				return nil, fmt.Errorf("%w: progress that nobody asked for", errShape)
			}
			progress(p.Done, p.Total)
			continue
		}
		reply := answer.Reply
		if reply.ID == 0 && reply.Err != nil {
			reply.Err.Closing = true // it may concern another frame than ours: nothing more can be told apart
			return reply, nil        //nolint:nilerr // the daemon's error is the reply
		}
		if reply.ID != id {
			return nil, fmt.Errorf("%w: a reply to request %d instead of %d", errShape, reply.ID, id)
		}
		return reply, nil
	}
}

// fail closes the connection for good and returns the error that all later calls will get.
func (c *Client) fail(cause error) error {
	if c.broken == nil {
		c.broken = fmt.Errorf("%w: %w", ErrBroken, cause)
		_ = c.conn.Close() // the cause is what the caller must know
	}
	return c.broken
}
