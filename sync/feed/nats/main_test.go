package nats_test

import (
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
