package protocol

func (r *PingResult) encode(e *Encoder) {
	e.mapLen(3)
	e.pairStr("version", r.Version)
	e.pair("protocol", int64(r.Protocol))
	e.texts("features", r.Features)
}

func (r *CreateResult) encode(e *Encoder) {
	e.mapLen(2)
	e.pair("id", r.ID)
	e.pair("revision", r.Revision)
}

func (r *RevisionResult) encode(e *Encoder) {
	e.mapLen(1)
	e.pair("revision", r.Revision)
}

func (r *SetManyResult) encode(e *Encoder) {
	e.mapLen(1)
	e.str("results")
	e.array(len(r.Outcomes))
	for i := range r.Outcomes {
		if err := r.Outcomes[i].Err; err != nil {
			err.encode(e)
			continue
		}
		e.int(r.Outcomes[i].Revision)
	}
}

func (r *CheckResult) encode(e *Encoder) {
	e.mapLen(1)
	e.str("results")
	e.array(len(r.Outcomes))
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		if o.Err != nil {
			o.Err.encode(e)
			continue
		}
		e.array(3)
		if o.ID == 0 {
			e.null()
		} else {
			e.int(o.ID)
		}
		e.int(o.Revision)
		e.array(len(o.Differs))
		for _, name := range o.Differs {
			e.str(name)
		}
	}
}

// answer writes the head of a map of n keys, and before those keys the mark stale and the ids of locked tickets, if any.
func (e *Encoder) answer(n int, stale bool, locked ...int64) {
	if stale {
		n++
	}
	if len(locked) > 0 {
		n++
	}
	e.mapLen(n)
	if stale {
		e.str("stale")
		e.bool(true)
	}
	if len(locked) > 0 {
		e.str("locked")
		e.array(len(locked))
		for _, id := range locked {
			e.int(id)
		}
	}
}

func (t *Ticket) encode(e *Encoder) {
	if t.Cut {
		e.answer(4, t.Stale)
		e.str("cut")
		e.bool(true)
	} else {
		e.answer(3, t.Stale)
	}
	e.pair("id", t.ID)
	e.pair("revision", t.Revision)
	e.str("fields")
	e.fields(t.Fields)
}

func (r *GetManyResult) encode(e *Encoder) {
	e.answer(1, r.Stale)
	e.str("tickets")
	e.array(len(r.Tickets))
	for _, t := range r.Tickets {
		if t == nil {
			e.null()
			continue
		}
		t.encode(e)
	}
}

func (r *FlushResult) encode(e *Encoder) {
	e.mapLen(2)
	e.pair("flushed", r.Flushed)
	e.pair("dead", r.Dead)
}

func (r *StatusResult) encode(e *Encoder) {
	e.mapLen(19)
	e.pairStr("version", r.Version)
	e.pair("uptime_ms", r.UptimeMS)
	e.pair("pid", r.PID)
	e.str("connections")
	e.mapLen(2)
	e.pair("open", r.ConnectionsOpen)
	e.pair("limit", r.ConnectionsLimit)
	e.pairStr("site", r.Site)
	e.pairStr("backend", string(r.Backend))
	e.pairStr("ack", string(r.Ack))
	e.pairStr("strategy", r.Strategy)
	e.pair("dirty", r.Dirty)
	e.pair("dead", r.Dead)
	e.pair("oldest_dirty_ms", r.OldestDirtyMS)
	e.pair("flushed_rows", r.FlushedRows)
	e.pair("flush_statements", r.FlushStatements)
	e.pair("flush_errors", r.FlushErrors)
	e.place("store", &r.Store)
	e.place("sink", &r.Sink)
	e.journal(&r.Journal)
	e.spool(&r.Spool)
	e.str("warnings")
	e.array(len(r.Warnings))
	for _, w := range r.Warnings {
		e.str(w)
	}
}

func (e *Encoder) journal(j *JournalStatus) {
	e.str("journal")
	e.mapLen(6)
	e.pair("entries", j.Entries)
	e.pair("bytes", j.Bytes)
	e.pair("oldest_ms", j.OldestMS)
	e.pair("replayed", j.Replayed)
	e.pair("segments", j.Segments)
	e.pair("requests", j.Requests)
}

func (e *Encoder) spool(s *SpoolStatus) {
	e.str("spool")
	e.mapLen(5)
	e.pair("files", s.Files)
	e.pair("bytes", s.Bytes)
	e.pair("oldest_ms", s.OldestMS)
	e.pair("taken", s.Taken)
	e.pair("bad", s.Bad)
}

func (e *Encoder) place(key string, p *Place) {
	e.str(key)
	e.mapLen(3)
	e.pairStr("state", string(p.State))
	e.pair("since_ms", p.SinceMS)
	e.pairStr("reason", p.Reason)
}
