package pending_test

import (
	"testing"

	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/pending"
	"github.com/ticketd/ticketd/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) storetest.Backend {
		return storetest.Backend{
			Store:   pending.New(),
			Cramped: func(*testing.T) store.Store { return pending.NewWith(pending.Options{MaxDirty: 2}) },
		}
	})
}
