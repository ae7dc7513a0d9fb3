package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	sdnotify "github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
)

// defaultConfig is where the packages put the configuration.
const defaultConfig = "/etc/ticketd/ticketd.toml"

// configFlags name a configuration.
type configFlags struct {
	path string
	set  []string
}

func (f *configFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.path, "config", envOr("TICKETD_CONFIG", defaultConfig), "the configuration file ($TICKETD_CONFIG)")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "key=value over file and environment; may be repeated")
}

func (f *configFlags) load() (*config.Config, error) {
	for _, flag := range f.set {
		if key, _, _ := strings.Cut(flag, "="); config.SecretKey(key) {
			return nil, &usageError{fmt.Errorf("--set %s: every user of this host can read a command line: put it into the "+
				"configuration, a file that it names (%s_file), or the environment", key, key)}
		}
	}
	return config.Load(f.path, os.Environ(), f.set)
}

func newServe(o *options) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the daemon", Args: cobra.NoArgs,
		Long: "Run the daemon in the foreground.\n\n" +
			"SIGTERM and SIGINT stop it in order, a second one at once; SIGHUP reloads the configuration.",
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), &f, o.err) },
	}
	f.add(cmd)
	return cmd
}

func serve(ctx context.Context, f *configFlags, stderr *os.File) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	boot.SetLevel(c.Log.Level)
	log := newLog(c.Log.Format, stderr)
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
	go reloads(reloading, hangups, f, d, log)
	context.AfterFunc(reloading, func() { notify(log, stopping(c.Daemon.ShutdownTimeout)) })
	timeout, err := sdnotify.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn().Err(err).Msg("systemd's watchdog is not served")
	} else if timeout > 0 {
		d.Watch(timeout, func() { notify(log, sdnotify.SdNotifyWatchdog) })
	}
	return d.Run(ctx, func() { notify(log, sdnotify.SdNotifyReady) })
}

// takeHalf leaves half of the processors to those that the daemon works with and for: PHP, Redis, MySQL. With more, the runtime
// wakes a thread on another processor at each request, only to find that there is no more to do, and what it wakes it for
// waits for that processor. GOMAXPROCS in the environment decides otherwise.
func takeHalf() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0)/2, 1))
	}
}

// ballastBytes of memory that nobody touches, so that it takes none: the collector counts it to the heap, and so collects after
// that much new garbage instead of after four megabytes, which a few hundred writes make.
const ballastBytes = 16 << 20

// reloads applies the configuration again at each SIGHUP. One that is wrong is reported and changes nothing.
func reloads(ctx context.Context, hangups <-chan os.Signal, f *configFlags, d *boot.Daemon, log zerolog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
		}
		notify(log, sdnotify.SdNotifyReloading+"\n"+sdnotify.SdNotifyMonotonicUsec())
		c, err := f.load()
		if err == nil {
			err = d.Reload(c)
		}
		if err != nil {
			log.Error().Err(err).Msg("the configuration is not reloaded; the one before stays in force")
		}
		notify(log, sdnotify.SdNotifyReady)
	}
}

// stopping is what systemd is told at the stop: it has to wait for longer than the orderly stop may take, whatever the unit says.
func stopping(timeout time.Duration) string {
	const margin = 5 * time.Second
	return fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", sdnotify.SdNotifyStopping, (timeout + margin).Microseconds())
}

// notify tells systemd where there is one.
func notify(log zerolog.Logger, state string) {
	if _, err := sdnotify.SdNotify(false, state); err != nil {
		log.Warn().Err(err).Msg("systemd cannot be notified")
	}
}

func newLog(format string, stderr *os.File) zerolog.Logger {
	var out io.Writer = stderr
	if format == "console" || (format == "auto" && term.IsTerminal(int(stderr.Fd()))) {
		out = zerolog.ConsoleWriter{Out: stderr, TimeFormat: time.TimeOnly}
	}
	return zerolog.New(out).With().Timestamp().Logger()
}

// siteConfig returns the site that --site names, or the only one.
func siteConfig(c *config.Config, name string) (config.Site, error) {
	name, err := siteName(c, name)
	return c.Sites[name], err
}

// loadSite reads the configuration, and returns the name of the site that --site names, or of the only one.
func (o *options) loadSite(f *configFlags) (c *config.Config, name string, err error) {
	if c, err = f.load(); err != nil {
		return nil, "", err
	}
	name, err = siteName(c, o.site)
	return c, name, err
}

// siteName returns the name of the site that --site names, or of the only one.
func siteName(c *config.Config, name string) (string, error) {
	if name == "" && len(c.Sites) == 1 {
		name = c.SiteNames()[0]
	}
	if _, there := c.Sites[name]; !there {
		return "", &usageError{fmt.Errorf("--site %q: the configuration has %v", name, c.SiteNames())}
	}
	return name, nil
}
