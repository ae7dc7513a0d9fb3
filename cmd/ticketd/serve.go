package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	sdnotify "github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/logs"
)

// configFlags name a configuration.
type configFlags struct {
	path  string
	set   []string
	blogs boot.Blogs
}

func (f *configFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "config", envOr("TICKETD_CONFIG", config.DefaultPath), "the configuration file ($TICKETD_CONFIG)")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "key=value over file and environment; may be repeated")
}

// load reads the configuration, and makes a site of each blog of its multisites.
func (f *configFlags) load(ctx context.Context) (*config.Config, error) {
	for _, flag := range f.set {
		if key, _, _ := strings.Cut(flag, "="); config.SecretKey(key) {
			return nil, &usageError{fmt.Errorf("--set %s: every user of this host can read a command line: put it into the "+
				"configuration, a file that it names (%s_file), or the environment", key, key)}
		}
	}
	c, err := config.Load(f.path, os.Environ(), f.set)
	if err != nil {
		return nil, err
	}
	if f.blogs.Path = config.Source(f.path, os.Environ()); f.blogs.Say == nil {
		f.blogs.Say = func(format string, args ...any) { fmt.Fprintf(os.Stderr, "note: "+format+"\n", args...) }
	}
	return c, f.blogs.Expand(ctx, c)
}

func newServe(o *options) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the daemon", Args: cobra.NoArgs,
		Long: "Run the daemon in the foreground.\n\n" +
			"SIGTERM and SIGINT stop it in order, a second one at once; SIGHUP reloads the configuration: sites are added and removed,\n" +
			"and users, strategies and the log's level change. The blogs of a multisite are looked up again every minute.",
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), &f, o.err) },
	}
	f.add(cmd)
	return cmd
}

func serve(ctx context.Context, f *configFlags, stderr *os.File) error {
	f.blogs.Keep = true
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil { // a dump would hold passwords and tickets
		fmt.Fprintln(stderr, "core dumps are not switched off:", err)
	}
	c, err := f.load(ctx)
	if err != nil {
		return err
	}
	boot.SetLevel(c.Log.Level)
	log := logs.New(logs.Options{
		Format: c.Log.Format, Terminal: term.IsTerminal(int(stderr.Fd())), Journal: logs.InJournal(stderr), Out: stderr,
	})
	d, err := boot.New(ctx, c, log)
	if err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	reloading, end := context.WithCancel(ctx)
	defer end()
	takeHalf()
	ballast := make([]byte, ballastBytes)
	defer runtime.KeepAlive(ballast)
	f.blogs.Say = func(format string, args ...any) { log.Warn().Msgf(format, args...) }
	go reloads(reloading, hangups, f, c, d, log)
	context.AfterFunc(reloading, func() { notify(log, stopping(c.Daemon.ShutdownTimeout)) })
	timeout, err := sdnotify.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn().Err(err).Msg("systemd's watchdog is not served")
	} else if timeout > 0 {
		d.Watch(timeout, func() { notify(log, sdnotify.SdNotifyWatchdog) })
	}
	return d.Run(ctx, func() { notify(log, sdnotify.SdNotifyReady) })
}

// takeHalf leaves half of the processors to PHP, Redis and MySQL. With more processors the runtime wakes a thread on another
// processor at each request, in vain, and PHP, Redis or MySQL then wait for that processor. GOMAXPROCS in the environment
// overrides takeHalf.
func takeHalf() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0)/2, 1))
	}
}

// ballastBytes of never touched memory, which occupy no pages, count as heap for the garbage collector. So a collection runs
// after that much new garbage and not after four megabytes, which a few hundred writes make.
const ballastBytes = 16 << 20

// blogsEvery is how often the daemon asks a multisite for its blogs.
const blogsEvery = time.Minute

// reloads applies the configuration again at each SIGHUP, and when a multisite of the configuration c has other blogs. A wrong
// configuration is logged and changes nothing.
func reloads(
	ctx context.Context, hangups <-chan os.Signal, f *configFlags, c *config.Config, d *boot.Daemon, log zerolog.Logger,
) {
	again := time.NewTicker(blogsEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			if !f.blogs.Changed(ctx, c) {
				continue
			}
		case <-hangups:
		}
		notify(log, sdnotify.SdNotifyReloading+"\n"+sdnotify.SdNotifyMonotonicUsec())
		now, err := f.load(ctx)
		if err == nil {
			c, err = now, d.Reload(ctx, now)
		}
		if err != nil {
			log.Error().Err(err).Msg("the configuration is not reloaded, or not all of it; what is wrong stays as before")
		}
		notify(log, sdnotify.SdNotifyReady)
	}
}

// stopping is the message to systemd at the stop: systemd must wait for the whole orderly stop, regardless of the unit's
// setting.
func stopping(timeout time.Duration) string {
	const margin = 5 * time.Second
	return fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", sdnotify.SdNotifyStopping, (timeout + margin).Microseconds())
}

// notify sends state to systemd, if systemd runs the daemon.
func notify(log zerolog.Logger, state string) {
	if _, err := sdnotify.SdNotify(false, state); err != nil {
		log.Warn().Err(err).Msg("systemd cannot be notified")
	}
}
