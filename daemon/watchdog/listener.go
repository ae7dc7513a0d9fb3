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

// retryDial is the pause before a full backlog is tried again.
const retryDial = 20 * time.Millisecond

// Listener makes Moved of a daemon's own socket: it has got on when it answers a client, be it with a refusal. That takes
// everything that a page's request takes, but for its site.
//
// A socket that cannot be reached by its path, as somebody has removed it or changed its mode, is no reason for a restart: where
// systemd made it, the next daemon would not be reached either. It is said in the log, once a minute.
func Listener(path string, log zerolog.Logger) func(context.Context) bool {
	sampled := log.Sample(&zerolog.BurstSampler{Burst: 1, Period: time.Minute})
	return func(ctx context.Context) bool {
		err := ask(ctx, path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			sampled.Error().Err(err).Msg("the daemon's own socket cannot be reached, by PHP neither; " +
				"run 'systemctl restart ticketd.socket ticketd.service'")
			return true
		}
		return err == nil
	}
}

// ask sends a ping. nil says that it was taken up: with an answer, a refusal, or the connection's end. A full backlog is tried
// again until ctx ends: the daemon may just be very busy.
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
