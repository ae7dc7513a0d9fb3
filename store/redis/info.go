package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"
)

// Open makes a client without a watch: each command finds out for itself whether Redis answers, and shows Redis' own words.
func Open(o ClientOptions) goredis.UniversalClient { return newClient(&o, nil) }

// Info returns what a Redis says of itself, by the names that INFO has.
func Info(ctx context.Context, client goredis.UniversalClient) (map[string]string, error) {
	text, err := client.Info(ctx).Result()
	if err != nil {
		return nil, wrap("info", err)
	}
	return parseInfo(text), nil
}
