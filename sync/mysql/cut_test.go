package mysql_test

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
)

// cutter is a proxy between client and server. After the client has sent the trigger, the statement still reaches the server,
// and cutter cuts the connection at the server's answer: the write is done, and the client does not learn the outcome.
type cutter struct {
	socket  string
	server  string
	trigger atomic.Pointer[string]
	cuts    atomic.Int32
	all     sync.WaitGroup
}

func newCutter(t *testing.T, server string) *cutter {
	t.Helper()
	c := &cutter{socket: filepath.Join(testenv.Folder(t), "cut.sock"), server: server}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", c.socket)
	if err != nil {
		t.Fatal(err)
	}
	c.all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			c.all.Go(func() { c.serve(t.Context(), client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		c.all.Wait()
	})
	return c
}

func (c *cutter) serve(ctx context.Context, client net.Conn) {
	server, err := new(net.Dialer).DialContext(ctx, "unix", c.server)
	if err != nil {
		_ = client.Close()
		return
	}
	var armed atomic.Bool
	c.all.Go(func() {
		defer server.Close()
		buffer := make([]byte, 1<<16)
		for {
			n, err := client.Read(buffer)
			if trigger := c.trigger.Load(); trigger != nil && bytes.Contains(buffer[:n], []byte(*trigger)) {
				armed.Store(true)
			}
			if _, sendErr := server.Write(buffer[:n]); err != nil || sendErr != nil {
				return
			}
		}
	})
	defer client.Close()
	buffer := make([]byte, 1<<16)
	for {
		n, err := server.Read(buffer)
		if err == nil && armed.Load() {
			c.cuts.Add(1)
			return
		}
		if _, sendErr := client.Write(buffer[:n]); err != nil || sendErr != nil {
			return
		}
	}
}

// The sink does not know the outcome, and the write is done: the next attempt finds the row.
func TestConnectionLostBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		trigger string
		setUp   func(*testing.T) *mysql.DB
		config  mysql.Config
	}{
		"upsert": {"INSERT INTO", private, mysql.Config{}},
		"commit": {"COMMIT", hard, mysql.Config{Table: "tickets", Key: "id"}},
	} {
		if beside(t) && name == "upsert" {
			continue // in that case the statement is in a transaction, and is undone
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct := c.setUp(t)
			var database string
			if err := direct.Pool().QueryRowContext(t.Context(), "SELECT DATABASE()").Scan(&database); err != nil {
				t.Fatal(err)
			}
			server, _ := testenv.SharedMariaDB(t)
			cut := newCutter(t, server.Socket())
			c.config.DSN = "root@unix(" + cut.socket + ")/" + database
			db := open(t, c.config)
			if _, err := db.LoadDefinition(t.Context()); err != nil {
				t.Fatal(err)
			}
			sink, changes := mysql.NewSink(db), []store.Claim{set(1, 7, "status", "open"), set(2, 8, "status", "open")}
			cut.trigger.Store(&c.trigger)
			_, err := sink.Write(t.Context(), changes)
			wantDown(t, err)
			if cut.cuts.Load() != 1 {
				t.Fatalf("%d connections cut, want 1", cut.cuts.Load())
			}
			cut.trigger.Store(nil)
			wantFields(t, direct, 1, 7, "status", "open")
			write(t, direct, set(2, 9, "status", "newer"))
			results, err := sink.Write(t.Context(), changes)
			if err != nil {
				t.Fatal(err)
			}
			wantStored(t, results, 7, 9)
		})
	}
}
