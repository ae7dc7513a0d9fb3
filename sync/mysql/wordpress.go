package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// SiteURL returns the address of the WordPress whose options are in db's table.
func (db *DB) SiteURL(ctx context.Context) (string, error) {
	var address string
	err := db.pool.QueryRowContext(ctx, "SELECT option_value FROM "+quote(db.config.Table)+
		" WHERE option_name = 'siteurl'").Scan(&address)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", fmt.Errorf("mysql: %s has no siteurl", db.Name())
	case err != nil:
		return "", fmt.Errorf("mysql: %w", err)
	}
	return address, nil
}
