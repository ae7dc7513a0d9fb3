package protocol

import (
	"fmt"
	"maps"
	"slices"
)

// Code is the stable name of an error.
type Code string

// The codes of SPEC.md section 4.
const (
	CodeMalformed     Code = "malformed"
	CodeVersion       Code = "version"
	CodeTooLarge      Code = "too_large"
	CodeUnknownMethod Code = "unknown_method"
	CodeInvalid       Code = "invalid"
	CodeForbidden     Code = "forbidden"
	CodeNotFound      Code = "not_found"
	CodeConflict      Code = "conflict"
	CodeExists        Code = "exists"
	CodeOverloaded    Code = "overloaded"
	CodeUnavailable   Code = "unavailable"
	CodeShuttingDown  Code = "shutting_down"
	CodeInternal      Code = "internal"
)

// Traits are the effects of a code on the request and the connection.
type Traits struct {
	// Retryable says that the same request may succeed later, unchanged.
	Retryable bool
	// Closing says that the daemon closes the connection after the reply.
	Closing bool
}

// traits holds every code. [Closing] makes the two exceptions: a frame that is too large, a connection above the limit.
var traits = map[Code]Traits{
	CodeMalformed:     {Closing: true},
	CodeVersion:       {Closing: true},
	CodeTooLarge:      {},
	CodeUnknownMethod: {},
	CodeInvalid:       {},
	CodeForbidden:     {},
	CodeNotFound:      {},
	CodeConflict:      {},
	CodeExists:        {},
	CodeOverloaded:    {Retryable: true},
	CodeUnavailable:   {Retryable: true},
	CodeShuttingDown:  {Retryable: true, Closing: true},
	CodeInternal:      {},
}

// Codes returns every code, in order.
func Codes() []Code { return slices.Sorted(maps.Keys(traits)) }

// IsRetryable reports whether the unchanged request may succeed later after an answer with this code.
func (c Code) IsRetryable() bool { return traits[c].Retryable }

// Error is an error on the wire: the code for programs, the message for people.
type Error struct {
	Code Code
	// Message says what is wrong and what to do, without secrets or values of fields.
	Message string
	// Field names the wrong field or parameter, if any.
	Field string
	// Revision is the ticket's revision in a conflict, otherwise 0.
	Revision  int64
	Retryable bool
	Closing   bool
}

func (e *Error) Error() string {
	if e.Field != "" {
		return fmt.Sprintf("%s: %s: %s", e.Code, e.Field, e.Message)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Is makes errors.Is(err, &Error{Code: c}) true for every error with the code c.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Message == ""
}

// Errorf makes an error with the traits of the code. An unknown code has no traits.
func Errorf(code Code, format string, args ...any) *Error {
	t := traits[code]
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Retryable: t.Retryable, Closing: t.Closing}
}

// Invalid makes an error about a field or parameter.
func Invalid(field, format string, args ...any) *Error {
	e := Errorf(CodeInvalid, format, args...)
	e.Field = field
	return e
}

// Conflict makes the error for a ticket that is at another revision than the request's condition names.
func Conflict(revision int64, format string, args ...any) *Error {
	e := Errorf(CodeConflict, format, args...)
	e.Revision = revision
	return e
}

// Closing makes an error after which the daemon closes the connection, regardless of the code's traits.
func Closing(code Code, format string, args ...any) *Error {
	e := Errorf(code, format, args...)
	e.Closing = true
	return e
}
