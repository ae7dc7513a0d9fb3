package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/movein"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store/redis/link"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/postmeta"
	"github.com/ticketd/ticketd/sync/table"
)

// progressEvery is how often an import prints progress.
const progressEvery = 2 * time.Second

// maxPrinted bounds the refusals printed without --refused.
const maxPrinted = 20

func newImport(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "import", Short: "Import tickets from elsewhere", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newImportRedis(o))
	return cmd
}

// importFlags say where the hashes are.
type importFlags struct {
	config                               configFlags
	addr, username, passwordFile, refuse string
	pattern                              string
	db                                   int
	dryRun, overwrite                    bool
}

func newImportRedis(o *options) *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use: "redis", Short: "Import tickets that a plugin keeps in Redis, one hash for each", Args: cobra.NoArgs,
		Long: "Import the tickets that a plugin keeps in Redis, one hash for each (HSET ticket:812 status open …). Tickets keep\n" +
			"their ids, Unix times become dates, and a hash that the table cannot hold stays in Redis and is listed.\n\n" +
			"Hashes under the site's own names are imported in place. Hashes of another Redis or database are copied through\n" +
			"the daemon, and stay. May run while the daemon works, and again at any time: tickets already imported are skipped,\n" +
			"and an existing ticket with other values is not overwritten without --overwrite.",
		Example: "  ticketd import redis --dry-run\n  ticketd import redis --addr 127.0.0.1:6379 --db 0 --refused refused.jsonl",
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.importRedis(cmd, &f) },
	}
	f.config.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "addr", "", "host:port or unix:///path of the Redis with the hashes; by default from the configuration")
	flags.IntVar(&f.db, "db", 0, "the database of that Redis; without --addr and --db from the configuration")
	flags.StringVar(&f.username, "username", "", "the ACL user, with --addr")
	flags.StringVar(&f.passwordFile, "password-file", "", "a file with the password, with --addr")
	flags.StringVar(&f.pattern, "pattern", "ticket:*", "the names of the hashes; * stands for the ticket's id, at the end")
	flags.StringVar(&f.refuse, "refused", "", "write rejected hashes to this new file, a JSON object a line: id, key, field, reason")
	flags.BoolVar(&f.dryRun, "dry-run", false, "change nothing: ask the daemon about every hash, and say what the import would say")
	flags.BoolVar(&f.overwrite, "overwrite", false, "overwrite existing tickets with other values")
	return cmd
}

func (o *options) importRedis(cmd *cobra.Command, f *importFlags) (err error) {
	prefix, found := strings.CutSuffix(f.pattern, "*")
	if !found || strings.ContainsAny(prefix, "*?[\\") {
		return &usageError{fmt.Errorf("--pattern %q: a pattern is a prefix of the id, and one * at the end", f.pattern)}
	}
	ctx := cmd.Context()
	c, name, err := o.loadSite(ctx, &f.config)
	if err != nil {
		return err
	}
	if site := c.Sites[name]; site.IsMeta() {
		return fmt.Errorf("site %s has no table of tickets: %w", name, postmeta.ErrNoLists)
	}
	s, err := openSource(ctx, c, c.Sites[name], f, cmd.Flags().Changed("db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if !cmd.Flags().Changed("socket") {
		o.socket = c.Daemon.Socket
	}
	client, err := protocol.Dial(ctx, o.socket)
	if err != nil {
		return o.explain(err)
	}
	defer func() { _ = client.Close() }()
	client.Site = name
	refusals, err := openRefusals(f.refuse, o)
	if err != nil {
		return err
	}
	began, told := time.Now(), time.Now()
	sum, err := movein.Run(ctx, movein.Options{
		Source: s.client, Prefix: prefix, Own: s.own, Definition: s.definition, Tickets: &bounded{client, o.timeout},
		DryRun: f.dryRun, Overwrite: f.overwrite, Refuse: refusals.add,
		Progress: func(sum movein.Summary) {
			if time.Since(told) >= progressEvery {
				told = time.Now()
				fmt.Fprintf(o.err, "%d hashes so far, %d rejected\n", sum.Looked(), sum.Refused)
			}
		},
	})
	if sum.Highest > 0 && !f.dryRun { // also for tickets imported before an error
		err = errors.Join(err, mysql.NewSequence(s.database).Raise(ctx, []ticket.ID{sum.Highest}))
	}
	if err = errors.Join(err, refusals.close()); err != nil {
		return fmt.Errorf("%w; run the same command again to go on", err)
	}
	return o.summarize(&sum, f, time.Since(began))
}

// summarize prints the result of an import.
func (o *options) summarize(sum *movein.Summary, f *importFlags, took time.Duration) error {
	would := ""
	if f.dryRun {
		would = "would be "
	}
	fmt.Fprintf(o.out, "%d hashes in %v: %d %simported in place, %d %screated, %d %schanged, %d unchanged, "+
		"%d already ticketd's, %d rejected\n", sum.Looked(), took.Round(time.Millisecond), sum.Adopted, would, sum.Created, would,
		sum.Changed, would, sum.Unchanged, sum.Ours, sum.Refused)
	if sum.Refused == 0 {
		return nil
	}
	where := "--refused FILE writes all of them"
	if f.refuse != "" {
		where = f.refuse + " says why"
	}
	return fmt.Errorf("%d hashes were rejected and stay in Redis: %s; correct them in Redis and run the same command again",
		sum.Refused, where)
}

// source is the Redis with the hashes and the places where tickets go.
type source struct {
	client     goredis.UniversalClient
	own        movein.Owner
	database   *mysql.DB
	definition *table.Definition
	close      func() error
}

// openSource connects to all places.
func openSource(ctx context.Context, c *config.Config, site config.Site, f *importFlags, dbGiven bool) (s *source, err error) {
	s = &source{close: func() error { return nil }}
	defer func() {
		if err != nil {
			_ = s.close()
		}
	}()
	from := *c
	if f.addr != "" {
		from.Redis = config.Redis{
			Addr: f.addr, Username: f.username, PoolSize: c.Redis.PoolSize,
			DialTimeout: c.Redis.DialTimeout, ReadTimeout: c.Redis.ReadTimeout, WriteTimeout: c.Redis.WriteTimeout,
		}
	}
	if f.passwordFile != "" {
		password, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return s, &usageError{fmt.Errorf("--password-file: %w", err)}
		}
		from.Redis.Password = config.Secret(strings.TrimSpace(string(password)))
	}
	if dbGiven || f.addr != "" {
		from.Redis.DB = f.db
	}
	if !from.HasRedis() {
		return s, &usageError{errors.New("--addr: the configuration has no [redis]; name the Redis with the hashes")}
	}
	if s.client, err = boot.OpenRedis(&from); err != nil {
		return s, err
	}
	s.close = s.client.Close
	if err = s.client.Ping(ctx).Err(); err != nil {
		return s, fmt.Errorf("the Redis with the hashes does not answer: %w", err)
	}
	if err = s.openSite(ctx, c, &from, site, f.overwrite); err != nil {
		return s, err
	}
	s.definition, err = s.database.LoadDefinition(ctx)
	return s, err
}

// openSite connects to the site's own places.
func (s *source) openSite(ctx context.Context, c, from *config.Config, site config.Site, overwrite bool) (err error) {
	first := s.close
	if !c.HasRedis() {
		if s.database, err = boot.OpenDatabase(site); err == nil {
			s.close = func() error { return errors.Join(first(), s.database.Close()) }
		}
		return err
	}
	places, err := boot.OpenPlaces(c, site)
	if err != nil {
		return err
	}
	s.close = func() error { return errors.Join(first(), places.Close()) }
	s.database = places.Database
	places.Overwrite = overwrite
	same, err := sameDatabase(ctx, c, from, s.client)
	if same {
		s.own = places.Store.Store
	}
	return err
}

// sameDatabase says whether the hashes lie in the database that the site uses, however the two are addressed.
func sameDatabase(ctx context.Context, c, from *config.Config, client goredis.UniversalClient) (bool, error) {
	if c.Redis.DB != from.Redis.DB {
		return false, nil
	}
	own, err := boot.OpenRedis(c)
	if err != nil {
		return false, err
	}
	defer func() { _ = own.Close() }()
	here, err := link.Info(ctx, own)
	if err != nil {
		return false, fmt.Errorf("the site's own Redis: %w", err)
	}
	there, err := link.Info(ctx, client)
	if err != nil {
		return false, fmt.Errorf("the Redis with the hashes: %w", err)
	}
	return here["run_id"] == there["run_id"], nil
}

// bounded calls the daemon, each time within a time-out.
type bounded struct {
	client  *protocol.Client
	timeout time.Duration
}

func (b *bounded) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, b.timeout, fmt.Errorf("no answer within %v (--timeout)", b.timeout))
}

func (b *bounded) Check(ctx context.Context, entries []protocol.CheckEntry) ([]protocol.CheckOutcome, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	return b.client.Check(ctx, entries)
}

func (b *bounded) SetMany(ctx context.Context, tickets []protocol.TicketFields, requestID string) ([]protocol.SetOutcome, error) {
	ctx, cancel := b.within(ctx)
	defer cancel()
	return b.client.SetMany(ctx, tickets, requestID)
}

// refusals writes all refusals to a file, or prints the first [maxPrinted].
type refusals struct {
	o       *options
	file    *os.File
	encoder *json.Encoder
	printed int
}

func openRefusals(path string, o *options) (*refusals, error) {
	r := &refusals{o: o}
	if path == "" {
		return r, nil
	}
	var err error
	if r.file, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
		return nil, &usageError{fmt.Errorf("--refused: %w", err)}
	}
	r.encoder = json.NewEncoder(r.file)
	return r, nil
}

func (r *refusals) add(one movein.Refusal) error {
	if r.encoder != nil {
		return r.encoder.Encode(one)
	}
	if r.printed++; r.printed <= maxPrinted {
		field := ""
		if one.Field != "" {
			field = one.Field + ": "
		}
		fmt.Fprintf(r.o.err, "%s: %s%s\n", one.Key, field, one.Reason)
	}
	return nil
}

func (r *refusals) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}
