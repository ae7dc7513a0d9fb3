// Package phpclient gives Go code the files shared with the WordPress plugin, so that each file has a single source.
package phpclient

import _ "embed" // for the directives below

// Schema is the SQL that makes the tickets table and the sequence of ids; the file names the parts to replace.
//
//go:embed ticketd/sql/schema.sql
var Schema string

// Tombstones is the SQL that makes the table of deleted tickets, for a tickets table without a deleted_at column.
//
//go:embed ticketd/sql/tombstones.sql
var Tombstones string

// Sidecar is the SQL that makes the side table of revisions, for a tickets table that ticketd did not make.
//
//go:embed ticketd/sql/sidecar.sql
var Sidecar string

// History is the SQL that makes the table of the tickets' history, for a site that keeps a history.
//
//go:embed ticketd/sql/history.sql
var History string
