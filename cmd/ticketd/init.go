package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/setup"
)

func newInit(o *options) *cobra.Command {
	var s setup.Options
	var add string
	cmd := &cobra.Command{
		Use: "init --wp /var/www/html", Short: "Write a configuration for a WordPress, check it, and create the table",
		Args: cobra.NoArgs,
		Long: "Read the database from a WordPress' wp-config.php, look for a Redis on this host, write the configuration, and " +
			"create the\n" +
			"tickets table. A table that another plugin made under that name is not taken over: --adopt uses it, --table names another. " +
			"Nothing is\nwritten unless all of it can be used. PHP is never run: where wp-config.php computes a value, " +
			"this\n" +
			"says so. Values that PHP takes from its environment are taken from this command's.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.WordPress == "" {
				return &usageError{errors.New("--wp: name the folder of WordPress, e.g. --wp /var/www/html")}
			}
			s.Site, s.Add = o.site, add != ""
			if s.Add {
				s.Site = add
			}
			if s.Add && s.Force {
				return &usageError{errors.New("--add replaces nothing, so --force means nothing beside it")}
			}
			if s.Moved && s.Copy {
				return &usageError{errors.New("--moved and --copy: it is one of the two")}
			}
			s.Say = func(format string, args ...any) { fmt.Fprintf(o.err, format+"\n", args...) }
			if err := setup.Run(cmd.Context(), s); err != nil {
				return err
			}
			prepareNewSpool(s.Config, s.Say)
			fmt.Fprintln(o.err, "next: systemctl restart ticketd.socket ticketd.service, then activate the plugin in WordPress; "+
				"ticketd doctor looks at all of it")
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.WordPress, "wp", "", "the folder of WordPress, or its wp-config.php")
	flags.StringVar(&s.Config, "config", envOr("TICKETD_CONFIG", defaultConfig), "the configuration file to write ($TICKETD_CONFIG)")
	flags.StringVar(&s.Redis, "redis", "", "host:port or unix:///path of a Redis, or none for the journal alone; looked for "+
		"where not given")
	flags.StringVar(&add, "add", "", "add a site of that name to the configuration that is there, and leave the rest of it alone")
	flags.BoolVar(&s.Force, "force", false, "replace a configuration that is there; a copy of it is kept beside it")
	flags.BoolVar(&s.Moved, "moved", false, "the table's server was replaced, renamed or restored here: the table is the same")
	flags.BoolVar(&s.Copy, "copy", false, "the table is a copy of another site's: it becomes one of its own")
	flags.StringVar(&s.Table, "table", "", "the tickets table; {prefix}support_tickets where not given")
	flags.BoolVar(&s.Adopt, "adopt", false, "use a table that is there and that ticketd did not make; it is never altered")
	flags.BoolVar(&s.NoMigrate, "no-migrate", false, "leave the database as it is, but for connecting to it")
	return cmd
}

// prepareNewSpool makes the users' folders in the spool, where this installation has one. What fails does not make the configuration
// wrong: the service tries again at its start.
func prepareNewSpool(path string, say func(format string, args ...any)) {
	c, err := config.LoadOpen(path, os.Environ(), nil)
	if err != nil || c.Daemon.SpoolDir == "" {
		return
	}
	if _, err := os.Lstat(c.Daemon.SpoolDir); err != nil || os.Geteuid() != 0 {
		say("note: 'ticketd spool prepare', run as root, makes a folder in %s for each user that may use the site", c.Daemon.SpoolDir)
		return
	}
	if err := boot.PrepareSpool(c, "", say); err != nil {
		say("note: not all users have a folder in the spool: %v", err)
	}
}
