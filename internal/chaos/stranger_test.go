package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/protocol"
)

// stranger is a user on a host who ignores the ownership of ids, tickets and request ids: the stranger types ids in, adds
// rows in SQL, leaves files in the spool, changes tickets deleted long ago, and uses request ids twice.
type stranger struct {
	client

	calls    *goCaller
	poisoned []made // tickets with a change that MySQL refuses
}

const (
	// reach is how far around the newest ids a stranger types ids in: into leased blocks, and into the next blocks.
	reach = 60
	// forgotten is the time after which a stranger changes a deleted ticket: the store has dropped its copy by then.
	forgotten = 3 * time.Second
	// established is the age of a ticket whose id a stranger puts into a spooled create: a daemon takes a younger ticket for the
	// create's own, changed by other clients before the create arrived.
	established = 12 * time.Second
	// poison begins the values of category that MySQL refuses without ticketd knowing; see migrate.
	poison = "dead-"
)

func newStranger(w *workload, h *host) *stranger {
	calls := &goCaller{host: h}
	return &stranger{calls: calls, client: client{
		w: w, host: h, by: calls, slot: 0,
		r: rand.New(rand.NewPCG(uint64(w.seed), 2<<32|uint64(w.site.number)<<8|uint64(h.number))),
	}}
}

func (s *stranger) run(ctx context.Context) {
	defer s.calls.close()
	s.number = s.w.site.rec.client()
	for ctx.Err() == nil {
		op, do := s.next()
		op.Call = s.w.site.rec.now()
		do(context.WithoutCancel(ctx), op)
		op.Return = s.w.site.rec.now()
		s.w.site.rec.op(op)
		s.learn(op)
		select {
		case <-ctx.Done():
		case <-time.After(20*time.Millisecond + time.Duration(s.r.Int64N(int64(40*time.Millisecond)))):
		}
	}
}

// learn keeps the results that later operations need.
func (s *stranger) learn(op *history.Op) {
	if op.Outcome == history.Unknown {
		s.number = s.w.site.rec.client()
	}
	if op.Outcome != history.Done || op.Reused {
		return
	}
	if category := op.Fields["category"]; category != nil && strings.HasPrefix(*category, poison) {
		s.poisoned = append(s.poisoned, made{op.Ticket, op.Host, op.Return})
	}
	if op.Kind == history.Create || op.Kind == history.Set || op.Kind == history.Delete {
		s.w.learn(op)
	}
}

// act makes an operation and records its outcome, if known.
type act func(ctx context.Context, op *history.Op)

// next draws an operation.
func (s *stranger) next() (*history.Op, act) {
	s.n++
	op := &history.Op{
		Client: s.number, Host: s.host.number, Via: "stranger", Tries: 1, Fields: s.fields(),
		Request: fmt.Sprintf("r%d-%d", s.number, s.n),
	}
	what, near := s.r.IntN(100), s.near()
	switch {
	case what < 16:
		op.Kind, op.Ticket, op.MustExist = history.Set, near, what%2 == 0
	case what < 30:
		op.Kind, op.Named, op.Tries = history.Create, near, 3
		op.Ticket = near
	case what < 36:
		return op, s.inSpool(op, near)
	case what < 52:
		op.Kind, op.Ticket, op.Request = history.Insert, near, ""
		delete(op.Fields, "extra_a")
		if op.Auto = s.w.site.adopted && what%2 == 0; op.Auto {
			op.Ticket = 0
		}
		return op, s.insert
	case what < 64:
		if old := s.old(); old != 0 {
			op.Kind, op.Ticket = history.Set, old
			break
		}
		op.Kind, op.Ticket = history.Get, near
	case what < 76:
		return op, s.refuses(op)
	case what < 88:
		if s.again(op, what < 82) {
			break
		}
		fallthrough
	default:
		op.Kind, op.Ticket, op.Fields, op.Request = history.Get, near, nil, ""
	}
	return op, s.calls.call
}

// near is an id around the newest that were given.
func (s *stranger) near() int64 {
	by := s.r.Int64N(reach)
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	newest := int64(0)
	for _, one := range s.w.created {
		if one.host == s.host.number {
			newest = max(newest, one.id)
		}
	}
	return max(1, newest+by-5)
}

// old is a ticket deleted so long ago that stores have dropped it; 0 without such a ticket.
func (s *stranger) old() int64 {
	at := s.r.IntN(createdKept)
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	var old []made
	for _, one := range s.w.deleted {
		if one.host == s.host.number && one.at+forgotten < s.w.site.rec.now() {
			old = append(old, one)
		}
	}
	if len(old) == 0 {
		return 0
	}
	return old[at%len(old)].id
}

// refuses writes a value that MySQL refuses to a created ticket, or deletes such a ticket if it is a dead letter.
func (s *stranger) refuses(op *history.Op) act {
	at := s.r.IntN(createdKept)
	if len(s.poisoned) > 0 && s.poisoned[0].at+time.Second < s.w.site.rec.now() {
		op.Kind, op.Ticket, op.Fields = history.Delete, s.poisoned[0].id, nil
		if s.poisoned = s.poisoned[1:]; at%3 == 0 {
			op.Kind, op.Request = history.Get, "" // the ticket stays a dead letter
		}
		return s.calls.call
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	op.Kind, op.Ticket = history.Get, 1
	if n := len(s.w.created); n > 0 {
		text := poison + fmt.Sprintf("c%d-%d", s.number, s.n)
		op.Kind, op.Ticket, op.Fields["category"] = history.Set, s.w.created[at%n].id, &text
	}
	return s.calls.call
}

// again gives the operation a request id that was used before, for the same request or a different request. false without
// such an id.
func (s *stranger) again(op *history.Op, same bool) bool {
	at, other := s.r.IntN(createdKept), s.r.IntN(3)
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	var asked []history.Op
	for i := range s.w.asked {
		if one := s.w.asked[i]; one.Host == s.host.number {
			asked = append(asked, one)
		}
	}
	if len(asked) == 0 {
		return false
	}
	first := asked[at%len(asked)]
	op.Request = first.Request
	if same {
		op.Kind, op.Ticket, op.Named, op.MustExist = first.Kind, first.Ticket, first.Named, first.MustExist
		op.Fields = maps.Clone(first.Fields)
		if op.Kind == history.Create {
			op.Ticket = op.Named
		}
		return true
	}
	op.Reused = true
	op.Kind, op.Ticket = history.Set, first.Ticket
	switch {
	case other == 0 && first.Kind != history.Create:
		op.Kind, op.Ticket = history.Create, 0
	case other == 1 && first.Kind != history.Delete:
		op.Kind, op.Fields = history.Delete, nil
	}
	return true
}

// insert adds a row in SQL.
func (s *stranger) insert(ctx context.Context, op *history.Op) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	columns, values := []string{}, []any{}
	if !op.Auto {
		columns, values = append(columns, s.w.site.key()), append(values, op.Ticket)
	}
	for _, name := range sorted(op.Fields) {
		columns, values = append(columns, s.w.site.column(name)), append(values, op.Fields[name])
	}
	places := strings.TrimSuffix(strings.Repeat("?, ", len(values)), ", ")
	made, err := s.w.site.db.ExecContext(ctx,
		"INSERT INTO "+s.w.site.table+" ("+strings.Join(columns, ", ")+") VALUES ("+places+")", values...)
	refused := (*mysql.MySQLError)(nil)
	switch {
	case errors.As(err, &refused):
		op.Outcome, op.Code = history.Refused, strconv.Itoa(int(refused.Number))
	case err != nil:
		op.Outcome, op.Code = history.Unknown, "lost"
	default:
		op.Outcome = history.Done
		if op.Auto {
			op.Ticket, err = made.LastInsertId()
			if err != nil {
				op.Outcome, op.Ticket = history.Unknown, 0
			}
		}
	}
}

// inSpool leaves a file with a typed-in id: a set, or a create that names the id of a ticket.
func (s *stranger) inSpool(op *history.Op, near int64) act {
	at, create := s.r.IntN(createdKept), s.r.IntN(2) == 0
	op.Kind, op.Ticket = history.Set, near
	if create {
		op.Kind, op.Ticket, op.Named = history.Create, 0, near
		s.w.mu.Lock()
		defer s.w.mu.Unlock()
		if n := len(s.w.created); n > 0 && s.w.created[at%n].at+established < s.w.site.rec.now() {
			op.Named = s.w.created[at%n].id
		}
	}
	return s.leave
}

// leave puts the operation into the spool as a frame. No client learns the outcome of a create that names an id.
func (s *stranger) leave(_ context.Context, op *history.Op) {
	var enc protocol.Encoder
	var frame []byte
	var err error
	id := op.Ticket
	if op.Kind == history.Create {
		id = op.Named
		p := protocol.CreateParams{
			Change: protocol.Change{RequestID: op.Request, Identity: s.w.site.identity}, ID: id, Fields: toWire(op.Fields),
		}
		frame, err = enc.Request(1, protocol.MethodCreate, &p)
	} else {
		p := protocol.SetParams{
			Change: protocol.Change{RequestID: op.Request, Identity: s.w.site.identity}, ID: id, Fields: toWire(op.Fields),
		}
		frame, err = enc.Request(1, protocol.MethodSet, &p)
	}
	name := fmt.Sprintf("%016d-%d-%016x.frame", time.Now().UnixMicro(), id, s.r.Uint64N(1<<63))
	folder := filepath.Join(s.host.spool, strconv.Itoa(os.Geteuid()))
	unnamed := filepath.Join(folder, ".tmp-"+name)
	if err == nil {
		err = os.WriteFile(unnamed, frame, 0o640)
	}
	if err == nil {
		err = os.Rename(unnamed, filepath.Join(folder, name))
	}
	op.Outcome, op.Code = history.Done, history.Spooled
	switch {
	case err != nil:
		op.Outcome, op.Code = history.Refused, "spool"
	case op.Kind == history.Create:
		op.Outcome = history.Unknown
	}
}
