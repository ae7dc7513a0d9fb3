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
	"syscall"
)

// templateLogSize is the size of InnoDB's log in a fresh data folder. The server's default of 96 MB would be most of
// what is copied at each start.
const templateLogSize = "8M"

// copyTemplate makes a data folder from another one, or a fresh one from the template, which is made once per server version and user and kept in
// the user's cache: mariadb-install-db takes longer than the server's own start.
func copyTemplate(ctx context.Context, server, source, data string) error {
	if _, err := os.Stat(data); err == nil {
		return nil // a server that ran here before goes on with what it has
	}
	if source == "" {
		var err error
		if source, err = databaseTemplate(ctx, server); err != nil {
			return fmt.Errorf("making a MariaDB data folder: %w", err)
		}
	}
	if err := copyTree(source, data); err != nil {
		return fmt.Errorf("copying the MariaDB data folder %s: %w", source, err)
	}
	return nil
}

// databaseTemplate returns the template's path, after making it where it is not there yet. The lock keeps parallel
// test processes from doing the work twice; the rename makes a template whole or absent, whoever dies in between.
func databaseTemplate(ctx context.Context, server string) (string, error) {
	version, err := exec.CommandContext(ctx, server, "--no-defaults", "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", server, err)
	}
	sum := sha256.Sum256(append(version, templateLogSize...))
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
	if err := installDatabase(ctx, draft); err != nil {
		return "", err
	}
	return final, os.Rename(draft, final)
}

func installDatabase(ctx context.Context, dir string) error {
	installer, err := program("mariadb-server", "mariadb-install-db")
	if err != nil {
		return err
	}
	args := []string{
		"--no-defaults", "--datadir=" + dir, "--auth-root-authentication-method=normal", "--skip-test-db",
		"--skip-name-resolve", "--innodb-log-file-size=" + templateLogSize,
	}
	if asRoot() {
		args = append(args, "--user=root")
	}
	if out, err := exec.CommandContext(ctx, installer, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	return nil
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
