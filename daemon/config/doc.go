// Package config is the daemon's configuration: a TOML file, overridden by environment variables, overridden by flags.
//
// A key sites.main.dsn is set by the variable TICKETD_SITES_MAIN_DSN: the key in capitals, dots as underscores, with the prefix
// TICKETD_. TICKETD_SITES_BLOG_2_DSN is sites.blog-2.dsn, and TICKETD_SITES_MAIN_COLUMNS_SUBJECT is sites.main.columns.subject.
// TICKETD_CONFIG_TOML has the text of the file, which is then not read. Flags are given as key=value.
//
// [Load] reports every mistake at once, each with its key. No message and no String shows a secret.
package config
