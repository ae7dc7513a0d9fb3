package redis_test

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
	"github.com/ticketd/ticketd/store/storetest"
)

func TestFeed(t *testing.T) {
	t.Parallel()
	storetest.RunFeed(t, func(t *testing.T) storetest.FeedBackend {
		server, prefix := testenv.SharedRedis(t)
		s := open(t, server.Client(t), redis.Options{Prefix: prefix, Host: "feed"})
		return storetest.FeedBackend{Store: s, Feed: s.Feed(), Bounded: true}
	})
}

func TestFeedOnACluster(t *testing.T) {
	t.Parallel()
	storetest.RunFeed(t, func(t *testing.T) storetest.FeedBackend {
		server, prefix := testenv.SharedCluster(t)
		client, _ := link.Connect(link.ClientOptions{
			Cluster: server.Addrs()[:1], DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
		}, zerolog.Nop())
		closed(t, client)
		s := open(t, client, redis.Options{Prefix: prefix, Cluster: true, Host: "feed"})
		return storetest.FeedBackend{Store: s, Feed: s.Feed(), Bounded: true}
	})
}
