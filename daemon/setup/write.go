package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/ticketd/ticketd/daemon/config"
)

// fileMode permits only the daemon's group to read the file, which holds passwords.
const fileMode = 0o640

// daemonGroup is the daemon's group in the packages.
const daemonGroup = "ticketd"

// try loads the text in the daemon's way, from a temporary file beside the configuration.
func (o *Options) try(text string, rendered error) (*config.Config, error) {
	if rendered != nil {
		return nil, rendered
	}
	file, err := os.CreateTemp(filepath.Dir(o.Config), ".ticketd-init-*.toml") // readable for the owner alone
	if err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return config.Load(file.Name(), os.Environ(), o.Set)
}

// keepFormer keeps a copy of the replaced configuration, with the time in its name and at most the mode of a new file.
func (o *Options) keepFormer() error {
	info, err := os.Stat(o.Config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	kept := o.Config + time.Now().UTC().Format(".20060102T150405.000")
	if err == nil {
		if err = os.Link(o.Config, kept); err == nil {
			err = os.Chmod(kept, info.Mode().Perm()&fileMode)
		}
	}
	if err != nil {
		return fmt.Errorf("keeping a copy of the former configuration: %w", err)
	}
	o.Say("a copy of the former configuration is %s", kept)
	return nil
}

// write puts the text into place, whole or not at all, after check has accepted a temporary file beside that place.
func (o *Options) write(text string, check func(file string) error) error {
	dir := filepath.Dir(o.Config)
	file, err := os.CreateTemp(dir, ".ticketd-init-*.toml") // readable for the owner alone
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // renamed or linked on success
	_, err = file.WriteString(text)
	err = errors.Join(err, o.open(file), file.Sync(), file.Close())
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	if err := check(file.Name()); err != nil {
		return err
	}
	if o.keep {
		if err := o.keepFormer(); err != nil {
			return err
		}
	}
	if o.Force {
		err = os.Rename(file.Name(), o.Config)
	} else {
		err = os.Link(file.Name(), o.Config) // unlike Rename, Link never replaces a file
	}
	if errors.Is(err, fs.ErrExist) {
		return existsError(o.Config)
	}
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	o.Say("%s is written", o.Config)
	return nil
}

// open gives the file to the daemon's group, if the group exists and this user is root.
func (o *Options) open(file *os.File) error {
	gid, err := config.GroupID(daemonGroup)
	if err == nil && os.Geteuid() == 0 {
		if err := file.Chown(0, int(gid)); err != nil {
			return err
		}
	} else {
		o.Say("note: no group %s, or no right to give files to the group: make %s readable for the daemon's user", daemonGroup,
			o.Config)
	}
	return file.Chmod(fileMode)
}
