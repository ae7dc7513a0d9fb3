// Package config is the daemon's configuration: a TOML file, overridden by environment variables, overridden by flags.
//
// A key sites.main.dsn is set by the variable TICKETD_SITES_MAIN_DSN: the key in capitals, dots as underscores, with the prefix
// TICKETD_. A site's name in a variable is a site of the file, or the text up to the first underscore. Flags
// are given as key=value.
//
// [Load] reports every mistake at once, each with its key. No message and no String shows a secret.
package config
