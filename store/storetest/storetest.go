package storetest

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Backend is one store under test.
type Backend struct {
	Store store.Store
	// Expires tells whether a ticket may expire or be evicted. Stores without expiry leave it nil.
	Expires func(t *testing.T, id ticket.ID) bool
	// Remembers tells how much longer a request id is remembered. Stores that cannot tell leave it nil.
	Remembers func(t *testing.T, requestID string) time.Duration
	// Cramped opens an empty store of the same kind that has room for two changed tickets of a partition.
	Cramped func(t *testing.T) store.Store
	// Replays says that changes may come out of a journal, out of which no create is the whole ticket: see [store.Mutation.Begun].
	Replays bool
}

// Partitions is a multiple of the number of partitions of every store: tickets whose ids differ by it are in the same one. What
// holds across tickets, but for the order in which they are claimed, holds within a partition.
const Partitions = 32

// Open makes a store that is empty and shares nothing with any other test's.
type Open func(t *testing.T) Backend

// contract is the tests by name.
var contract = map[string]func(*testing.T, *bench){
	"Apply/MergesFields":                    testMerge,
	"Apply/RevisionsGrow":                   testRevisionsGrow,
	"Apply/RevisionsGrowAcrossTickets":      testRevisionsGrowAcrossTickets,
	"Apply/LargeIDs":                        testLargeIDs,
	"Apply/NullDiffersFromUntouched":        testNull,
	"Apply/CreateIsFull":                    testCreateIsFull,
	"Apply/ConflictChangesNothing":          testConflict,
	"Apply/RepeatedRequestChangesNothing":   testRepeatedRequest,
	"Apply/RepeatedCreateReturnsTheFirst":   testRepeatedCreate,
	"Apply/RequestMemoryIsTheMutations":     testRequestMemory,
	"Apply/ReusedRequestIsRefused":          testReusedRequest,
	"Apply/SecondDeletionKeepsItsRequestID": testSecondDeletion,
	"Apply/RefusedRequestIsNotRemembered":   testRefusedRequest,
	"Apply/UnknownDigestRepeats":            testUnknownDigest,
	"Apply/DeletedRefusesSet":               testDeletedRefusesSet,
	"Apply/BatchAnswersInOrder":             testBatch,
	"Apply/EachFindsRoomForItself":          testRoom,
	"Get/SinceTheOldestChange":              testSince,
	"Apply/ConcurrentWritersLoseNothing":    testConcurrentWriters,
	"Create/TakenIdIsRefused":               testCreateTaken,
	"Create/LateMeetsItsOwnAlone":           testLateCreate,
	"Create/LateIsDatedByTheClocks":         testLateCreateWhereRevisionsAreAhead,
	"Create/LateIsJudgedByTheRow":           testLateCreateByTheRow,
	"Create/EarlierChangesAreAnothers":      testLateChange,
	"Create/LateIsAsOldAsItsPromise":        testLateChangeBehindALateCreate,
	"Create/ClaimSaysSo":                    testClaimCreated,
	"MustExist/MakesNone":                   testMustExist,
	"Delete/CarriesItsMarkAlone":            testDeleteIsPure,
	"Delete/OutlivesTheCopy":                testTombstones,
	"Delete/RepeatedIsNotAbsent":            testRepeatedDeletion,
	"Delete/GivenUpLeavesNoTombstone":       testDropDeletion,
	"Fill/CompletesPartial":                 testFill,
	"Fill/StaleRowIsPassedOver":             testFillStale,
	"Fill/DirtyIsPassedOver":                testFillDirty,
	"Fill/RowOlderThanTheAckIsPassedOver":   testFillAfterAck,
	"Fill/DeletedRowIsDeleted":              testFillDeleted,
	"Claim/OnlyWhatIsDue":                   testClaimDue,
	"Claim/FirstDueTimeStands":              testFirstDueStands,
	"Claim/OnlyChangedFields":               testClaimChanged,
	"Claim/FollowsWhatWasFlushed":           testClaimFollows,
	"Claim/LeaseHidesAndReturns":            testLease,
	"Claim/LimitTakesEarliest":              testClaimLimit,
	"Claim/ByIDIgnoresDue":                  testClaimIDs,
	"Ack/CleansUpToRevision":                testAck,
	"Ack/NewerChangeStaysDirty":             testAckNewer,
	"Ack/SinkAheadForgets":                  testAckAhead,
	"Ack/SinkAheadKeepsNewerChanges":        testAckAheadOfSome,
	"Ack/UnknownTicketIsNoError":            testAckUnknown,
	"Ack/NextRevisionIsAboveTheSinks":       testRevisionAboveSink,
	"Release/DueAgain":                      testRelease,
	"Park/LeavesQueueStaysReadable":         testPark,
	"Park/ChangedTicketStays":               testParkChanged,
	"Park/LaterWriteRevives":                testParkRevive,
	"Letters/ShowWhatIsRefused":             testLetters,
	"Letters/PageByPage":                    testLetterPages,
	"Retry/DueNow":                          testRetry,
	"Drop/ForgetsTheTicket":                 testDrop,
	"Drop/ChangedTicketStays":               testDropChanged,
	"Backlog/CountsAndOldest":               testBacklog,
	"DirtyIDs/ListsEveryDirtyTicketOnce":    testDirtyIDs,
	"Durability/DirtyNeverExpiresCleanDoes": testExpiry,
}

// Run runs the contract. Every test opens a store of its own and they run in parallel.
func Run(t *testing.T, open Open) {
	t.Helper()
	for name, test := range contract {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newBench(t, open(t)))
		})
	}
}

// bench is a store with a clock that the test moves and helpers that fail the test.
type bench struct {
	Backend
	now   time.Time
	clock *ticket.Clock
}

const (
	linger = 200 * time.Millisecond
	lease  = 30 * time.Second
)

func newBench(t *testing.T, b Backend) *bench {
	t.Helper()
	// Above all that the store has seen when it was opened, and in ms, as due times are kept.
	w := &bench{Backend: b, now: time.Now().Truncate(time.Millisecond).Add(time.Millisecond)}
	w.clock = ticket.NewClock(func() time.Time { return w.now })
	return w
}

// mutation makes a mutation as a daemon with the event strategy would.
func (b *bench) mutation(kind store.Kind, id ticket.ID, fields ticket.Fields) store.Mutation {
	return store.Mutation{
		Kind: kind, ID: id, Fields: fields, Proposed: b.clock.Propose(), Due: b.now.Add(linger),
	}
}

func (b *bench) apply(t *testing.T, mutations ...store.Mutation) []store.Outcome {
	t.Helper()
	outcomes, err := b.Store.Apply(t.Context(), mutations)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	if len(outcomes) != len(mutations) {
		t.Fatalf("Apply returned %d outcomes for %d mutations", len(outcomes), len(mutations))
	}
	return outcomes
}

// set changes fields given as name, value, name, value and returns the revision.
func (b *bench) set(t *testing.T, id ticket.ID, pairs ...string) ticket.Revision {
	t.Helper()
	outcome := b.apply(t, b.mutation(store.Set, id, fields(pairs...)))[0]
	if outcome.Err != nil {
		t.Fatalf("set %d: %v", id, outcome.Err)
	}
	return outcome.Revision
}

func (b *bench) get(t *testing.T, id ticket.ID) store.Record {
	t.Helper()
	records, err := b.Store.Get(t.Context(), []ticket.ID{id})
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return records[0]
}

func (b *bench) claim(t *testing.T, limit int) []store.Claim {
	t.Helper()
	claims, err := b.Store.Claim(t.Context(), b.now, limit, lease)
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	return claims
}

// claimOne demands that exactly one ticket is due.
func (b *bench) claimOne(t *testing.T) store.Claim {
	t.Helper()
	claims := b.claim(t, 100)
	if len(claims) != 1 {
		t.Fatalf("claimed %d tickets, want 1: %+v", len(claims), claims)
	}
	return claims[0]
}

func (b *bench) ack(t *testing.T, id ticket.ID, revision ticket.Revision) {
	t.Helper()
	if err := b.Store.Ack(t.Context(), []store.Receipt{{ID: id, Revision: revision}}); err != nil {
		t.Fatalf("Ack: %v", err)
	}
}

func (b *bench) backlog(t *testing.T) store.Backlog {
	t.Helper()
	backlog, err := b.Store.Backlog(t.Context())
	if err != nil {
		t.Fatalf("Backlog: %v", err)
	}
	return backlog
}

func (b *bench) advance(d time.Duration) { b.now = b.now.Add(d) }

func fields(pairs ...string) ticket.Fields {
	var f ticket.Fields
	for i := 0; i+1 < len(pairs); i += 2 {
		f = f.With(pairs[i], ticket.Text(pairs[i+1]))
	}
	return f
}

// wantFields demands exactly the given fields, in any order.
func wantFields(t *testing.T, got ticket.Fields, want ...string) {
	t.Helper()
	wanted := fields(want...)
	if len(got) != len(wanted) {
		t.Fatalf("fields %v, want %v", got, wanted)
	}
	for _, f := range wanted {
		if v, ok := got.Get(f.Name); !ok || v != f.Value {
			t.Fatalf("field %q is %q (there: %v), want %q", f.Name, v.Text(), ok, f.Value.Text())
		}
	}
}
