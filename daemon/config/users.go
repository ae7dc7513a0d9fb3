package config

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
)

// usersFile lists the users of this machine.
const usersFile = "/etc/passwd"

// Peers returns the users that may use any of the sites: the users in allow_users, and the users in /etc/passwd whose primary
// group is in allow_groups. Unknown names are left out and named in the error.
func (c *Config) Peers() ([]uint32, error) {
	var users, groups []uint32
	var errs []error
	c.sections(func(name string, site *Site) {
		for _, user := range site.AllowUsers {
			id, err := UserID(user)
			if err != nil {
				errs = append(errs, fmt.Errorf("sites.%s.allow_users: no user %q on this machine", name, user))
				continue
			}
			users = append(users, id)
		}
		for _, group := range site.AllowGroups {
			id, err := GroupID(group)
			if err != nil {
				errs = append(errs, fmt.Errorf("sites.%s.allow_groups: no group %q on this machine", name, group))
				continue
			}
			groups = append(groups, id)
		}
	})
	if len(groups) > 0 {
		members, err := usersOf(groups)
		users, errs = append(users, members...), append(errs, err)
	}
	slices.Sort(users)
	return slices.Compact(users), errors.Join(errs...)
}

// usersOf returns the users of this machine whose primary group is in groups. os/user offers no list of users.
func usersOf(groups []uint32) ([]uint32, error) {
	file, err := os.Open(usersFile)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var users []uint32
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		const uidAt, gidAt = 2, 3
		fields := strings.Split(lines.Text(), ":")
		if len(fields) <= gidAt {
			continue
		}
		uid, noUID := strconv.ParseUint(fields[uidAt], 10, 32)
		gid, noGID := strconv.ParseUint(fields[gidAt], 10, 32)
		if noUID == nil && noGID == nil && slices.Contains(groups, uint32(gid)) {
			users = append(users, uint32(uid))
		}
	}
	return users, lines.Err()
}

// UserID resolves a user's name or number.
func UserID(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	found, err := user.Lookup(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(found.Uid, 10, 32)
	return uint32(n), err
}

// GroupID resolves a group's name or number.
func GroupID(name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	found, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(found.Gid, 10, 32)
	return uint32(n), err
}
