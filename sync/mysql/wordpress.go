package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// SiteURL returns the address of the WordPress whose options are in db's table.
func SiteURL(ctx context.Context, db *DB) (string, error) {
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

// Blogs returns the numbers of a multisite's blogs that are not deleted. at is the database, prefix WordPress' $table_prefix.
func Blogs(ctx context.Context, at Config, prefix string) ([]int64, error) {
	at.Table = prefix + "blogs"
	db, err := Open(at)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	blogs, err := readBlogs(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("mysql: read the blogs of the multisite from %s: %w", db.Name(), err)
	}
	return blogs, nil
}

func readBlogs(ctx context.Context, db *DB) ([]int64, error) {
	rows, err := db.pool.QueryContext(ctx, "SELECT blog_id FROM "+quote(db.config.Table)+" WHERE deleted = 0 ORDER BY blog_id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var blogs []int64
	for rows.Next() {
		var blog int64
		if err := rows.Scan(&blog); err != nil {
			return nil, err
		}
		blogs = append(blogs, blog)
	}
	return blogs, rows.Err()
}
