package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// metaStep is a step of testdata/meta_worker.php.
type metaStep struct {
	Do    string  `json:"do"`
	ID    int64   `json:"id,omitempty"`
	IDs   []int64 `json:"ids,omitempty"`
	Key   int     `json:"key"`
	Value int     `json:"value"`
	Prev  int     `json:"prev"`
	// Code is PHP code of the step "eval".
	Code string `json:"code,omitempty"`
	// Read are the posts that all readers then read.
	Read []int64 `json:"read,omitempty"`
	// worker is the process that does the step.
	worker int
}

// String is the step for people.
func (s metaStep) String() string {
	return fmt.Sprintf("process %d: %s post %d key %d value %d prev %d %v reads %v %s",
		s.worker, s.Do, s.ID, s.Key, s.Value, s.Prev, s.IDs, s.Read, s.Code)
}

// The steps by how often they come. A step that concerns all posts of the site comes rarely.
var metaSteps = []struct {
	do    string
	often int
}{
	{"update", 30}, {"add", 6}, {"add_unique", 8}, {"update_prev", 12}, {"delete", 4}, {"delete_value", 4},
	{"mid_get", 2}, {"mid_update", 3}, {"mid_delete", 2}, {"query", 6}, {"get_posts", 3}, {"select", 3}, {"select_like", 1},
	{"sql_update", 2}, {"meta_input", 3}, {"trash", 1}, {"rollback", 1}, {"commit", 1}, {"flush", 2}, {"delete_by_key", 1},
	{"remove", 1},
}

// metaSequence makes the steps of a sequence on posts of its own. Two processes take turns; each turn is a request.
func metaSequence(random *rand.Rand, first int64) []metaStep {
	const values, keys = 26, 4
	ids := []int64{first, first + 1, first + 2} // two tickets and a post of another type
	steps := []metaStep{{Do: "begin"}, {Do: "begin", worker: 1}, {Do: "posts", IDs: ids}}
	total := 0
	for _, s := range metaSteps {
		total += s.often
	}
	worker := 0
	for range 4 + random.IntN(12) {
		if random.IntN(3) == 0 {
			worker = 1 - worker
			steps = append(steps, metaStep{Do: "begin", worker: worker})
		}
		pick := random.IntN(total)
		at := slices.IndexFunc(metaSteps, func(s struct {
			do    string
			often int
		},
		) bool {
			pick -= s.often
			return pick < 0
		})
		step := metaStep{
			Do: metaSteps[at].do, ID: ids[min(random.IntN(5), 3)%3], IDs: ids, Key: min(random.IntN(keys*2), 7) % keys,
			Value: random.IntN(values), Prev: random.IntN(values), worker: worker,
		}
		if random.IntN(3) > 0 {
			step.Value, step.Prev = random.IntN(4), random.IntN(4) // few values, so that they meet
		}
		if random.IntN(2) == 0 {
			step.Read = ids
		}
		steps = append(steps, step)
	}
	return append(steps, metaStep{Do: "begin", worker: worker}, metaStep{Do: "flush", Read: ids, worker: worker})
}

// wpMeta is a WordPress with two processes.
type wpMeta struct {
	workers [2]*testenv.WordPressWorker
	db      *sql.DB
}

func newWPMeta(t *testing.T, w *testenv.WordPress, db *sql.DB) *wpMeta {
	t.Helper()
	script := filepath.Join("testdata", "meta_worker.php")
	return &wpMeta{workers: [2]*testenv.WordPressWorker{w.NewWorker(t, script), w.NewWorker(t, script)}, db: db}
}

// do does a step and returns the answer.
func (m *wpMeta) do(t *testing.T, step metaStep) string {
	t.Helper()
	line, err := json.Marshal(step)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := m.workers[step.worker].Ask(line)
	if err != nil {
		t.Fatalf("%s: %v", step, err)
	}
	return string(answer)
}

// rows returns the metadata of posts as MySQL has it, in an order that does not depend on the ids of rows.
func (m *wpMeta) rows(t *testing.T, first int64) string {
	t.Helper()
	rows, err := m.db.QueryContext(t.Context(), "SELECT post_id, meta_key, meta_value FROM wp_postmeta"+
		" WHERE post_id BETWEEN ? AND ? AND meta_key NOT LIKE '\\_wp\\_%'"+
		" ORDER BY post_id, BINARY meta_key, BINARY meta_value", first, first+2)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var text strings.Builder
	for rows.Next() {
		var id int64
		var key string
		var value sql.NullString
		if err := rows.Scan(&id, &key, &value); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%d %s %v %q\n", id, key, value.Valid, value.String)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// metaNumber is the environment's number, or another.
func metaNumber(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	number, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return number
}

// compare runs sequences on both sites and fails at the first difference.
func (m *wpMeta) compare(t *testing.T, taken *wpMeta, seed, sequences uint64) {
	t.Helper()
	for n := range sequences {
		random := rand.New(rand.NewPCG(seed, n))
		first := int64(1000 + 10*n)
		var done []string
		for _, step := range metaSequence(random, first) {
			done = append(done, step.String())
			want, got := m.do(t, step), taken.do(t, step)
			if want != got {
				t.Fatalf("seed %d, sequence %d: with ticketd\n%s\nwithout\n%s\nafter\n%s", seed, n, got, want, strings.Join(done, "\n"))
			}
		}
		if want, got := m.rows(t, first), taken.rows(t, first); want != got {
			t.Fatalf("seed %d, sequence %d: rows with ticketd\n%s\nwithout\n%s\nafter\n%s", seed, n, got, want, strings.Join(done, "\n"))
		}
	}
}

// Random sequences of calls of the meta API, queries and transactions, by two processes in turns, once with ticketd and once
// without: the same values, actions in their order with their arguments, complaints of PHP, readers, and rows after a flush. What
// differs is documented: a new row has no id yet. TICKETD_TEST_SEQUENCES says how many, TICKETD_TEST_SEED which.
func TestMetaDifferential(t *testing.T) {
	t.Parallel()
	seed := metaNumber(t, "TICKETD_TEST_SEED", 1)
	sequences := metaNumber(t, "TICKETD_TEST_SEQUENCES", 25)
	for name, isPersistent := range map[string]bool{"own cache": false, "shared cache": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := testenv.WordPressSource(t, testenv.Newest)
			s := newMetaStack(t, behind+metaKeys, isPersistent, testenv.StackOptions{Source: source})
			maria, database := testenv.SharedMariaDB(t)
			without := testenv.NewWordPress(t, testenv.WordPressOptions{MariaDB: maria, Database: database, Source: source, Debug: true})
			if isPersistent {
				shareCache(t, without, s.Redis)
			}
			plain := newWPMeta(t, without, maria.DB(t, database))
			taken := newWPMeta(t, s.WordPress, s.MariaDB.DB(t, testenv.StackDatabase))
			plain.compare(t, taken, seed, sequences)
			if got := taken.eval(t, 0, "return Ticketd\\WordPress\\Meta\\Adapter::descriptions()['post']['keys'];"); got !=
				`{"note":"_wpas_note","status":"_wpas_status"}` {
				t.Errorf("ticketd took %s", got)
			}
			noNotices(t, s)
		})
	}
}
