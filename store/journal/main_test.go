package journal

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(writerDir) != "" {
		runWriter()
		return
	}
	goleak.VerifyTestMain(m)
}
