package spool_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/daemon/spool"
	"github.com/ticketd/ticketd/protocol"
)

// oneSite lets every peer use a single site.
type oneSite struct{ site daemon.Site }

func (o oneSite) For(daemon.Peer, protocol.Params) (daemon.Site, error) { return o.site, nil }

func (o oneSite) Of(daemon.Peer) []daemon.Site { return []daemon.Site{o.site} }

// A look finds a file while the site does not know its table. When the site knows its table, and the file is for another, the
// file stays.
func TestTableIsKnownAfterTheLook(t *testing.T) {
	t.Parallel()
	unknown, table := errors.New("not known yet"), ""
	gate := site.Gate{Site: &site.Site{Parts: site.Parts{
		Served: func() error { return unknown },
		Owns:   func(identity string) bool { return table == "" || identity == table },
	}}}
	base := filepath.Join(t.TempDir(), "spool")
	own := filepath.Join(base, strconv.Itoa(os.Geteuid()))
	if err := errors.Join(os.Mkdir(base, 0o711), os.Mkdir(own, 0o770)); err != nil {
		t.Fatal(err)
	}
	frame, err := new(protocol.Encoder).Request(1, protocol.MethodSet, &protocol.SetParams{
		Change: protocol.Change{RequestID: "r", Identity: "THEIRS"},
		ID:     1, Fields: []protocol.Field{{Name: "subject", Value: protocol.Text("theirs")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(own, "1795997280290670-1-39a42b9c1f79a691.frame")
	if err := os.WriteFile(file, frame, 0o600); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s := spool.New(spool.Options{
		Path: base, GID: -1, Sites: oneSite{gate}, Users: func() []uint32 { return []uint32{uint32(os.Geteuid())} },
		Timeout: time.Second, Log: zerolog.Nop(), Now: func() time.Time { return now },
	})
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	if err := s.Settle(t.Context(), gate, &protocol.FlushParams{}); err == nil {
		t.Fatal("a site that does not know its table takes changes")
	}
	unknown, table = nil, "OURS"
	now = now.Add(time.Minute) // the site's pause is over
	if err := s.Settle(t.Context(), gate, &protocol.FlushParams{}); err != nil {
		t.Errorf("a file for another table holds up the site: %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Errorf("the file for another table did not stay: %v", err)
	}
	if warnings := s.Warnings(gate); len(warnings) != 1 {
		t.Errorf("warnings: %q, want the one of the file", warnings)
	}
}
