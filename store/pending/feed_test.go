package pending_test

import (
	"testing"

	"github.com/ticketd/ticketd/store/pending"
	"github.com/ticketd/ticketd/store/storetest"
)

func TestFeed(t *testing.T) {
	t.Parallel()
	storetest.RunFeed(t, func(*testing.T) storetest.FeedBackend {
		s := pending.New()
		return storetest.FeedBackend{Store: s, Feed: s.Feed(), Bounded: true}
	})
}
