package protocol

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// errShape is wrapped by every error of a client about a message that is not as SPEC.md says: the connection is then
// unusable.
var errShape = errors.New("the daemon's message does not follow the protocol")

// Answer is a message from the daemon: a reply, or progress before the reply. Exactly one field is set.
type Answer struct {
	Reply    *Reply
	Progress *Progress
}

// DecodeAnswer reads a message from the daemon. The payload may be overwritten afterwards.
func DecodeAnswer(payload []byte) (Answer, error) {
	s := string(payload)
	if end, ok := skip(s, 0); !ok || end != len(s) {
		return Answer{}, fmt.Errorf("%w: not exactly one msgpack value", errShape)
	}
	d := openDecoder(Raw(s))
	defer d.close()
	n, ok := d.arrayLen()
	kind, isKind := d.int()
	switch {
	case ok && isKind && kind == typeReply && n == 4:
		reply, err := d.reply()
		return Answer{Reply: reply}, err
	case ok && isKind && kind == typeProgress && n == 3:
		progress, err := d.progress()
		return Answer{Progress: progress}, err
	default:
		return Answer{}, fmt.Errorf("%w: neither a reply nor progress", errShape)
	}
}

func (d *decoder) reply() (*Reply, error) {
	id, ok := d.int()
	if !ok || id < 0 || id > MaxRequestID {
		return nil, fmt.Errorf("%w: a reply's id", errShape)
	}
	reply := &Reply{ID: uint32(id)}
	failed := !d.null()
	if failed {
		failure, err := d.failure()
		if err != nil {
			return nil, err
		}
		reply.Err = failure
	}
	if none := d.null(); none != failed {
		return nil, fmt.Errorf("%w: a reply has exactly one of error and result", errShape)
	}
	if !failed {
		reply.Result, _ = d.raw() // always present: the payload is a complete array of four
	}
	return reply, nil
}

// null consumes a nil and reports whether the next value was nil.
func (d *decoder) null() bool {
	return d.code() == msgpcode.Nil && d.mp.DecodeNil() == nil
}

func (d *decoder) progress() (*Progress, error) {
	if method, ok := d.str(); !ok || Method(method) != MethodFlush {
		return nil, fmt.Errorf("%w: progress of a method other than flush", errShape)
	}
	p := &Progress{}
	var id int64
	err := d.object("progress", func(key string) bool {
		switch key {
		case "id":
			return d.count(&id)
		case "done":
			return d.count(&p.Done)
		case "total":
			return d.count(&p.Total)
		default:
			return d.ignore()
		}
	})
	if err == nil && (id < 1 || id > MaxRequestID) {
		err = fmt.Errorf("%w: progress without its request's id", errShape)
	}
	p.ID = uint32(id) //nolint:gosec // err is set if id does not fit
	return p, err
}

// failure reads an error map.
func (d *decoder) failure() (*Error, error) {
	e := &Error{}
	err := d.object("error", func(key string) bool {
		switch key {
		case "code":
			return d.text((*string)(&e.Code))
		case "message":
			return d.text(&e.Message)
		case "field":
			return d.text(&e.Field)
		case "revision":
			return d.count(&e.Revision)
		case "retryable":
			return d.flag(&e.Retryable)
		case "closing":
			return d.flag(&e.Closing)
		default:
			return d.ignore()
		}
	})
	if err == nil && e.Code == "" {
		err = fmt.Errorf("%w: an error without a code", errShape)
	}
	return e, err
}

// object calls read with each key of a map; read consumes the value and returns false for a value of the wrong kind.
func (d *decoder) object(what string, read func(key string) bool) error {
	n, ok := d.mapLen()
	if !ok {
		return fmt.Errorf("%w: %s is not a map", errShape, what)
	}
	for range n {
		key, ok := d.key()
		if !ok || !read(key) {
			return fmt.Errorf("%w: %s, key %q", errShape, what, key)
		}
	}
	return nil
}

func (d *decoder) count(into *int64) (ok bool) {
	*into, ok = d.int()
	return ok && *into >= 0
}

func (d *decoder) text(into *string) (ok bool) {
	*into, ok = d.str()
	return ok
}

func (d *decoder) flag(into *bool) (ok bool) {
	*into, ok = d.bool()
	return ok
}

// time reads a time in microseconds.
func (d *decoder) time(into *time.Time) bool {
	var us int64
	ok := d.count(&us)
	*into = time.UnixMicro(us)
	return ok
}

func (d *decoder) texts(into *[]string) bool {
	return list(d, math.MaxInt, into, func(s *string, d *decoder) bool { return d.text(s) })
}

// words reads a map of texts.
func (d *decoder) words(into *map[string]string) bool {
	words := map[string]string{}
	err := d.object("words", func(name string) bool {
		text := ""
		ok := d.text(&text)
		words[name] = text
		return ok
	})
	*into = words
	return err == nil
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

// list reads an array, each element with read; most bounds the number of elements. The result is not nil, even without elements.
func list[T any](d *decoder, most int, into *[]T, read func(*T, *decoder) bool) bool {
	n, ok := d.arrayLen()
	if !ok || n > most {
		return false
	}
	elements := make([]T, n)
	for i := range elements {
		if !read(&elements[i], d) {
			return false
		}
	}
	*into = elements
	return true
}

func (d *decoder) ignore() bool {
	_, ok := d.raw()
	return ok
}
