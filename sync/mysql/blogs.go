package mysql

import (
	"context"
	"fmt"
)

// Blogs returns the numbers of a multisite's blogs that are not deleted. at is the database, prefix WordPress' $table_prefix.
func Blogs(ctx context.Context, at Config, prefix string) ([]int64, error) {
	at.Table = prefix + "blogs"
	db, err := Open(at)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	blogs, err := db.blogs(ctx)
	if err != nil {
		return nil, fmt.Errorf("mysql: read the blogs of the multisite from %s: %w", db.Name(), err)
	}
	return blogs, nil
}

func (db *DB) blogs(ctx context.Context) ([]int64, error) {
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
