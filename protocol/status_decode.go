package protocol

// Decode implements [Result]. Keys that it does not know are passed over.
func (r *StatusResult) Decode(raw Raw) error {
	*r = StatusResult{}
	return result(raw, "status", func(d *decoder, key string) bool {
		if n := r.number(key); n != nil {
			return d.count(n)
		}
		switch key {
		case "version":
			return d.text(&r.Version)
		case "site":
			return d.text(&r.Site)
		case "strategy":
			return d.text(&r.Strategy)
		case "connections":
			return d.connections(&r.DaemonStatus)
		case "store":
			return d.place(&r.Store)
		case "sink":
			return d.place(&r.Sink)
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

func (d *decoder) connections(s *DaemonStatus) bool {
	return d.object("connections", func(key string) bool {
		switch key {
		case "open":
			return d.count(&s.ConnectionsOpen)
		case "limit":
			return d.count(&s.ConnectionsLimit)
		default:
			return d.ignore()
		}
	}) == nil
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
