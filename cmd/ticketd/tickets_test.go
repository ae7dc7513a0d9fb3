package main

import (
	"bytes"
	"testing"

	"github.com/ticketd/ticketd/protocol"
)

// Names of fields come from Redis, into which others may write: neither name nor value steers the terminal.
func TestFieldNamesArePrintedSafely(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := writeTicket(&out, &protocol.Ticket{ID: 1, Revision: 2, Fields: []protocol.Field{
		{Name: "\x1b]0;title\x07status\r\nid", Value: protocol.Text("\x1b[2J")},
	}})
	if err != nil || bytes.ContainsAny(out.Bytes(), "\x1b\x07\r") || bytes.Count(out.Bytes(), []byte("\n")) != 3 {
		t.Errorf("%v: %q", err, out.String())
	}
}

// A health check in a daemon's container asks the socket that the environment gives the daemon.
func TestSocketOfTheEnvironment(t *testing.T) {
	t.Parallel()
	for want, environ := range map[string][]string{
		defaultSocket:  {"TICKETD_SITES_MAIN_DSN=u@tcp(db:3306)/wp"},
		"/s/own.sock":  {"TICKETD_DAEMON_SOCKET=/s/d.sock", "TICKETD_SOCKET=/s/own.sock"},
		"/s/key.sock":  {"TICKETD_DAEMON_SOCKET=/s/key.sock", "TICKETD_SOCKET="},
		"/s/text.sock": {"TICKETD_CONFIG_TOML=[daemon]\nsocket = \"/s/text.sock\"\n"},
	} {
		if got := socketOf(environ); got != want {
			t.Errorf("%q: %s, want %s", environ, got, want)
		}
	}
}
