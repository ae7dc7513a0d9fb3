package redis_test

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
)

// Another program listens under Redis' address and announces a reply that would take all memory, or end the daemon. The client
// makes no room for the reply: Redis counts as away. (go-redis itself makes room for any announced reply.)
func TestRepliesThatNoRedisSends(t *testing.T) {
	t.Parallel()
	for _, head := range []string{
		"*1000000000\r\n", "*999999999999999999\r\n", "%999999999999999999\r\n", "$999999999999999999\r\n", "*99999999999999999999\r\n",
		"*2\r\n$3\r\nabc\r\n~1000000000\r\n",
	} {
		t.Run(head, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(testenv.Folder(t), "r.sock")
			listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = listener.Close() }()
			go func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					go func() {
						defer func() { _ = conn.Close() }()
						if _, err := conn.Read(make([]byte, 1024)); err == nil {
							_, _ = io.WriteString(conn, head)
							_, _ = io.Copy(io.Discard, conn)
						}
					}()
				}
			}()
			client, _ := link.Connect(link.ClientOptions{
				Network: "unix", Address: path, DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
			}, zerolog.Nop())
			defer func() { _ = client.Close() }()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err = open(t, client, redis.Options{}).Get(t.Context(), ids(1))
			runtime.ReadMemStats(&after)
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("error %v, want ErrUnavailable", err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 256<<20 {
				t.Errorf("%d bytes were allocated", took)
			}
		})
	}
}
