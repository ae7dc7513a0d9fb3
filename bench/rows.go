package main

import (
	"context"
	"fmt"
	"strings"
)

// row is a group of lines that are measured together.
type row struct {
	name    string // for --rows
	measure func(context.Context, *env) ([]line, error)
}

// rows are all of them, in the order of the report.
var rows = []row{
	{"one", oneWrite},
	{"ten", tenWrites},
	{"get", get},
	{"far", farRedis},
	{"http", throughFPM},
	{"crowd", crowd},
	{"flush", flushed},
	{"statements", statements},
	{"million", million},
	{"idle", idle},
}

// choose returns the rows with these names, separated by commas.
func choose(names string) ([]row, error) {
	if names == "" {
		return rows, nil
	}
	var chosen []row
	for name := range strings.SplitSeq(names, ",") {
		r, known := find(name)
		if !known {
			return nil, fmt.Errorf("no row is called %q: there are %s", name, rowNames())
		}
		chosen = append(chosen, r)
	}
	return chosen, nil
}

func find(name string) (row, bool) {
	for _, r := range rows {
		if r.name == name {
			return r, true
		}
	}
	return row{}, false
}

func rowNames() string {
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.name
	}
	return strings.Join(names, ", ")
}
