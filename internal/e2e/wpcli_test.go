package e2e

import (
	"io"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// cli runs a command of WP-CLI; an unexpected exit code fails the test.
func cli(t *testing.T, s *testenv.Stack, stdin io.Reader, code int, args ...string) testenv.CLIOutput {
	t.Helper()
	out, err := s.WordPress.CLI(t.Context(), stdin, append([]string{"ticketd"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	if out.Code != code {
		t.Fatalf("wp ticketd %s exits with %d, want %d\n%s%s", strings.Join(args, " "), out.Code, code, out.Stdout, out.Stderr)
	}
	return out
}

// What a script gets of WP-CLI: data alone on STDOUT, in the format that it asks for; everything else on STDERR; an exit code.
func TestWPCLI(t *testing.T) {
	t.Parallel()
	eachWordPress(t, func(t *testing.T, source string) {
		s := testenv.NewStack(t, testenv.StackOptions{Debug: true, Source: source})
		want := func(stdout string, args ...string) {
			t.Helper()
			if out := cli(t, s, nil, 0, args...); strings.TrimSpace(out.Stdout) != stdout {
				t.Errorf("wp ticketd %s prints\n%s\nwant\n%s", strings.Join(args, " "), out.Stdout, stdout)
			}
		}
		fails := func(stderr string, args ...string) {
			t.Helper()
			if out := cli(t, s, nil, 1, args...); !strings.Contains(out.Stderr, stderr) {
				t.Errorf("wp ticketd %s says on STDERR\n%s\nwant %q", strings.Join(args, " "), out.Stderr, stderr)
			}
		}
		want("1", "create", "status=open", "subject=a \"quoted\", long one", "--field=id")
		want("2", "create", "status=pending", "subject=ü=1", "--field=id")

		const fields = "--fields=id,status,subject,category"
		want("id\tstatus\tsubject\tcategory\n1\topen\ta \"quoted\", long one", "get", "1", fields)
		want(`[{"id":1,"status":"open","subject":"a \"quoted\", long one","category":null},`+
			`{"id":2,"status":"pending","subject":"\u00fc=1","category":null}]`, "get", "1", "2", fields, "--format=json")
		want("id,status,subject,category\n1,open,\"a \"\"quoted\"\", long one\",", "get", "1", fields, "--format=csv")
		want("---\n- \n  id: 1\n  status: open", "get", "1", "--fields=id,status", "--format=yaml")
		want("2", "list", "--format=count")
		want("2 1", "list", "--format=ids")
		want("1", "list", "status=open", "--format=ids")
		want("pending\nopen", "list", "--field=status")

		fails("Error: No such ticket: 9", "get", "9")
		fails("Error: There is no field state; there are: id, revision, ", "get", "1", "--field=state")
		fails(`Error: "x" is no ticket id`, "get", "x")
		fails("unknown --state parameter", "get", "1", "--state=open")
		fails("Invalid value specified for 'format'", "list", "--format=xml")
		fails("Error: priority: ", "set", "1", "priority="+strings.Repeat("x", 300))
		if out := cli(t, s, nil, 1, "get"); !strings.Contains(out.Stdout, "wp ticketd get <id>...") {
			t.Errorf("get without an id prints\n%s%s", out.Stdout, out.Stderr)
		}

		// Without --yes a deletion asks. STDIN is a pipe, as in scripts.
		if out := cli(t, s, strings.NewReader("n\n"), 0, "delete", "1"); !strings.Contains(out.Stdout, "Delete 1 ticket") {
			t.Errorf("delete asks\n%s%s", out.Stdout, out.Stderr)
		}
		want("2", "list", "--format=count")
		cli(t, s, strings.NewReader("y\n"), 0, "delete", "1")
		want("2", "list", "--format=ids")

		// A file may come through a pipe, which cannot be rewound.
		const file = "\xEF\xBB\xBF\"id\",subject,status,shelf\n50,\"through, a pipe\",open,4\n51,another,open,5\n"
		out := cli(t, s, strings.NewReader(file), 0, "import", "csv", "-", "--format=csv")
		if !strings.Contains(out.Stdout, "created,") || !strings.Contains(out.Stderr, `go into "extra": shelf.`) {
			t.Errorf("import prints\n%s%s", out.Stdout, out.Stderr)
		}
		want("id,subject\n50,\"through, a pipe\"\n51,another", "get", "50", "51", "--fields=id,subject", "--format=csv")

		if out := cli(t, s, nil, 0, "verify", "--format=count"); !strings.Contains(out.Stderr, "the same in both") {
			t.Errorf("verify says on STDERR\n%s", out.Stderr)
		}
		if out := cli(t, s, nil, 0, "verify", "--format=count", "--quiet"); out.Stdout != "0" || out.Stderr != "" {
			t.Errorf("verify --quiet prints %q, and %q on STDERR", out.Stdout, out.Stderr)
		}
		if err := s.Ticketd.Stop(); err != nil {
			t.Fatal(err)
		}
		fails("cannot be reached", "flush")
		noNotices(t, s)
	})
}
