package setup

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/ticketd/ticketd/daemon/config"
)

// pool is a pool of PHP-FPM.
type pool struct{ name, user, group, chroot string }

// poolFiles returns the pools in files of the patterns.
func poolFiles(patterns []string) []pool {
	var all []pool
	for _, pattern := range patterns {
		paths, _ := filepath.Glob(pattern) // the patterns are valid
		for _, path := range paths {
			if text, err := (eyes{}).Read(path); err == nil {
				all = append(all, readPools(text)...)
			}
		}
	}
	return all
}

// readPools reads a file of PHP-FPM's pools.
func readPools(text []byte) []pool {
	var all []pool
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			all = append(all, pool{name: strings.Trim(line, "[]")})
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if !found || len(all) == 0 || strings.HasPrefix(line, ";") {
			continue
		}
		p := &all[len(all)-1]
		value = strings.ReplaceAll(strings.Trim(strings.TrimSpace(value), `"'`), "$pool", p.name)
		switch strings.TrimSpace(key) {
		case "user":
			p.user = value
		case "group":
			p.group = value
		case "chroot":
			p.chroot = value
		}
	}
	return slices.DeleteFunc(all, func(p pool) bool { return p.user == "" }) // [global]
}

// phpUser is the user that runs the site's PHP.
type phpUser struct {
	name, group string // empty if unknown
	chroot      string // of the user's pool
	eyes        eyes
}

// findPHP returns the user of the site's PHP: the named one; the one of the pool that belongs to the owner of wp-config.php, as
// panels have it; or the only one.
func (o *Options) findPHP(path string) (*phpUser, error) {
	info, err := eyes{}.stat(path)
	if err != nil {
		return nil, fmt.Errorf("--wp: %w; name WordPress' folder or its wp-config.php", err)
	}
	owner := ownerOf(info)
	u, err := o.choosePHP(owner)
	if err != nil {
		return nil, err
	}
	reader := owner
	if u.name != "" {
		if reader, err = config.UserID(u.name); err != nil {
			return nil, fmt.Errorf("no user %q on this machine: name PHP-FPM's user with --user", u.name)
		}
		if u.group == "" {
			u.group = groupOf(u.name)
		}
	}
	if u.eyes, err = eyesOf(reader); err != nil {
		return nil, err
	}
	const read = 4
	if err := u.eyes.may(path, read); errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%s cannot read %s, so the site's PHP has another user: name it with --user (user = in PHP-FPM's pool)",
			userName(reader), path)
	}
	return u, nil
}

func (o *Options) choosePHP(owner uint32) (*phpUser, error) {
	pools := poolFiles(o.Places.Pools)
	of := func(name string) *phpUser {
		i := slices.IndexFunc(pools, func(p pool) bool { return p.user == name })
		if i < 0 {
			return &phpUser{name: name}
		}
		return &phpUser{name: name, group: pools[i].group, chroot: pools[i].chroot}
	}
	if o.User != "" {
		return of(o.User), nil
	}
	var users []string
	for _, p := range pools {
		if uid, err := config.UserID(p.user); err == nil && uid == owner && uid != 0 {
			return of(p.user), nil
		}
		users = append(users, p.user)
	}
	slices.Sort(users)
	users = slices.Compact(users)
	switch len(users) {
	case 0:
		return of(webUser()), nil
	case 1:
		return of(users[0]), nil
	default:
		return nil, fmt.Errorf("PHP-FPM's pools have the users %s: name the one of this site with --user", strings.Join(users, ", "))
	}
}

// groupOf returns the name of a user's own group, or an empty string.
func groupOf(name string) string {
	found, err := user.Lookup(name)
	if err != nil {
		return ""
	}
	group, err := user.LookupGroupId(found.Gid)
	if err != nil {
		return ""
	}
	return group.Name
}

// webUsers are PHP-FPM's users in the distributions.
var webUsers = []string{"www-data", "apache", "nginx", "http", "wwwrun"}

// webUser returns the first of webUsers on this machine, or an empty string.
func webUser() string {
	at := slices.IndexFunc(webUsers, func(name string) bool { _, err := config.UserID(name); return err == nil })
	if at < 0 {
		return ""
	}
	return webUsers[at]
}

func ownerOf(info fs.FileInfo) uint32 {
	stat, _ := info.Sys().(*syscall.Stat_t) // always this type on Linux
	return stat.Uid
}

func userName(uid uint32) string {
	text := strconv.FormatUint(uint64(uid), 10)
	if found, err := user.LookupId(text); err == nil {
		return found.Username
	}
	return text
}

// eyesOf returns the eyes of a user by number; the present user's for everybody but root.
func eyesOf(uid uint32) (eyes, error) {
	if os.Geteuid() != 0 || uid == 0 {
		return eyes{}, nil
	}
	found, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if errors.As(err, new(user.UnknownUserIdError)) {
		return eyes{&syscall.Credential{Uid: uid, Gid: uid}}, nil // the files of a user of another machine
	}
	if err != nil {
		return eyes{}, err
	}
	c := &syscall.Credential{Uid: uid}
	groups, err := found.GroupIds()
	for _, text := range append([]string{found.Gid}, groups...) {
		gid, wrong := strconv.ParseUint(text, 10, 32)
		if wrong != nil {
			return eyes{}, wrong
		}
		c.Groups = append(c.Groups, uint32(gid))
	}
	c.Gid = c.Groups[0]
	return eyes{c}, err
}
