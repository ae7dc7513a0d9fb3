package watchdog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/protocol"
)

// retryDial is the pause before a full backlog is retried.
const retryDial = 20 * time.Millisecond

// Listener makes Moved of a daemon's own socket: the daemon has progressed if a client gets an answer, even a refusal. The
// answer takes every step of a page's request except its site.
//
// A socket that is unreachable by its path, because its file was removed or its mode was changed, is no reason for a restart:
// if systemd made the socket, the next daemon would be unreachable, too. The log says so once a minute.
func Listener(path string, log zerolog.Logger) func(context.Context) bool {
	sampled := log.Sample(&zerolog.BurstSampler{Burst: 1, Period: time.Minute})
	return func(ctx context.Context) bool {
		err := ask(ctx, path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			sampled.Error().Err(err).Msg("the daemon's own socket is unreachable, for PHP, too; " +
				"run 'systemctl restart ticketd.socket ticketd.service'")
			return true
		}
		return err == nil
	}
}

// ask sends a ping. nil means that the daemon accepted the ping: with an answer, a refusal, or the end of the connection. A
// full backlog is retried until ctx ends: the daemon may be very busy.
func ask(ctx context.Context, path string) error {
	for {
		client, err := protocol.Dial(ctx, path)
		if err == nil {
			_, err = client.Ping(ctx)
			_ = client.Close()
			if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("no answer: %w", err)
			}
			return nil
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(retryDial):
		}
	}
}
