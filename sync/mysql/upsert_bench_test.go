package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
)

// BenchmarkUpsert compares forms of the statement that flushes tickets: without a guard, with the guard in other places, with a
// joined UPDATE, prepared, and in batches of other sizes. Each form updates the same 2,000 rows in a round, one form after the
// other. Processor times are lower quartiles over the rounds, as other load on the machine only adds to them: the time of the
// connection's thread in the server, also as a multiple of the raw upsert's ("×raw"); the time of the whole server until the
// statement has ended, and until purge has ended. rows/s is a median and has the client's work in it.
//
//	go test ./sync/mysql -run '^$' -bench BenchmarkUpsert
func BenchmarkUpsert(b *testing.B) {
	f := newForms(b)
	const rounds = 24
	threads, servers, purges, rates := round.Table{}, round.Table{}, round.Table{}, round.Table{}
	sides := f.sides()
	for i, side := range sides {
		name, run := side.Name, side.Run
		sides[i].Run = func(ctx context.Context) (round.Sample, error) {
			f.serial++
			err1 := f.drain(ctx)
			thread, server, err2 := f.bill()
			begin := time.Now()
			_, err3 := run(ctx)
			took := time.Since(begin)
			threadAfter, serverAfter, err4 := f.bill()
			err5 := f.drain(ctx)
			_, purged, err6 := f.bill()
			threads[name] = append(threads[name], round.Sample{Value: perRow(threadAfter - thread)})
			servers[name] = append(servers[name], round.Sample{Value: perRow(serverAfter - server)})
			purges[name] = append(purges[name], round.Sample{Value: perRow(purged - server)})
			rates[name] = append(rates[name], round.Sample{Value: formRows / took.Seconds()})
			return round.Sample{}, errors.Join(err1, err2, err3, err4, err5, err6)
		}
	}
	if _, err := round.Run(b.Context(), rounds, sides...); err != nil {
		b.Fatal(err)
	}
	for _, side := range sides {
		b.Run(strings.ReplaceAll(side.Name, " ", "_"), func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(threads.Value(side.Name).Low, "thread-µs/row")
			b.ReportMetric(threads.Value(side.Name).Low/threads.Value(rawForm).Low, "×raw")
			b.ReportMetric(servers.Value(side.Name).Low, "server-µs/row")
			b.ReportMetric(purges.Value(side.Name).Low, "purged-µs/row")
			b.ReportMetric(rates.Value(side.Name).Median, "rows/s")
		})
	}
}

const (
	rawForm  = "raw"
	formRows = 2000
)

func perRow(t time.Duration) float64 { return float64(t.Nanoseconds()) / 1000 / formRows }

// forms are the compared forms of the statement.
type forms struct {
	db       *mysql.DB
	pid, tid int // of the server, and of the thread of db's only connection
	serial   int // makes the values of each round new
}

func newForms(b *testing.B) *forms {
	b.Helper()
	server, name := testenv.SharedMariaDB(b)
	db, err := mysql.Open(mysql.Config{DSN: server.DSN(name)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if _, err := db.Migrate(b.Context(), mysql.MigrateOptions{}); err != nil {
		b.Fatal(err)
	}
	f := &forms{db: db, pid: server.PID()}
	if _, err := mysql.NewSink(db).Write(b.Context(), f.changes(1, formRows)); err != nil {
		b.Fatal(err)
	}
	db.Pool().SetMaxOpenConns(1)
	if f.tid, err = f.thread(b.Context()); err != nil {
		b.Fatal(err)
	}
	return f
}

// thread returns the server's thread of the connection: the thread that computes for the connection.
func (f *forms) thread(ctx context.Context) (tid int, err error) {
	before, err1 := f.threads()
	_, err2 := f.db.Pool().ExecContext(ctx, "DO BENCHMARK(1000000, SHA2('x', 256))")
	after, err3 := f.threads()
	for t, used := range after {
		if tid == 0 || used-before[t] > after[tid]-before[tid] {
			tid = t
		}
	}
	return tid, errors.Join(err1, err2, err3)
}

// bill is the processor time so far of the connection's thread and of the server.
func (f *forms) bill() (thread, server time.Duration, err error) {
	threads, err1 := f.threads()
	server, err2 := f.server()
	return threads[f.tid], server, errors.Join(err1, err2)
}

// changes are new values of n tickets, of the columns that a support agent's write changes.
func (f *forms) changes(from, n int) []store.Claim {
	changes := make([]store.Claim, n)
	for i := range changes {
		changes[i] = set(ticket.ID(from+i), ticket.Revision(1_000_000*f.serial+from+i), "status", "pending", "category", "printers",
			"priority", "high", "assigned_to", strconv.Itoa(f.serial),
			"updated_at", time.Date(2026, 1, 1, 0, 0, f.serial, 0, time.UTC).Format(time.DateTime))
	}
	return changes
}

var formColumns = []string{"status", "category", "priority", "assigned_to", "updated_at"}

// each joins a text for each column.
func each(text func(column string) string) string {
	var all strings.Builder
	for _, c := range formColumns {
		all.WriteString(text("`" + c + "`"))
	}
	return all.String()
}

// assign assigns a value to each column, and then the revision.
func assign(value func(column string) string, revision string) string {
	return each(func(c string) string { return c + "=" + value(c) + "," }) + "`revision`=" + revision
}

// sides are the forms.
func (f *forms) sides() []round.Side {
	const onlyRevision = "VALUES(`revision`)>`revision`"
	const onDuplicate = " ON DUPLICATE KEY UPDATE "
	// tail returns the text behind the rows from the present guard and the assignment of the revision where the guard fails.
	upsert := func(name string, size int, tail func(guard, kept string) string) round.Side {
		return f.side(name, size, func(query string) string {
			head, present, _ := strings.Cut(query, onDuplicate)
			guard, _, _ := strings.Cut(strings.TrimPrefix(present, "`status`=IF("), ",VALUES(`status`)")
			_, kept, _ := strings.Cut(present, ",VALUES(`revision`),")
			return head + onDuplicate + tail(guard, strings.TrimSuffix(kept, ")"))
		})
	}
	perColumn := func(guard, kept string) string {
		return assign(func(c string) string { return "IF(" + guard + ",VALUES(" + c + ")," + c + ")" },
			"IF("+guard+",VALUES(`revision`),"+kept+")")
	}
	values := func(c string) string { return "VALUES(" + c + ")" }
	same := func(query string) string { return query }
	unguarded := func(query string) string {
		head, _, _ := strings.Cut(query, onDuplicate)
		return head + onDuplicate + assign(values, "VALUES(`revision`)")
	}
	const size = formRows / 2
	return []round.Side{
		f.side(rawForm, size, unguarded),
		upsert("raw, the revision guarded", size, func(string, string) string {
			return assign(values, "IF("+onlyRevision+",VALUES(`revision`),`revision`)")
		}),
		upsert("raw, each column guarded", size, func(_, kept string) string { return perColumn(onlyRevision, kept) }),
		f.side("present", size, same),
		upsert("guard in a user variable", size, func(guard, kept string) string {
			decide := "@written:=" + guard
			return assign(func(c string) string {
				use := decide
				decide = "@written"
				return "IF(" + use + ",VALUES(" + c + ")," + c + ")"
			}, "IF(@written,VALUES(`revision`),"+kept+")")
		}),
		upsert("revision first, then compared", size, func(guard, kept string) string {
			return "`revision`=IF(" + guard + ",VALUES(`revision`)," + kept + ")" + each(func(c string) string {
				return "," + c + "=IF(`revision`=VALUES(`revision`) AND VALUES(`ticket_id`)=`ticket_id`,VALUES(" + c + ")," + c + ")"
			})
		}),
		f.joined("joined UPDATE"),
		f.prepare("present, prepared", same),
		f.prepare("raw, prepared", unguarded),
		f.side("present, 250 rows", formRows/8, same),
		f.side("present, 2000 rows", formRows, same),
		f.look("look-up of rows that must exist"),
	}
}

// side is a form that makes its statements from the present statement, with so many rows in a statement.
func (f *forms) side(name string, size int, form func(query string) string) round.Side {
	return round.Side{Name: name, Run: func(ctx context.Context) (round.Sample, error) {
		for from := 1; from <= formRows; from += size {
			if err := f.run(ctx, from, size, form); err != nil {
				return round.Sample{}, fmt.Errorf("%s: %w", name, err)
			}
		}
		return round.Sample{}, nil
	}}
}

// run writes new values of the tickets from … from+size-1.
func (f *forms) run(ctx context.Context, from, size int, form func(query string) string) error {
	query, args, err := f.db.Upsert(ctx, f.changes(from, size))
	if err == nil {
		_, err = f.db.Pool().ExecContext(ctx, form(query), args...)
	}
	return err
}

// prepare is a form whose statement the server parses once.
func (f *forms) prepare(name string, form func(query string) string) round.Side {
	var prepared *sql.Stmt
	return round.Side{Name: name, Run: func(ctx context.Context) (round.Sample, error) {
		const size = formRows / 2
		for from := 1; from <= formRows; from += size {
			query, args, err := f.db.Upsert(ctx, f.changes(from, size))
			if err == nil && prepared == nil {
				prepared, err = f.db.Pool().PrepareContext(ctx, form(query)) //nolint:sqlclosecheck // it ends with the connection
			}
			if err == nil {
				_, err = prepared.ExecContext(ctx, args...)
			}
			if err != nil {
				return round.Sample{}, fmt.Errorf("%s: %w", name, err)
			}
		}
		return round.Sample{}, nil
	}}
}

// joined updates the rows that the table has, by a join with a list of the new values. Rows that the table lacks would need an
// INSERT, and the number of changed rows would have to tell which rows those are.
func (f *forms) joined(name string) round.Side {
	return round.Side{Name: name, Run: func(ctx context.Context) (round.Sample, error) {
		const size = formRows / 2
		for from := 1; from <= formRows; from += size {
			args := make([]any, 0, size*(len(formColumns)+2))
			for _, c := range f.changes(from, size) {
				args = append(args, int64(c.ID), int64(c.Revision))
				for _, column := range formColumns {
					value, _ := c.Fields.Get(column)
					args = append(args, value.Text())
				}
			}
			query := "UPDATE wp_support_tickets t JOIN (SELECT ? AS ticket_id,? AS revision" +
				each(func(c string) string { return ",? AS " + c }) + strings.Repeat(" UNION ALL SELECT ?,?,?,?,?,?,?", size-1) +
				") n ON n.ticket_id=t.ticket_id SET t.revision=n.revision" +
				each(func(c string) string { return ",t." + c + "=n." + c }) +
				" WHERE t.revision<n.revision AND (t.deleted_at IS NULL OR CAST(t.deleted_at AS CHAR) NOT REGEXP '[^0:. -]')"
			if _, err := f.db.Pool().ExecContext(ctx, query, args...); err != nil {
				return round.Sample{}, fmt.Errorf("%s: %w", name, err)
			}
		}
		return round.Sample{}, nil
	}}
}

// look asks what a flush of tickets that had a row asks before it writes.
func (f *forms) look(name string) round.Side {
	const size = formRows / 2
	const query = "SELECT ticket_id,0 FROM wp_support_tickets WHERE ticket_id IN "
	ask := func(ctx context.Context, from int) error {
		args := make([]any, size)
		for i := range args {
			args[i] = from + i
		}
		rows, err := f.db.Pool().QueryContext(ctx, query+"(?"+strings.Repeat(",?", size-1)+")", args...)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer rows.Close()
		for rows.Next() {
		}
		return rows.Err()
	}
	return round.Side{Name: name, Run: func(ctx context.Context) (round.Sample, error) {
		return round.Sample{}, errors.Join(ask(ctx, 1), ask(ctx, 1+size))
	}}
}

// drain waits until the server has purged the old versions of rows, which it does at any time after a statement.
func (f *forms) drain(ctx context.Context) error {
	const query = "SELECT COUNT FROM information_schema.innodb_metrics WHERE name='trx_rseg_history_len'"
	for last := -1; ; {
		time.Sleep(10 * time.Millisecond) // the benchmark's price for a fair bill
		var left int
		if err := f.db.Pool().QueryRowContext(ctx, query).Scan(&left); err != nil || left == last {
			return err
		}
		last = left
	}
}

// server is the processor time of the whole server.
func (f *forms) server() (time.Duration, error) {
	// The clock's number holds the process id, as in clock_getcpuclockid(3).
	const scheduled = 2
	var t unix.Timespec
	err := unix.ClockGettime(int32(^f.pid<<3|scheduled), &t)
	return time.Duration(t.Nano()), err
}

// threads are the processor times of the server's threads.
func (f *forms) threads() (map[int]time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", f.pid))
	used := make(map[int]time.Duration, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		var tid int
		var t time.Duration
		if _, err := fmt.Sscan(filepath.Base(filepath.Dir(file)), &tid); err != nil {
			return nil, err
		}
		if _, err := fmt.Sscan(string(text), &t); err != nil {
			return nil, err
		}
		used[tid] = t
	}
	return used, err
}
