// Package phpclient gives Go code the files that it shares with the WordPress plugin, so that there is one source of
// each.
package phpclient

import _ "embed" // the directives below need it

// Schema is the SQL that makes the tickets table and the sequence of its ids; the file says what to replace in it.
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
