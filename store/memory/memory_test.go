package memory_test

import (
	"testing"

	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/memory"
	"github.com/ticketd/ticketd/store/storetest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) storetest.Backend {
		return storetest.Backend{
			Store:   memory.New(),
			Cramped: func(*testing.T) store.Store { return memory.NewWith(memory.Options{MaxDirty: 2}) },
		}
	})
}
