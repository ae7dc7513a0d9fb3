package protocol

import (
	"errors"
	"testing"
)

// An optional parameter that is nil is refused by its name: it is not the same as one that is left out.
func TestOptionalParametersAreNotNil(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		into  Params
		names []string
	}{
		{&SetParams{}, []string{"site", "request_id", "remember", "ack", "identity", "if_revision", "must_exist"}},
		{&CreateParams{}, []string{"id"}},
		{&ListParams{}, []string{"where", "contains", "created_at", "deleted", "fresh", "sort", "order", "limit", "after"}},
		{&FlushParams{}, []string{"ids"}}, {&CountParams{}, []string{"by"}}, {&DeadListParams{}, []string{"after", "limit"}},
		{&DeadParams{}, []string{"all", "ids"}},
	} {
		for _, name := range c.names {
			// {name: nil}
			raw := Raw("\x81" + string([]byte{byte(0xa0 | len(name))}) + name + "\xc0")
			var refused *Error
			if err := c.into.Decode(raw); !errors.As(err, &refused) || refused.Code != CodeInvalid || refused.Field != name {
				t.Errorf("%T with %s nil: %v", c.into, name, err)
			}
		}
	}
}
