package protocol

// Decode implements [Result]. Keys that it does not know are passed over.
func (r *StatusResult) Decode(raw Raw) error {
	*r = StatusResult{}
	return result(raw, "status", func(d *decoder, key string) bool {
		if n := r.number(key); n != nil {
			return d.count(n)
		}
		if s := r.text(key); s != nil {
			return d.text(s)
		}
		switch key {
		case "connections":
			return d.connections(&r.DaemonStatus)
		case "store":
			return d.place(&r.Store)
		case "sink":
			return d.place(&r.Sink)
		case "journal":
			return d.counts("journal", r.Journal.number)
		case "spool":
			return d.counts("spool", r.Spool.number)
		case "warnings":
			return d.texts(&r.Warnings)
		default:
			return d.ignore()
		}
	}, func() bool { return r.PID > 0 && r.Store.State != "" && r.Sink.State != "" })
}

// number returns where the count under this key belongs, nil where the key holds none.
func (r *StatusResult) number(key string) *int64 {
	switch key {
	case "uptime_ms":
		return &r.UptimeMS
	case "pid":
		return &r.PID
	case "dirty":
		return &r.Dirty
	case "dead":
		return &r.Dead
	case "oldest_dirty_ms":
		return &r.OldestDirtyMS
	case "flushed_rows":
		return &r.FlushedRows
	case "flush_statements":
		return &r.FlushStatements
	case "flush_errors":
		return &r.FlushErrors
	default:
		return nil
	}
}

// text is number for keys that hold a string.
func (r *StatusResult) text(key string) *string {
	switch key {
	case "version":
		return &r.Version
	case "site":
		return &r.Site
	case "backend":
		return (*string)(&r.Backend)
	case "ack":
		return (*string)(&r.Ack)
	case "strategy":
		return &r.Strategy
	default:
		return nil
	}
}

// counts reads a map of counts; number says where each belongs, nil for a key that is not known.
func (d *decoder) counts(what string, number func(key string) *int64) bool {
	return d.object(what, func(key string) bool {
		if n := number(key); n != nil {
			return d.count(n)
		}
		return d.ignore()
	}) == nil
}

func (j *JournalStatus) number(key string) *int64 {
	switch key {
	case "entries":
		return &j.Entries
	case "bytes":
		return &j.Bytes
	case "oldest_ms":
		return &j.OldestMS
	case "replayed":
		return &j.Replayed
	case "segments":
		return &j.Segments
	case "requests":
		return &j.Requests
	default:
		return nil
	}
}

func (s *SpoolStatus) number(key string) *int64 {
	switch key {
	case "files":
		return &s.Files
	case "bytes":
		return &s.Bytes
	case "oldest_ms":
		return &s.OldestMS
	case "taken":
		return &s.Taken
	case "bad":
		return &s.Bad
	default:
		return nil
	}
}

func (d *decoder) connections(s *DaemonStatus) bool {
	return d.counts("connections", func(key string) *int64 {
		switch key {
		case "open":
			return &s.ConnectionsOpen
		case "limit":
			return &s.ConnectionsLimit
		default:
			return nil
		}
	})
}

func (d *decoder) place(p *Place) bool {
	return d.object("place", func(key string) bool {
		switch key {
		case "state":
			return d.text((*string)(&p.State))
		case "since_ms":
			return d.count(&p.SinceMS)
		case "reason":
			return d.text(&p.Reason)
		default:
			return d.ignore()
		}
	}) == nil
}

func (d *decoder) texts(into *[]string) bool {
	n, ok := d.arrayLen()
	if !ok {
		return false
	}
	texts := make([]string, n)
	for i := range texts {
		if !d.text(&texts[i]) {
			return false
		}
	}
	*into = texts
	return true
}
