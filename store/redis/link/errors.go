package link

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/store"
)

// notNow are the prefixes of Redis' replies that mean: this server cannot run the command at the moment.
var notNow = []string{
	"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "NOAUTH", "WRONGPASS", "BUSY",
	"MISCONF", "ERR max number of clients",
	"redis: all sentinels", "redis: cluster has no nodes", // go-redis' own words
}

// errRefused is an answer that the store does not know: a command is renamed, missing or forbidden, or another program answers.
// Redis has not made the change, or only a part, and the change waits until the server runs the command.
var errRefused = fmt.Errorf("Redis refuses what ticketd needs: %w", store.ErrUnavailable) //nolint:staticcheck // a name

// Wrap names the operation and sorts an error of go-redis into [store.ErrFull], [store.ErrUnavailable] or a fault.
func Wrap(operation string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrOwner):
		return err
	case strings.HasPrefix(err.Error(), "QUOTA "):
		return fmt.Errorf("redis %s: %w", operation, store.ErrQuota)
	case IsFull(err):
		full := &store.FullError{Bound: "Redis' maxmemory", Reason: "give Redis more, or flush changes sooner"}
		return fmt.Errorf("redis %s: %w: %w", operation, full, err)
	case IsAway(err):
		return fmt.Errorf("redis %s: %w: %w", operation, store.ErrUnavailable, err)
	case isUnderstood(err):
		return fmt.Errorf("redis %s: %w", operation, err)
	default:
		return fmt.Errorf("redis %s: %w: %w", operation, errRefused, err)
	}
}

// IsFull says that Redis is out of memory.
func IsFull(err error) bool { return strings.Contains(err.Error(), "OOM command not allowed") }

// IsForeign says that a key holds another type than the command needs.
func IsForeign(err error) bool { return strings.HasPrefix(err.Error(), "WRONGTYPE") }

// IsAway says that Redis does not answer, or runs no command now.
func IsAway(err error) bool {
	if errors.Is(err, store.ErrUnavailable) {
		return true
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, goredis.ErrPoolTimeout) || errors.Is(err, goredis.ErrClosed) || errors.Is(err, goredis.ErrPoolExhausted) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true
	}
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	if errors.As(err, &certificate) || errors.As(err, &record) { // another server answers at that address
		return true
	}
	text := err.Error()
	for _, prefix := range notNow {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

// HasMoved recognises the answer of a cluster's node that another node serves the partition.
func HasMoved(err error) bool {
	return strings.HasPrefix(err.Error(), "MOVED ") || strings.HasPrefix(err.Error(), "ASK ")
}
