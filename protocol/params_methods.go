package protocol

// Decode implements [Params].
func (p *SiteParams) Decode(raw Raw) error {
	*p = SiteParams{}
	return params(raw, &p.Target, &p.Timed, func(*decoder, string) (bool, *Error) { return false, nil })
}

// Decode implements [Params].
func (p *CreateParams) Decode(raw Raw) error {
	*p = CreateParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "id":
			return true, d.ticketID("id", &p.ID)
		case "fields":
			return true, d.fields(&p.Fields)
		case "identity":
			return true, d.identity(&p.Identity)
		default:
			return p.readShared(d, key)
		}
	})
	switch {
	case err != nil:
		return err
	case p.Fields == nil:
		return missing("fields")
	default:
		return p.check(MaxName)
	}
}

// Decode implements [Params].
func (p *SetParams) Decode(raw Raw) error {
	*p = SetParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "id":
			return true, d.ticketID("id", &p.ID)
		case "fields":
			return true, d.fields(&p.Fields)
		case "identity":
			return true, d.identity(&p.Identity)
		case "if_revision":
			return true, d.revision("if_revision", &p.IfRevision)
		case "must_exist":
			return true, d.choice("must_exist", &p.MustExist)
		default:
			return p.readShared(d, key)
		}
	})
	switch {
	case err != nil:
		return err
	case p.ID == 0:
		return missing("id")
	case p.Fields == nil:
		return missing("fields")
	default:
		return p.check(MaxPairRequestID)
	}
}

// Decode implements [Params].
func (p *SetManyParams) Decode(raw Raw) error {
	*p = SetManyParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "tickets":
			return true, d.tickets(&p.Tickets)
		case "must_exist":
			return true, d.choice("must_exist", &p.MustExist)
		default:
			return p.readShared(d, key)
		}
	})
	switch {
	case err != nil:
		return err
	case p.Tickets == nil:
		return missing("tickets")
	default:
		return p.check(MaxName)
	}
}

// Decode implements [Params].
func (p *GetParams) Decode(raw Raw) error {
	*p = GetParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "id":
			return true, d.ticketID("id", &p.ID)
		default:
			return false, nil
		}
	})
	if err == nil && p.ID == 0 {
		return missing("id")
	}
	return err
}

// Decode implements [Params].
func (p *GetManyParams) Decode(raw Raw) error {
	*p = GetManyParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "ids":
			return true, d.ticketIDs(1, &p.IDs)
		default:
			return false, nil
		}
	})
	if err == nil && p.IDs == nil {
		return missing("ids")
	}
	return err
}

// Decode implements [Params].
func (p *DeleteParams) Decode(raw Raw) error {
	*p = DeleteParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "id":
			return true, d.ticketID("id", &p.ID)
		case "identity":
			return true, d.identity(&p.Identity)
		default:
			return p.readShared(d, key)
		}
	})
	switch {
	case err != nil:
		return err
	case p.ID == 0:
		return missing("id")
	default:
		return p.check(MaxName)
	}
}

// Decode implements [Params].
func (p *FlushParams) Decode(raw Raw) error {
	*p = FlushParams{All: true}
	return params(raw, &p.Target, nil, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "ids":
			p.All = false
			return true, d.ticketIDs(0, &p.IDs)
		default:
			return false, nil
		}
	})
}
