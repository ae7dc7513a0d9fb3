package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	phpclient "github.com/ticketd/ticketd/php-client"
)

// addedIndex is the index that earlier versions added, with the revision column, to a table that the config described.
const addedIndex = "ticketd_revision"

// existing brings a table up to date that is there: one that ticketd made gets what it lacks, any other a side table.
func (m *migration) existing(ctx context.Context) error {
	var kind string
	err := m.conn.QueryRowContext(ctx, "SELECT table_type FROM information_schema.tables WHERE table_schema = DATABASE() AND "+
		"table_name = ?", m.config.Table).Scan(&kind)
	if err != nil {
		return fmt.Errorf("look at the table: %w", err)
	}
	if strings.Contains(kind, "VIEW") {
		return errors.New("it is a view, which takes no rows: set table to the table behind it, or to a name of ticketd's own")
	}
	have, err := m.show(ctx, m.config.Table)
	if err != nil {
		return err
	}
	side, err := m.exists(ctx, m.config.Table+sideSuffix)
	if err != nil {
		return err
	}
	m.beside = side
	if !side {
		own, err := m.own(ctx, have)
		if err != nil {
			return err
		}
		if own {
			return m.upgrade(ctx, have)
		}
	}
	m.beside = true
	if err := m.fit(ctx, have); err != nil {
		return err
	}
	if side {
		return nil
	}
	return m.run(ctx, m.schema(phpclient.Sidecar)[0])
}

// own says of a table without a side table that its revision column is ticketd's. A column of that name alone is no proof, as
// the owner of the table may have had the same idea.
func (m *migration) own(ctx context.Context, have shape) (bool, error) {
	switch {
	case !have.hasColumn(m.config.Revision):
		return false, nil
	case m.config.Revision != DefaultRevision: // the operator has named it
		return true, nil
	case have.hasIndex(part{name: addedIndex, line: addedIndex}):
		return true, nil
	}
	if ours := shapeOf(m.schema(phpclient.Schema)[createTickets]); m.config.standard() {
		all := true
		for _, c := range ours.columns {
			all = all && have.hasColumn(c.name)
		}
		if all {
			return true, nil
		}
	}
	return m.exists(ctx, m.config.Table+sequenceSuffix)
}

// fit refuses a table whose key cannot be a ticket's id. ticketd does not alter it, so the owner must, or the operator chooses
// another key or table.
func (m *migration) fit(ctx context.Context, have shape) error {
	c := m.config
	if !have.hasColumn(c.Key) {
		return fmt.Errorf("ticketd did not make this table, and it has no column %s (it has: %s): set key_column, and columns for "+
			"fields of another name, or set table to a name of ticketd's own; 'ticketd init --wp FOLDER' proposes both",
			c.Key, strings.Join(have.names(), ", "))
	}
	var kind string
	err := m.conn.QueryRowContext(ctx, "SELECT data_type FROM information_schema.columns WHERE table_schema = DATABASE() AND "+
		"table_name = ? AND column_name = ?", c.Table, c.Key).Scan(&kind)
	if err != nil {
		return fmt.Errorf("look at column %s: %w", c.Key, err)
	}
	if integerBits[strings.ToLower(kind)] == 0 {
		return fmt.Errorf("key column %s is %s, and a ticket's id is a whole number: set key_column to an integer column with a "+
			"unique index, or set table to a name of ticketd's own", c.Key, kind)
	}
	unique, err := uniqueAlone(ctx, m.conn, c.Table, c.Key)
	if err != nil {
		return fmt.Errorf("look at the indexes: %w", err)
	}
	if !unique {
		return fmt.Errorf("column %s has no unique index of its own, and ticketd alters no table that it did not make: set "+
			"key_column to a "+
			"column that has one (a primary key of several columns does not count), or set table to a name of ticketd's own", c.Key)
	}
	return nil
}

func (s shape) names() []string {
	names := make([]string, len(s.columns))
	for i, c := range s.columns {
		names[i] = c.name
	}
	return names
}

// oneRow is a pool or a connection.
type oneRow interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// uniqueAlone says whether a column alone is a unique index.
func uniqueAlone(ctx context.Context, q oneRow, table, column string) (bool, error) {
	var n int
	err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM (
		SELECT MAX(column_name) AS name FROM information_schema.statistics
		WHERE table_schema = DATABASE() AND table_name = ? AND non_unique = 0
		GROUP BY index_name HAVING COUNT(*) = 1) AS single WHERE LOWER(name) = LOWER(?)`,
		table, column).Scan(&n)
	return n > 0, err
}

// sidecar moves what an earlier version kept in the table into a side table, and drops the column on demand. The new table gets
// its name when it is complete, so that a run that is interrupted leaves everything as it was.
func (m *migration) sidecar(ctx context.Context) error {
	if !m.options.Sidecar && !m.options.DropColumn {
		return nil
	}
	if !m.beside && m.options.Sidecar && !m.created {
		if err := m.move(ctx); err != nil {
			return err
		}
		m.beside = true
	}
	if !m.options.DropColumn {
		return nil
	}
	return m.dropColumn(ctx)
}

func (m *migration) move(ctx context.Context) error {
	have, err := m.show(ctx, m.config.Table)
	if err != nil {
		return err
	}
	table, key, revision := quote(m.config.Table), quote(m.config.Key), quote(m.config.Revision)
	side, unfinished := quote(m.config.Table+sideSuffix), quote(m.config.Table+sideSuffix+"_new")
	deleted := "0"
	if have.hasColumn(m.config.DeletedAt) {
		mark, err := m.markColumn(ctx)
		if err != nil {
			return err
		}
		deleted = "NOT " + mark
	}
	statements := []string{
		"DROP TABLE IF EXISTS " + unfinished,
		strings.Replace(m.schema(phpclient.Sidecar)[0], side, unfinished, 1),
		"INSERT INTO " + unfinished + " (ticket_id,revision,deleted) SELECT " + key + "," + revision + "," + deleted + " FROM " +
			table +
			" WHERE " + revision + ">0",
	}
	buried, err := m.exists(ctx, m.config.Table+tombstonesSuffix)
	if err != nil {
		return err
	}
	if buried {
		statements = append(statements, "INSERT INTO "+unfinished+" (ticket_id,revision,deleted) SELECT ticket_id,revision,1 FROM "+
			quote(m.config.Table+tombstonesSuffix)+" ON DUPLICATE KEY UPDATE deleted=1,revision=GREATEST("+unfinished+
			".revision,VALUES(revision))")
	}
	for _, statement := range append(statements, "RENAME TABLE "+unfinished+" TO "+side) {
		if err := m.run(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

// markColumn is the condition that a row carries no mark of a soft delete.
func (m *migration) markColumn(ctx context.Context) (string, error) {
	c := described{name: m.config.DeletedAt}
	err := m.conn.QueryRowContext(ctx, "SELECT data_type FROM information_schema.columns WHERE table_schema = DATABASE() AND "+
		"table_name = ? AND column_name = ?", m.config.Table, c.name).Scan(&c.dataType)
	if err != nil {
		return "", fmt.Errorf("look at column %s: %w", c.name, err)
	}
	c.dataType = strings.ToLower(c.dataType)
	column := c.column(c.name, flavour{}, false)
	return present(&column), nil
}

// dropColumn removes the column that an earlier version added to another plugin's table.
func (m *migration) dropColumn(ctx context.Context) error {
	have, err := m.show(ctx, m.config.Table)
	switch {
	case err != nil:
		return err
	case !m.beside:
		return errors.New("the revision column is in use: --drop-column goes with --sidecar")
	case !have.hasColumn(m.config.Revision):
		return nil
	case !have.hasIndex(part{name: addedIndex, line: addedIndex}):
		return fmt.Errorf("the column %s is not one that ticketd has added to another plugin's table (there is no index %s), "+
			"so it is left", m.config.Revision, addedIndex)
	}
	return m.run(ctx, "ALTER TABLE "+quote(m.config.Table)+" DROP INDEX "+quote(addedIndex)+", DROP COLUMN "+
		quote(m.config.Revision))
}
