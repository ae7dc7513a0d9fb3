package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// CLIOutput is the output of a command of WP-CLI.
type CLIOutput struct {
	Stdout, Stderr string
	Code           int // the exit code
}

// CLI runs a command of WP-CLI in the site. Without stdin, STDIN is empty. The command runs in the real WP-CLI where
// TICKETD_TEST_WP names its program `wp`, and else in the stand-in of the plugin's tests.
func (w *WordPress) CLI(ctx context.Context, stdin io.Reader, args ...string) (CLIOutput, error) {
	program, err := w.cli()
	if err != nil {
		return CLIOutput{}, err
	}
	var stdout, stderr strings.Builder
	args = append(append(program[1:], "--path="+w.root, "--allow-root"), args...)
	cmd := exec.CommandContext(ctx, program[0], args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	cmd.Env = append(os.Environ(), "PHPRC="+w.PHPFPM.INI(), "WP_CLI_CACHE_DIR="+filepath.Join(w.dir, "wp-cli"))
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return CLIOutput{}, fmt.Errorf("running WP-CLI: %w", err)
	}
	return CLIOutput{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}, nil
}

// cli is the beginning of a command line of WP-CLI.
func (w *WordPress) cli() ([]string, error) {
	if path := os.Getenv("TICKETD_TEST_WP"); path != "" {
		return []string{path}, nil
	}
	php, err := program("php-cli", "php")
	if err != nil {
		return nil, err
	}
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	return []string{php, filepath.Join(root, "php-client", "tests", "Support", "wp.php")}, nil
}
