package feed

import (
	"context"
	"time"

	"github.com/ticketd/ticketd/store"
)

// Source is the part of a site's store that couriers use; see [store.Feed].
type Source interface {
	Partitions() int
	Events(ctx context.Context, partition int, after store.Cursor, limit int) (store.FeedPage, error)
	Places
	Letters
}

// Places keeps the cursors of destinations.
type Places interface {
	Own(ctx context.Context, destination, token string, lease time.Duration) (map[int]store.Cursor, error)
	Advance(ctx context.Context, destination, token string, partition int, upTo store.Cursor) error
	Release(ctx context.Context, destination, token string) error
	Destinations(ctx context.Context) (map[string]store.Destination, error)
}

// Letters keeps the events that destinations refuse.
type Letters interface {
	AddLetter(ctx context.Context, destination string, letter *store.FeedLetter) error
	FeedLetters(ctx context.Context, destination string, after uint64, limit int) ([]store.FeedLetter, error)
	DropLetters(ctx context.Context, destination string, keys []uint64) (int, error)
}

// StoppedToken owns a destination that an operator has paused, so that no courier does.
const StoppedToken = "stopped"

var _ Source = store.Feed(nil)
