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

// fileMode lets the daemon's group read the file, which holds passwords, and nobody else.
const fileMode = 0o640

// daemonGroup is the group that the packages make for the daemon.
const daemonGroup = "ticketd"

// try writes the text beside the configuration's place and reads it as the daemon will. Nothing is left of it.
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

// keepFormer keeps the configuration that is replaced under a name with the time in it, as readable as it was and no more than a
// new one.
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
		return fmt.Errorf("keeping the configuration that is replaced: %w", err)
	}
	o.Say("the configuration that was there is kept as %s", kept)
	return nil
}

// write puts the text where the configuration belongs, whole or not at all, after check has looked at it beside that place.
func (o *Options) write(text string, check func(file string) error) error {
	dir := filepath.Dir(o.Config)
	file, err := os.CreateTemp(dir, ".ticketd-init-*.toml") // readable for the owner alone
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already where all went well
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
		err = os.Link(file.Name(), o.Config) // which replaces nothing, unlike a rename
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

// open gives the file to the daemon's group, where there is one and this user may.
func (o *Options) open(file *os.File) error {
	gid, err := config.GroupID(daemonGroup)
	if err == nil && os.Geteuid() == 0 {
		if err := file.Chown(0, int(gid)); err != nil {
			return err
		}
	} else {
		o.Say("note: there is no group %s, or you may not give files to it: make %s readable for the daemon's user", daemonGroup,
			o.Config)
	}
	return file.Chmod(fileMode)
}
