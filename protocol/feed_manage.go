package protocol

import "time"

// FeedAction is what feed_control does with a destination.
type FeedAction string

// The actions of feed_control.
const (
	FeedTest     FeedAction = "test"     // sends a test event
	FeedPause    FeedAction = "pause"    // sends nothing until resume
	FeedResume   FeedAction = "resume"   // ends a pause, and tries again at once
	FeedRewind   FeedAction = "rewind"   // sends everything again since To, as far as the feed has it
	FeedSnapshot FeedAction = "snapshot" // sends every ticket as it is
)

// FeedControlParams are the parameters of feed_control.
type FeedControlParams struct {
	Target
	Timed
	Name   string
	Action FeedAction
	// To is for [FeedRewind] alone.
	To time.Time
}

// FeedControlResult is the result of feed_control.
type FeedControlResult struct{}

// FeedDeadListParams are the parameters of feed_dead_list.
type FeedDeadListParams struct {
	Target
	Timed
	Name string
	// After is the key of the last letter of the page before, 0 for the first page.
	After int64
	// Limit is 1 to [MaxTickets], 0 stands for [DefaultLimit].
	Limit int
}

// FeedDeadParams are the parameters of feed_dead_retry and feed_dead_drop: letters, or all that are dead.
type FeedDeadParams struct {
	Target
	Timed
	Name string
	IDs  []int64
	All  bool
}

// FeedDeadListResult is the result of feed_dead_list: letters, oldest first.
type FeedDeadListResult struct {
	Letters []FeedLetter
}

// FeedLetter is an event that a destination refuses.
type FeedLetter struct {
	ID       int64
	Kind     string
	Ticket   int64
	Revision int64
	Fields   Fields
	// Since is the first refusal, At the last.
	Since, At time.Time
	Tries     int64
	// Held says that the event is still tried.
	Held           bool
	Reason, Answer string
}

// FeedStatusResult is the result of feed_status.
type FeedStatusResult struct {
	// Enabled says that the feed is on. Backlog counts the events that the store holds.
	Enabled               bool
	Backlog, BacklogBytes int64
	Destinations          []FeedDestination
	History               HistoryStatus
}

// FeedDestination describes a destination of the feed.
type FeedDestination struct {
	Name, Kind, State, Reason string
	SinceMS                   int64
	// LagEvents counts the events that the destination has not confirmed; LagMS is the age of the oldest of them.
	LagEvents, LagMS int64
	// Letters counts the dead letters, Held the refused events that are still tried.
	Letters, Held int64
	// Gaps counts the gaps, Lost the events missing there, Sent the confirmed events, all since the daemon's start.
	Gaps, Lost, Sent int64
	// Snapshot says that a snapshot is under way, Rows how many tickets it has read.
	Snapshot bool
	Rows     int64
	// Runner says, of a destination that clients read, that a client does so now.
	Runner bool
}

// HistoryStatus describes the history of a site's tickets.
type HistoryStatus struct {
	Enabled bool
	// Rows and Bytes are the database's estimates.
	Rows, Bytes int64
	KeepMS      int64
}

// Decode implements [Params].
func (p *FeedControlParams) Decode(raw Raw) error {
	*p = FeedControlParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "name":
			return true, readDestination(d, &p.Name)
		case "action":
			return true, p.Action.read(d)
		case "to_us":
			var us int64
			err := d.revision("to_us", &us)
			p.To = time.UnixMicro(us)
			return true, err
		default:
			return false, nil
		}
	})
	switch {
	case err != nil:
		return err
	case p.Action == "":
		return Invalid("action", "say what to do with the destination")
	case (p.Action == FeedRewind) == p.To.IsZero():
		return Invalid("to_us", "to_us is the time to which the action rewind goes back")
	}
	return requireName(p.Name)
}

// requireName requires a destination's name.
func requireName(name string) error {
	if name == "" {
		return Invalid("name", "name the destination")
	}
	return nil
}

func readDestination(d *decoder, into *string) *Error {
	s, ok := d.str()
	if !ok || s == "" || len(s) > MaxName {
		return Invalid("name", "name is the name of a destination")
	}
	*into = s
	return nil
}

func (a *FeedAction) read(d *decoder) *Error {
	s, ok := d.str()
	switch *a = FeedAction(s); *a {
	case FeedTest, FeedPause, FeedResume, FeedRewind, FeedSnapshot:
	default:
		ok = false
	}
	if !ok {
		return Invalid("action", "the action is test, pause, resume, rewind or snapshot")
	}
	return nil
}

// Decode implements [Params].
func (p *FeedDeadListParams) Decode(raw Raw) error {
	*p = FeedDeadListParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "name":
			return true, readDestination(d, &p.Name)
		case "after":
			return true, d.ticketID("after", &p.After)
		case "limit":
			return true, d.limit(&p.Limit)
		default:
			return false, nil
		}
	})
	if err != nil {
		return err
	}
	return requireName(p.Name)
}

// Decode implements [Params]. A request names the letters or says all, as for dead_retry and dead_drop.
func (p *FeedDeadParams) Decode(raw Raw) error {
	*p = FeedDeadParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "name":
			return true, readDestination(d, &p.Name)
		case "ids":
			return true, d.ticketIDs(1, &p.IDs)
		case "all":
			return true, d.choice("all", &p.All)
		default:
			return false, nil
		}
	})
	switch {
	case err != nil:
		return err
	case p.All == (p.IDs != nil):
		return Invalid("ids", "name the letters as ids, or set all to true, but not both")
	}
	return requireName(p.Name)
}

func (p *FeedControlParams) encode(e *Encoder) {
	n := 2
	if !p.To.IsZero() {
		n++
	}
	e.options(n, &p.Target, p.Timeout)
	e.pairStr("name", p.Name)
	e.pairStr("action", string(p.Action))
	if !p.To.IsZero() {
		e.pair("to_us", p.To.UnixMicro())
	}
}

func (p *FeedDeadListParams) encode(e *Encoder) {
	n := 1
	for _, given := range []bool{p.After != 0, p.Limit != 0} {
		if given {
			n++
		}
	}
	e.options(n, &p.Target, p.Timeout)
	e.pairStr("name", p.Name)
	if p.After != 0 {
		e.pair("after", p.After)
	}
	if p.Limit != 0 {
		e.pair("limit", int64(p.Limit))
	}
}

func (p *FeedDeadParams) encode(e *Encoder) {
	e.options(2, &p.Target, p.Timeout)
	e.pairStr("name", p.Name)
	if p.All {
		e.mark("all", true)
		return
	}
	e.ids(p.IDs)
}

func (*FeedControlResult) encode(e *Encoder) { e.mapLen(0) }

// Decode implements [Result].
func (*FeedControlResult) Decode(raw Raw) error {
	return result(raw, "feed_control", func(d *decoder, _ string) bool { return d.ignore() }, func() bool { return true })
}

func (r *FeedDeadListResult) encode(e *Encoder) {
	e.mapLen(1)
	e.str("letters")
	e.array(len(r.Letters))
	for i := range r.Letters {
		l := &r.Letters[i]
		e.mapLen(11)
		e.pair("id", l.ID)
		e.pairStr("kind", l.Kind)
		e.pair("ticket", l.Ticket)
		e.pair("revision", l.Revision)
		e.pair("since_us", max(l.Since.UnixMicro(), 0))
		e.pair("at_us", max(l.At.UnixMicro(), 0))
		e.pair("tries", l.Tries)
		e.str("held")
		e.bool(l.Held)
		e.pairStr("reason", cut(l.Reason, maxReason))
		e.pairStr("answer", cut(l.Answer, MaxAnswer))
		e.str("fields")
		e.fields(l.Fields)
	}
}

// MaxAnswer bounds, in bytes, what a reply shows of a destination's answer.
const MaxAnswer = 4 << 10

// Bytes is about the size of the letter in a reply.
func (l *FeedLetter) Bytes() int {
	const overhead, perValue = 150, 8
	n := overhead + min(len(l.Reason), maxReason) + min(len(l.Answer), MaxAnswer)
	for i := range l.Fields {
		n += len(l.Fields[i].Name) + len(l.Fields[i].Value.Text()) + perValue
	}
	return n
}

// Decode implements [Result].
func (r *FeedDeadListResult) Decode(raw Raw) error {
	*r = FeedDeadListResult{}
	return result(raw, "feed_dead_list", func(d *decoder, key string) bool {
		if key != "letters" {
			return d.ignore()
		}
		return list(d, MaxTickets, &r.Letters, (*FeedLetter).read)
	}, func() bool { return r.Letters != nil })
}

func (l *FeedLetter) read(d *decoder) bool {
	err := d.object("letter", func(key string) bool {
		switch key {
		case "id":
			return d.count(&l.ID)
		case "kind":
			return d.text(&l.Kind)
		case "ticket":
			return d.count(&l.Ticket)
		case "revision":
			return d.count(&l.Revision)
		case "since_us":
			return d.time(&l.Since)
		case "at_us":
			return d.time(&l.At)
		case "tries":
			return d.count(&l.Tries)
		case "held":
			return d.flag(&l.Held)
		case "reason":
			return d.text(&l.Reason)
		case "answer":
			return d.text(&l.Answer)
		case "fields":
			return d.ticketFields(&l.Fields)
		default:
			return d.ignore()
		}
	})
	return err == nil && l.ID > 0
}

func (r *FeedStatusResult) encode(e *Encoder) {
	e.mapLen(5)
	e.str("enabled")
	e.bool(r.Enabled)
	e.pair("backlog", r.Backlog)
	e.pair("backlog_bytes", r.BacklogBytes)
	e.str("destinations")
	e.array(len(r.Destinations))
	for i := range r.Destinations {
		r.Destinations[i].encode(e)
	}
	e.str("history")
	e.mapLen(4)
	e.str("enabled")
	e.bool(r.History.Enabled)
	e.pair("rows", r.History.Rows)
	e.pair("bytes", r.History.Bytes)
	e.pair("keep_ms", r.History.KeepMS)
}

func (s *FeedDestination) encode(e *Encoder) {
	e.mapLen(15)
	e.pairStr("name", s.Name)
	e.pairStr("kind", s.Kind)
	e.pairStr("state", s.State)
	e.pairStr("reason", cut(s.Reason, maxReason))
	for _, n := range []struct {
		key string
		n   int64
	}{
		{"since_ms", s.SinceMS}, {"lag_events", s.LagEvents}, {"lag_ms", s.LagMS}, {"letters", s.Letters}, {"held", s.Held},
		{"gaps", s.Gaps}, {"lost", s.Lost}, {"sent", s.Sent}, {"rows", s.Rows},
	} {
		e.pair(n.key, max(n.n, 0))
	}
	e.str("snapshot")
	e.bool(s.Snapshot)
	e.str("runner")
	e.bool(s.Runner)
}

// Decode implements [Result].
func (r *FeedStatusResult) Decode(raw Raw) error {
	*r = FeedStatusResult{}
	return result(raw, "feed_status", func(d *decoder, key string) bool {
		switch key {
		case "enabled":
			return d.flag(&r.Enabled)
		case "backlog":
			return d.count(&r.Backlog)
		case "backlog_bytes":
			return d.count(&r.BacklogBytes)
		case "destinations":
			return list(d, MaxTickets, &r.Destinations, (*FeedDestination).read)
		case "history":
			return d.object("history", func(key string) bool {
				switch key {
				case "enabled":
					return d.flag(&r.History.Enabled)
				case "rows":
					return d.count(&r.History.Rows)
				case "bytes":
					return d.count(&r.History.Bytes)
				case "keep_ms":
					return d.count(&r.History.KeepMS)
				default:
					return d.ignore()
				}
			}) == nil
		default:
			return d.ignore()
		}
	}, func() bool { return r.Destinations != nil })
}

func (s *FeedDestination) read(d *decoder) bool {
	numbers := map[string]*int64{
		"since_ms": &s.SinceMS, "lag_events": &s.LagEvents, "lag_ms": &s.LagMS, "letters": &s.Letters, "held": &s.Held,
		"gaps": &s.Gaps, "lost": &s.Lost, "sent": &s.Sent, "rows": &s.Rows,
	}
	texts := map[string]*string{"name": &s.Name, "kind": &s.Kind, "state": &s.State, "reason": &s.Reason}
	err := d.object("destination", func(key string) bool {
		if number := numbers[key]; number != nil {
			return d.count(number)
		}
		if text := texts[key]; text != nil {
			return d.text(text)
		}
		switch key {
		case "snapshot":
			return d.flag(&s.Snapshot)
		case "runner":
			return d.flag(&s.Runner)
		default:
			return d.ignore()
		}
	})
	return err == nil && s.Name != ""
}
