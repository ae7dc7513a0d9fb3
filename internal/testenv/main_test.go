package testenv

import (
	"os"
	"testing"
)

// asTicketd, when set in the environment, makes this test program stand in for ticketd.
const asTicketd = "TESTENV_AS_TICKETD"

func TestMain(m *testing.M) {
	if os.Getenv(asTicketd) != "" {
		standIn()
		return
	}
	Main(m)
}
