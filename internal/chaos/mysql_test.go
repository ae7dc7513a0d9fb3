package chaos

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// locked locks the table, like a backup or a long DDL: statements of ticketd wait for the lock.
func (s *site) locked() fault {
	var c *sql.Conn
	return fault{
		target: "table", part: "table",
		apply: func(ctx context.Context) error {
			var err error
			if c, err = s.db.Conn(ctx); err != nil {
				return err
			}
			_, err = c.ExecContext(ctx, "LOCK TABLES "+s.table+" WRITE")
			return err
		},
		heal: func(context.Context) error { // the site keeps no idle connections: the lock ends with this connection
			if c == nil {
				return nil
			}
			if err := c.Close(); !errors.Is(err, sql.ErrConnDone) {
				return err
			}
			return nil
		},
	}
}

// presets are session settings of a server. Each changes which data arrives, or whether it arrives, in a session that keeps
// the setting.
var presets = []string{
	"SET NAMES latin1", "SET NAMES utf8", "SET autocommit = 0", "SET time_zone = '+05:00'", "SET completion_type = 1",
	"SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'", "SET SESSION TRANSACTION READ ONLY",
}

// preset makes the server set up new sessions in this way, and ends the daemons' present sessions. A restarted server has
// forgotten the setting, so no fault of the server itself happens at the same time.
func (s *site) preset(number int) fault {
	preset := presets[abs(number)%len(presets)]
	shape := func(preset string) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			if _, err := s.db.ExecContext(ctx, `SET GLOBAL init_connect = "`+preset+`"`); err != nil {
				return err
			}
			return s.hangUp(ctx)
		}
	}
	return fault{target: "mysql: " + preset, part: "mysql", apply: shape(preset), heal: shape("")}
}

// hangUp ends the daemons' sessions.
func (s *site) hangUp(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, "SELECT id FROM information_schema.PROCESSLIST WHERE user = ?", dbUser)
	if err != nil {
		return err
	}
	defer rows.Close()
	var sessions []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return err
		}
		sessions = append(sessions, id)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, id := range sessions {
		_, _ = s.db.ExecContext(ctx, fmt.Sprintf("KILL %d", id)) // the session has ended by itself
	}
	return nil
}
