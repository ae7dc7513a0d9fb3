package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"
)

// Probing marks the context of commands that find out for themselves whether Redis answers: their errors are Redis' own words.
func Probing(ctx context.Context) context.Context { return context.WithValue(ctx, probing{}, true) }

// Info returns what a Redis says of itself, by the names that INFO has.
func Info(ctx context.Context, client goredis.UniversalClient) (map[string]string, error) {
	text, err := client.Info(ctx).Result()
	if err != nil {
		return nil, wrap("info", err)
	}
	return parseInfo(text), nil
}
