package protocol

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// ErrBroken is wrapped by every error after which the connection is closed: the call may or may not have been done. Every later
// call of a client from [Dial] fails, one from [Open] connects again. Repeat a change only under the same request id.
var ErrBroken = errors.New("connection to ticketd broken")

// Client is a connection to a daemon, for one goroutine at a time.
//
// The deadline of a call's context bounds the whole call: writing, waiting and all reads. Each request tells the daemon the
// time left, so that the daemon answers before the deadline. Any unexpected event closes the connection for good, so that a
// call never receives the reply to a different call. An *[Error] from the daemon leaves the connection open unless Closing is
// set.
type Client struct {
	// Site is sent with every call; empty if the caller may use exactly one site, or if Table identifies the site.
	Site string
	// Table is the caller's name for the table, sent with every call; see [Target]. Empty compares nothing.
	Table string
	// Remember and Ack are the defaults of every change; see [Change]. Remember is only sent with a request id.
	Remember time.Duration
	Ack      Ack

	path   string // of a client that connects by itself; empty after Dial
	closed bool
	conn   net.Conn
	r      *bufio.Reader
	enc    Encoder
	buf    []byte
	lastID uint32
	broken error
}

// Dial connects to the socket at path, within ctx's deadline. The client is for one connection, as a command needs it: when the
// connection has ended, every call fails. A service that runs on uses [Open].
func Dial(ctx context.Context, path string) (*Client, error) {
	c := &Client{}
	if err := c.dial(ctx, path); err != nil {
		return nil, err
	}
	return c, nil
}

// Open returns a client that connects to the socket at path by itself: at the first call, and at the first call after the
// connection has ended, because the daemon closed an idle connection or was restarted, or because a call failed with
// [ErrBroken]. Close ends the client.
//
// A connection that ends during a call leaves open whether the call was done. The client then makes the call once more where two
// calls have the effect of one: reads, flushes, and changes with a request id. Give changes a request id: without one, such a
// change fails with ErrBroken. A call that the daemon answers is never repeated, nor one whose context has ended.
//
// Like every [Client] it is for one goroutine at a time: a server that calls from many keeps several, for instance in a
// [sync.Pool] whose clients live as long as the process.
func Open(path string) *Client { return &Client{path: path} }

func (c *Client) dial(ctx context.Context, path string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err != nil {
		return fmt.Errorf("connect to ticketd: %w", err)
	}
	c.conn, c.r, c.broken = conn, bufio.NewReader(conn), nil
	return nil
}

// Close closes the connection and ends the client. Further calls of Close do nothing.
func (c *Client) Close() error {
	c.closed = true
	if c.broken != nil {
		return nil //nolint:nilerr // the connection is closed already, for any reason
	}
	if c.conn == nil { // of Open, before the first call
		c.broken = fmt.Errorf("%w: closed by the caller", ErrBroken)
		return nil
	}
	c.broken = fmt.Errorf("%w: closed by the caller", ErrBroken)
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

// complete fills the empty parameters of a change with the client's defaults.
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

// Set merges fields into a ticket and returns the ticket's revision. An empty p.Site means the client's.
func (c *Client) Set(ctx context.Context, p SetParams) (int64, error) {
	var r RevisionResult
	c.complete(&p.Change)
	err := c.call(ctx, MethodSet, &p, &r, nil)
	return r.Revision, err
}

// SetMany merges fields into up to [MaxTickets] tickets and returns one outcome per ticket, in the order of tickets.
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

// Check judges up to [MaxTickets] changes without making any, and returns one outcome per entry, in the order of entries.
func (c *Client) Check(ctx context.Context, entries []CheckEntry) ([]CheckOutcome, error) {
	var r CheckResult
	err := c.call(ctx, MethodCheck, &CheckParams{Target: c.target(), Entries: entries}, &r, nil)
	if err == nil && len(r.Outcomes) != len(entries) {
		return nil, c.fail(fmt.Errorf("%w: %d outcomes for %d entries", errShape, len(r.Outcomes), len(entries)))
	}
	return r.Outcomes, err
}

// Get returns a ticket with all fields.
func (c *Client) Get(ctx context.Context, id int64) (Ticket, error) {
	var r Ticket
	err := c.call(ctx, MethodGet, &GetParams{Target: c.target(), ID: id}, &r, nil)
	return r, err
}

// GetMany returns up to [MaxTickets] tickets in the order of ids, nil for a ticket that does not exist.
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

// Flush flushes the tickets ids, or every dirty ticket if ids is nil, and returns after MySQL has the changes. progress may
// be nil; Flush calls progress on the caller's goroutine.
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

// Waiting returns the changes of up to [MaxTickets] tickets that MySQL does not have yet, in the order of ids, nil for a ticket
// without any. Rows that are read from MySQL after the answer, with these changes laid over them, are the tickets.
func (c *Client) Waiting(ctx context.Context, ids []int64) (WaitingResult, error) {
	var r WaitingResult
	err := c.call(ctx, MethodWaiting, &WaitingParams{GetManyParams{Target: c.target(), IDs: ids}}, &r, nil)
	if err == nil && len(r.Tickets) != len(ids) {
		return WaitingResult{}, c.fail(fmt.Errorf("%w: %d tickets for %d ids", errShape, len(r.Tickets), len(ids)))
	}
	return r, err
}

// Describe asks in which tables the tickets of the site are, and which fields they have.
func (c *Client) Describe(ctx context.Context) (DescribeResult, error) {
	var r DescribeResult
	err := c.call(ctx, MethodDescribe, &SiteParams{Target: c.target()}, &r, nil)
	return r, err
}

func (c *Client) call(ctx context.Context, m Method, p Params, r Result, progress func(done, total int64)) error {
	if err := c.connected(ctx); err != nil {
		return fmt.Errorf("%s: %w", m, err)
	}
	if !c.repeats(p) {
		return c.attempt(ctx, m, p, r, progress)
	}
	given := timeout(p)
	err := c.attempt(ctx, m, p, r, progress)
	if isLost(err) && c.connected(ctx) == nil {
		setTimeout(p, given)
		err = c.attempt(ctx, m, p, r, progress)
	}
	return err
}

// attempt makes a call over the open connection.
func (c *Client) attempt(ctx context.Context, m Method, p Params, r Result, progress func(done, total int64)) error {
	if timed, may := p.(interface{ wait(timeout time.Duration) }); may {
		timed.wait(left(ctx))
	}
	id := c.nextID()
	frame, err := c.enc.Request(id, m, p)
	if err != nil {
		return fmt.Errorf("%s: %w", m, err) // nothing was sent: the connection stays usable
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

func (t *Timed) wait(timeout time.Duration) {
	if t.Timeout == 0 {
		t.Timeout = min(max(timeout, time.Millisecond), MaxTimeout)
	}
}

// left is how long the caller waits.
func left(ctx context.Context) time.Duration {
	if deadline, bounded := ctx.Deadline(); bounded {
		return time.Until(deadline)
	}
	return MaxTimeout
}

// exchange sends a request and waits for the reply until ctx ends. After the end of ctx the error is that of ctx.
func (c *Client) exchange(
	ctx context.Context, id uint32, frame []byte, progress func(done, total int64),
) (*Reply, error) {
	stop, err := c.bound(ctx)
	if err != nil {
		return nil, err
	}
	_, writeErr := c.conn.Write(frame)
	// The daemon may have said why it closed before it read the whole frame, so read the reply even after a failed write.
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
	if c.lastID == 0 { // the daemon answers with id 0 if the request could not be understood
		c.lastID = 1
	}
	return c.lastID
}

// bound makes every read and write of a call end with ctx. stop takes that back; a connection that ctx's end has
// interrupted already is not to be used again, which stop says with an error.
func (c *Client) bound(ctx context.Context) (stop func() error, err error) {
	conn := c.conn                // a late interruption must not meet the connection of the next call
	deadline, _ := ctx.Deadline() // the zero time means no deadline
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	cancel := context.AfterFunc(ctx, func() {
		_ = conn.SetDeadline(time.Unix(1, 0)) // a time in the past interrupts a blocked read or write
	})
	return func() error {
		if !cancel() {
			return context.Cause(ctx)
		}
		return nil
	}, nil
}

// await reads up to the reply with this id and passes progress to the callback.
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
				return nil, fmt.Errorf("%w: unrequested progress", errShape)
			}
			progress(p.Done, p.Total)
			continue
		}
		reply := answer.Reply
		if reply.ID == 0 && reply.Err != nil {
			reply.Err.Closing = true // the error may concern another frame: replies can no longer be matched to requests
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
		_ = c.conn.Close() // the caller must know the cause, not the error of Close
	}
	return c.broken
}

// List returns a page of tickets. An empty p.Site means the client's.
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

// CountBy counts the tickets of a selection for each value of a field.
func (c *Client) CountBy(ctx context.Context, s Selection, field string) (CountResult, error) {
	var r CountResult
	err := c.call(ctx, MethodCount, &CountParams{Target: c.target(), Selection: s, By: field}, &r, nil)
	return r, err
}

// DeadList returns up to limit dead letters of tickets above after, by ticket id; 0 for after and limit returns the first
// [DefaultLimit].
func (c *Client) DeadList(ctx context.Context, after int64, limit int) ([]Letter, error) {
	var r DeadListResult
	err := c.call(ctx, MethodDeadList, &DeadListParams{Target: c.target(), After: after, Limit: limit}, &r, nil)
	return r.Letters, err
}

// DeadRetry puts dead letters back into the queue, all if ids is nil, and returns the number of dead letters.
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

var errEnded = errors.New("the daemon closed the connection between two calls")

// connected makes sure that there is a connection for a call, as far as one can know before the call.
func (c *Client) connected(ctx context.Context) error {
	switch {
	case c.path == "" || c.closed:
		return c.broken
	case c.conn == nil:
	case c.broken != nil:
	case c.r.Buffered() > 0 || hasEnded(c.conn):
		_ = c.fail(errEnded)
	default:
		return nil
	}
	return c.dial(ctx, c.path)
}

// hasEnded says that the daemon has closed the connection, or has sent bytes without a request.
func hasEnded(conn net.Conn) bool {
	unix, is := conn.(*net.UnixConn)
	if !is {
		return false
	}
	raw, err := unix.SyscallConn()
	if err != nil {
		return true
	}
	ended := true
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		ended = !errors.Is(err, syscall.EAGAIN)
	})
	return ended || err != nil
}

// repeats says that the client may make a call twice.
func (c *Client) repeats(p Params) bool {
	change, is := p.(interface{ AsChange() *Change })
	return c.path != "" && (!is || change.AsChange().RequestID != "")
}

// isLost says that the connection ended before the answer.
func isLost(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// timeout is the time-out that the caller has set in the parameters.
func timeout(p Params) time.Duration {
	if t, is := p.(interface{ timed() *Timed }); is {
		return t.timed().Timeout
	}
	return 0
}

func setTimeout(p Params, timeout time.Duration) {
	if t, is := p.(interface{ timed() *Timed }); is {
		t.timed().Timeout = timeout
	}
}

func (t *Timed) timed() *Timed { return t }
