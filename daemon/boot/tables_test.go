package boot

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// The table of a site without Redis is looked at while no client asks for anything, also after a look that failed.
func TestTheTableIsLookedAtWithoutRedis(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var watch tableWatch
		looks := 0
		watch.Start(t.Context(), func(context.Context) error {
			looks++
			return errors.New("connection refused")
		}, zerolog.Nop())
		time.Sleep(2*inspectEvery + time.Second)
		if err := watch.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if looks != 2 {
			t.Errorf("%d looks within two periods", looks)
		}
	})
}
