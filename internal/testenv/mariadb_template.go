package testenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// copyTemplate makes a data folder from another one, or a fresh one from the template, which is made once per server version and
// user and kept in the user's cache: to make one takes longer than the server's own start.
func (k databaseKind) copyTemplate(ctx context.Context, source, data string) error {
	if _, err := os.Stat(data); err == nil {
		return nil // a server that ran here before goes on with what it has
	}
	if source == "" {
		var err error
		if source, err = k.template(ctx); err != nil {
			return fmt.Errorf("making a data folder: %w", err)
		}
	}
	if err := copyTree(source, data); err != nil {
		return fmt.Errorf("copying the data folder %s: %w", source, err)
	}
	// Each MySQL makes a server_uuid of its own where this file is not; its manual wants it removed from copies.
	if err := os.Remove(filepath.Join(data, "auto.cnf")); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// template returns the template's path, after making it where it is not there yet. The lock keeps parallel
// test processes from doing the work twice; the rename makes a template whole or absent, whoever dies in between.
func (k databaseKind) template(ctx context.Context) (string, error) {
	version, err := exec.CommandContext(ctx, k.path, "--no-defaults", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", k.path, err)
	}
	sum := sha256.Sum256(append(version, strings.Join(k.flags, " ")...))
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	final := filepath.Join(cache, "mariadb-"+hex.EncodeToString(sum[:8]))

	lock, err := os.OpenFile(final+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer func() { _ = lock.Close() }() // gives the lock back
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("locking %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(final); !errors.Is(err, fs.ErrNotExist) {
		return final, err
	}
	draft, err := os.MkdirTemp(cache, "draft-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(draft) }() // nothing is left of it after the rename
	if err := k.install(ctx, k.path, draft); err != nil {
		return "", err
	}
	return final, os.Rename(draft, final)
}

// cacheFolder is where templates are kept: the user's cache, or a folder of the user's own among the temporary files
// where the user has no home.
func cacheFolder() (string, error) {
	parent, err := os.UserCacheDir()
	if err != nil {
		parent = filepath.Join(os.TempDir(), "ticketd-cache-"+strconv.Itoa(os.Getuid()))
	}
	dir := filepath.Join(parent, "ticketd-testenv")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("making the cache folder: %w", err)
	}
	return dir, nil
}
