package ids_test

import (
	"context"
	"sync"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/sync/ids"
	"github.com/ticketd/ticketd/sync/mysql"
)

// Two daemons lease from the same database: no id twice, no id of a row, and a typed-in id does not move the numbering.
func TestAllocatorsOnTheRealSequence(t *testing.T) {
	t.Parallel()
	server, name := testenv.SharedMariaDB(t)
	var seen sync.Map
	var all sync.WaitGroup
	for daemon := range 2 {
		db, err := mysql.Open(mysql.Config{DSN: server.DSN(name)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
		if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{}); err != nil {
			t.Fatal(err)
		}
		if daemon == 0 {
			_, err := server.DB(t, name).ExecContext(t.Context(), "INSERT INTO wp_support_tickets (ticket_id) VALUES (4),(5),(17),(4711)")
			if err != nil {
				t.Fatal(err)
			}
		}
		a := ids.New(mysql.NewSequence(db).Lease, db.Taken, 10)
		a.Start(t.Context())
		t.Cleanup(func() {
			if err := a.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		for range 3 {
			all.Go(func() {
				for range 50 {
					id, err := a.Next(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					if _, twice := seen.LoadOrStore(id, true); twice || id == 4 || id == 5 || id == 17 || id > 4711 {
						t.Errorf("id %d was given, twice: %v", id, twice)
					}
				}
			})
		}
	}
	all.Wait()
}
