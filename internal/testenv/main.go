package testenv

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// Main is called by a package's TestMain: it runs the tests, ends the shared servers, looks for leaked goroutines, removes
// the tests' folder, and exits. After SIGINT or SIGTERM, Main first ends every server.
//
//	func TestMain(m *testing.M) { testenv.Main(m) }
func Main(m *testing.M) {
	os.Exit(run(m))
}

// ProcessFolder is a folder for files that all tests of this process share; [Main] removes the folder.
func ProcessFolder() (string, error) { return processFolder() }

// probing is a pool of go-redis without a connection: the pool tries to connect once a second, and only then notices its
// Close.
const probing = "github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"

// toxic is a part of a toxiproxy link that was cut during a transfer: the library never ends the goroutine.
const toxic = "github.com/Shopify/toxiproxy/v2/toxics.(*NoopToxic).Pipe"

func run(m *testing.M) int {
	defer removeFolder()
	stopWatching := killOnSignal()
	code := m.Run()
	sharedRedis.end()
	sharedCluster.end()
	sharedMariaDB.end()
	stopWatching()
	if code != 0 {
		return code // a failed test may have left goroutines; its own message matters more
	}
	if err := goleak.Find(goleak.IgnoreAnyFunction(probing), goleak.IgnoreAnyFunction(toxic)); err != nil {
		fmt.Fprintf(os.Stderr, "goroutines left behind: %v\n", err)
		return 1
	}
	return 0
}

// killOnSignal ends every server and the process on a signal, until stop is called.
func killOnSignal() (stop func()) {
	signals, quit, done := make(chan os.Signal, 1), make(chan struct{}), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		defer close(done)
		select {
		case <-quit:
		case <-signals:
			killAll()
			removeFolder()
			os.Exit(1)
		}
	}()
	return func() {
		signal.Stop(signals)
		close(quit)
		<-done
	}
}

func removeFolder() {
	if dir, err := processFolder(); err == nil {
		_ = os.RemoveAll(dir)
	}
}
