package mysql_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
)

const benchRows = 1000

// BenchmarkSink updates 1,000 tickets a round through the sink, on the three kinds of table; BenchmarkRawUpsert uses the
// plainest loop that sends the same columns without guard or grouping. Compare rows/s.
func BenchmarkSink(b *testing.B) {
	for _, kind := range []struct{ name, alter string }{
		{"own column", ""},
		{"side table", "DROP COLUMN revision"},
		// No row can be inserted with the columns of a change, so each is an UPDATE.
		{"side table, a column that must be given", "DROP COLUMN revision, ADD COLUMN source VARCHAR(20) NOT NULL"},
	} {
		b.Run(kind.name, func(b *testing.B) {
			db := benchDB(b)
			if kind.alter != "" {
				fillTickets(b, db, "ALTER TABLE wp_support_tickets "+kind.alter)
			}
			sink := mysql.NewSink(db)
			changes := make([]store.Claim, benchRows)
			revision := ticket.Revision(0)
			for b.Loop() {
				revision++
				for i := range changes {
					changes[i] = set(ticket.ID(i+1), revision, "status", "pending", "priority", "high", "assigned_to", "42",
						"updated_at", "2026-01-02 03:04:05")
				}
				results, err := sink.Write(b.Context(), changes)
				if err != nil || results[0].Refused != nil {
					b.Fatal(err, results[0].Refused)
				}
			}
			b.ReportMetric(float64(benchRows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// fillTickets makes the rows, alters the table and adopts the table.
func fillTickets(b *testing.B, db *mysql.DB, alter string) {
	b.Helper()
	for _, statement := range []string{
		fmt.Sprintf("INSERT INTO wp_support_tickets (ticket_id) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "+
			"WHERE i < %d) SELECT i FROM n", benchRows), alter,
	} {
		if _, err := db.Pool().ExecContext(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := db.Migrate(b.Context(), mysql.MigrateOptions{}); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkRawUpsert(b *testing.B) {
	db := benchDB(b)
	query := "INSERT INTO wp_support_tickets (ticket_id, revision, status, priority, assigned_to, updated_at) VALUES " +
		strings.Repeat("(?,?,?,?,?,?),", benchRows-1) + "(?,?,?,?,?,?) ON DUPLICATE KEY UPDATE revision=VALUES(revision)," +
		"status=VALUES(status),priority=VALUES(priority),assigned_to=VALUES(assigned_to),updated_at=VALUES(updated_at)"
	revision := 0
	for b.Loop() {
		revision++
		args := make([]any, 0, 6*benchRows)
		for i := range benchRows {
			args = append(args, i+1, revision, "pending", "high", "42", "2026-01-02 03:04:05")
		}
		if _, err := db.Pool().ExecContext(b.Context(), query, args...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(benchRows*b.N)/b.Elapsed().Seconds(), "rows/s")
}

func benchDB(b *testing.B) *mysql.DB {
	b.Helper()
	server, name := testenv.SharedMariaDB(b)
	db, err := mysql.Open(mysql.Config{DSN: server.DSN(name)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(b.Context(), mysql.MigrateOptions{}); err != nil {
		b.Fatal(fmt.Errorf("migrating: %w", err))
	}
	return db
}
