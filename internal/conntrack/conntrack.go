// Package conntrack stands for github.com/mwitkow/go-conntrack in this program: go.mod replaces it. Prometheus' HTTP client,
// which ticketd does not use, comes with the exporter-toolkit and imports it; it imports golang.org/x/net/trace, whose pages are
// templates that call methods by name. The linker keeps all methods of all types then: ten megabytes of program, four of an idle
// daemon's memory.
package conntrack

import (
	"context"
	"net"
)

type (
	dial   = func(ctx context.Context, network, address string) (net.Conn, error)
	option func(*dial)
)

// NewDialContextFunc returns the function of DialWithDialContextFunc, or a net.Dialer's.
func NewDialContextFunc(options ...option) func(context.Context, string, string) (net.Conn, error) {
	f := (&net.Dialer{}).DialContext
	for _, o := range options {
		o(&f)
	}
	return f
}

// DialWithDialContextFunc dials with f.
func DialWithDialContextFunc(f dial) option { return func(to *dial) { *to = f } }

// DialWithTracing does nothing: ticketd has no traces.
func DialWithTracing() option { return func(*dial) {} }

// DialWithName does nothing: ticketd counts no connections by name.
func DialWithName(string) option { return func(*dial) {} }
