package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/bench/round"
)

// The rivals that do the whole job: the guide's write, and what brings the write to MySQL. See php/jobs.php and php/queue.php.
const (
	eventDriven     = "(a) queue and worker, row by row"
	actionScheduler = "(b) Action Scheduler, batches of 100"
	writeThrough    = "(c) $wpdb upsert in the request"
)

// jobRows are the rows that the tables have before, so that each write changes a row and inserts no row.
const jobRows = 100_000

// job measures the processor time of a write in all processes until MySQL has the write. Each turn writes each ticket once, so
// that nobody saves a row by writing two changes of a ticket at once.
func job(ctx context.Context, e *env) (lines []line, err error) {
	queues, err := e.startQueues(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, queues.stop()) }()
	w, err := e.startPHP(ctx, e.unixPlaces())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	w.pids = append(w.pids, queues.pids()...)
	const rounds = 8
	times := e.much(500) // less than php/ways.php has tickets
	return e.inRounds(ctx, rounds, []round.Side{
		w.jobSide(ticketd, wayTicketd, times, e.main.flush),
		w.jobSide(journaled, wayJournal, times, e.journal.flush),
		w.jobSide(withoutRedis, wayAlone, times, e.alone.flush),
		w.jobSide(eventDriven, "event", times, queues.event.drain),
		w.jobSide(actionScheduler, "scheduled", times, queues.scheduled.drain),
		w.jobSide(writeThrough, "through", times, nothingOwed),
	}, func(t round.Table) []line {
		const what = "whole job, processor time of a write, against "
		return costs(
			jobLine(what+eventDriven, t, eventDriven, target{atMost: 0.35}),
			withoutSides(jobLine(what+actionScheduler, t, actionScheduler, target{atMost: 0.35})),
			withoutSides(jobLine(what+writeThrough, t, writeThrough, target{atMost: 0.5})),
		)
	})
}

// jobLine compares processor times.
func jobLine(what string, t round.Table, against string, bound target) line {
	l := timed(what, t, ticketd, against, bound)
	l.sideUnit = "µs of processor time"
	return l
}

// nothingOwed ends the job of a way whose writes are in MySQL with the answer.
func nothingOwed(context.Context) error { return nil }

// jobSide makes a side of a way whose job is done after drain. The compared figure is the processor time of all processes.
func (w *phpWorker) jobSide(name, way string, times int, drain func(context.Context) error) round.Side {
	return round.Side{Name: name, Run: func(ctx context.Context) (round.Sample, error) {
		before, err := cpu(w.pids...)
		if err != nil {
			return round.Sample{}, err
		}
		if _, err := w.run("one", way, times); err != nil {
			return round.Sample{}, err
		}
		if err := drain(ctx); err != nil {
			return round.Sample{}, err
		}
		after, err := cpu(w.pids...)
		spent := perTime(after-before, times)
		return round.Sample{Value: spent, CPU: spent}, err
	}}
}

// jobThroughFPM measures how many requests a second nginx and PHP-FPM serve if each writes once, until MySQL has all writes.
func jobThroughFPM(ctx context.Context, e *env) (lines []line, err error) {
	for _, table := range []string{plainTable, e.main.table, e.journal.table, e.alone.table} {
		if err := e.fillTable(ctx, table, e.much(jobRows)); err != nil {
			return nil, err
		}
	}
	queues, err := e.startQueues(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, queues.stop()) }()
	w, err := e.startWeb(ctx, "job", e.unixPlaces())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	w.pids = append(w.pids, queues.pids()...)
	const rounds = 6
	each, tickets := e.span(500*time.Millisecond), "tickets="+strconv.Itoa(e.much(jobRows))
	return e.inRounds(ctx, rounds, []round.Side{
		w.jobSide(ticketd, "ticketd.php?way="+wayTicketd+"&"+tickets, each, nil, e.main.flush),
		w.jobSide(journaled, "ticketd.php?way="+wayJournal+"&"+tickets, each, nil, e.journal.flush),
		w.jobSide(withoutRedis, "ticketd.php?way="+wayAlone+"&"+tickets, each, nil, e.alone.flush),
		w.jobSide(eventDriven, "event.php?"+tickets, each, nil, queues.event.drain),
		w.jobSide(actionScheduler, "scheduled.php?"+tickets, each, queues.scheduled.drain, queues.scheduled.drain),
		w.jobSide(writeThrough, "through.php?"+tickets, each, nil, nothingOwed),
	}, func(t round.Table) []line {
		const what = "whole job, writes/s through nginx and PHP-FPM, against "
		return []line{
			rated(what+eventDriven, t, ticketd, eventDriven, target{}),
			withoutSides(rated(what+actionScheduler, t, ticketd, actionScheduler, target{})),
			withoutSides(rated(what+writeThrough, t, ticketd, writeThrough, target{})),
		}
	})
}

// jobSide requests a script for a time, with meanwhile, if set, twice a second, and then waits until drain has brought all writes
// to MySQL. The rate is that of the whole time.
func (w *web) jobSide(name, script string, each time.Duration, meanwhile, drain func(context.Context) error) round.Side {
	return round.Side{Name: name, Run: func(ctx context.Context) (round.Sample, error) {
		before, err := cpu(w.pids...)
		if err != nil {
			return round.Sample{}, err
		}
		begin := time.Now()
		loaded, ended := make(chan struct{}), make(chan error, 1)
		go func() { ended <- everyHalfSecond(ctx, loaded, meanwhile) }()
		rate, err := httpLoad(ctx, w.address, "/"+script, visitors, each)
		loading := time.Since(begin)
		close(loaded)
		if err := errors.Join(err, <-ended); err != nil {
			return round.Sample{}, err
		}
		if err := drain(ctx); err != nil {
			return round.Sample{}, err
		}
		writes := rate * loading.Seconds()
		took := time.Since(begin)
		after, err := cpu(w.pids...)
		return round.Sample{Value: writes / took.Seconds(), CPU: perTime(after-before, int(writes))}, err
	}}
}

// everyHalfSecond runs work, if set, until end is closed.
func everyHalfSecond(ctx context.Context, end <-chan struct{}, work func(context.Context) error) error {
	if work == nil {
		return nil
	}
	const period = 500 * time.Millisecond
	ticks := time.NewTicker(period)
	defer ticks.Stop()
	for {
		select {
		case <-end:
			return nil
		case <-ticks.C:
			if err := work(ctx); err != nil {
				return err
			}
		}
	}
}

// queues are the PHP processes that bring the rivals' writes to MySQL.
type queues struct {
	event, scheduled *queue
}

func (e *env) startQueues(ctx context.Context) (q *queues, err error) {
	if err := e.actionSchedulerTables(ctx); err != nil {
		return nil, err
	}
	q = &queues{}
	if q.event, err = e.startQueue(ctx, "event"); err != nil {
		return nil, err
	}
	if q.scheduled, err = e.startQueue(ctx, "scheduled"); err != nil {
		return nil, errors.Join(err, q.stop())
	}
	return q, nil
}

func (q *queues) pids() []int { return []int{q.event.cmd.Process.Pid, q.scheduled.cmd.Process.Pid} }

func (q *queues) stop() error {
	var errs []error
	for _, one := range []*queue{q.event, q.scheduled} {
		if one != nil {
			errs = append(errs, one.stop())
		}
	}
	return errors.Join(errs...)
}

// queue is a process of php/queue.php.
type queue struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	redis *goredis.Client
	event bool
}

func (e *env) startQueue(ctx context.Context, mode string) (*queue, error) {
	file, err := e.placesFile(e.unixPlaces())
	if err != nil {
		return nil, err
	}
	options := e.redis.Options()
	options.DB = 1 // that of the guide's way
	q := &queue{redis: goredis.NewClient(options), event: mode == "event"}
	q.cmd = exec.CommandContext(ctx, "php", "-d", "opcache.enable_cli=1", filepath.Join("bench", "php", "queue.php"), file, mode)
	q.cmd.Stderr = os.Stderr
	q.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err1 := q.cmd.StdinPipe()
	out, err2 := q.cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, errors.Join(err, q.redis.Close())
	}
	q.in, q.out = in, bufio.NewReader(out)
	if err := q.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the PHP queue: %w", err), q.redis.Close())
	}
	if err := q.says("ready"); err != nil {
		return nil, errors.Join(err, q.stop())
	}
	return q, nil
}

// drain returns when MySQL has all writes that were made before.
func (q *queue) drain(ctx context.Context) (err error) {
	if q.event {
		err = q.redis.RPush(ctx, "plain:queue", 0).Err()
	} else {
		_, err = fmt.Fprintln(q.in, "run")
	}
	if err != nil {
		return fmt.Errorf("asking the PHP queue: %w", err)
	}
	return q.says("done")
}

// says waits for a line.
func (q *queue) says(want string) error {
	line, err := q.out.ReadString('\n')
	if err != nil || line != want+"\n" {
		return fmt.Errorf("the PHP queue says %q and not %q (%w)", line, want, err)
	}
	return nil
}

// stop kills the process, whose work is drained after each turn.
func (q *queue) stop() error {
	_ = q.cmd.Process.Kill() // fails if the process has ended already
	_ = q.cmd.Wait()
	return q.redis.Close()
}

// actionSchedulerTables makes the tables of Action Scheduler 3, with their indexes.
func (e *env) actionSchedulerTables(ctx context.Context) error {
	for _, text := range []string{
		`CREATE TABLE IF NOT EXISTS actionscheduler_actions (
			action_id bigint(20) unsigned NOT NULL auto_increment, hook varchar(191) NOT NULL, status varchar(20) NOT NULL,
			scheduled_date_gmt datetime NULL, scheduled_date_local datetime NULL, priority tinyint unsigned NOT NULL DEFAULT '10',
			args varchar(191), schedule longtext, group_id bigint(20) unsigned NOT NULL DEFAULT '0',
			attempts int(11) NOT NULL DEFAULT '0', last_attempt_gmt datetime NULL, last_attempt_local datetime NULL,
			claim_id bigint(20) unsigned NOT NULL DEFAULT '0', extended_args varchar(8000) DEFAULT NULL,
			PRIMARY KEY (action_id), KEY hook_status_scheduled_date_gmt (hook(163), status, scheduled_date_gmt),
			KEY status_scheduled_date_gmt (status, scheduled_date_gmt), KEY scheduled_date_gmt (scheduled_date_gmt),
			KEY args (args), KEY group_id (group_id), KEY last_attempt_gmt (last_attempt_gmt),
			KEY claim_id_status_priority_scheduled_date_gmt (claim_id, status, priority, scheduled_date_gmt)
		) DEFAULT CHARSET utf8mb4`,
		`CREATE TABLE IF NOT EXISTS actionscheduler_claims (
			claim_id bigint(20) unsigned NOT NULL auto_increment, date_created_gmt datetime NULL,
			PRIMARY KEY (claim_id), KEY date_created_gmt (date_created_gmt)
		) DEFAULT CHARSET utf8mb4`,
		`CREATE TABLE IF NOT EXISTS actionscheduler_logs (
			log_id bigint(20) unsigned NOT NULL auto_increment, action_id bigint(20) unsigned NOT NULL, message text NOT NULL,
			log_date_gmt datetime NULL, log_date_local datetime NULL,
			PRIMARY KEY (log_id), KEY action_id (action_id), KEY log_date_gmt (log_date_gmt)
		) DEFAULT CHARSET utf8mb4`,
	} {
		if _, err := e.db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("making the tables of Action Scheduler: %w", err)
		}
	}
	return nil
}
