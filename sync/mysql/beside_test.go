package mysql_test

import (
	"strings"
	"testing"

	"github.com/ticketd/ticketd/sync/mysql"
)

// beside says that the test runs below [TestBeside].
func beside(t *testing.T) bool {
	t.Helper()
	return strings.HasPrefix(t.Name(), "TestBeside/")
}

// statementsPerBatch is how many statements write one batch that meets nothing newer.
func statementsPerBatch(t *testing.T) int64 {
	t.Helper()
	if beside(t) {
		return 2
	}
	return 1
}

// formerly adds what earlier versions added to a table that the config describes, but for tests below [TestBeside].
func formerly(t *testing.T, db *mysql.DB, column string) {
	t.Helper()
	if !beside(t) {
		exec(t, db, "ALTER TABLE tickets ADD COLUMN `"+column+"` bigint unsigned NOT NULL DEFAULT 0, ADD KEY `ticketd_revision` "+
			"(`"+column+"`)")
	}
}

// TestBeside runs the tests of the sink and of the readers once more, on tables that have their revisions in a side table.
func TestBeside(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*testing.T){ //nolint:paralleltest // each test calls Parallel itself
		"WriteInsertsAndUpdates":                TestWriteInsertsAndUpdates,
		"AVanishedRowDoesNotComeBackInPart":     TestAVanishedRowDoesNotComeBackInPart,
		"ADeletedTicketIsNotWrittenWhole":       TestADeletedTicketIsNotWrittenWhole,
		"AColumnForAFieldOfTheExtraColumn":      TestAColumnForAFieldOfTheExtraColumn,
		"AnOlderRevisionNeverOverwrites":        TestAnOlderRevisionNeverOverwrites,
		"AnEqualRevisionIsIdempotent":           TestAnEqualRevisionIsIdempotent,
		"ColumnsThatDidNotChangeStay":           TestColumnsThatDidNotChangeStayAsSQLEditedThem,
		"ConcurrentWritersLeaveTheHighest":      TestConcurrentWritersLeaveTheHighestRevision,
		"ExtraFields":                           TestExtraFields,
		"AnotherUniqueIndexDoesNotMixTickets":   TestAnotherUniqueIndexDoesNotMixTickets,
		"AFieldWithoutAPlace":                   TestAFieldWithoutAPlace,
		"OddRevision":                           TestOddRevision,
		"TicketsOfSetsAreAsOldAsTheSet":         TestTicketsOfSetsAreAsOldAsTheSet,
		"BitAndBinaryColumns":                   TestBitAndBinaryColumns,
		"SoftDeletes":                           TestSoftDeletes,
		"BatchesAreCutByRowsAndSorted":          TestBatchesAreCutByRowsAndSorted,
		"TheServersAnswerIsNotMistaken":         TestTheServersAnswerIsNotMistaken,
		"DeletedTickets":                        TestDeletedTickets,
		"SinceWhenThereIsATicket":               TestSinceWhenThereIsATicket,
		"SinceWhenADeletedTicketIsKnown":        TestSinceWhenADeletedTicketIsKnown,
		"SinceWhenByAUnixTime":                  TestSinceWhenByAUnixTime,
		"DeletedTicketsOfATableThatRemovesRows": TestDeletedTicketsOfATableThatRemovesRows,
		"ALateWriteDoesNotResurrect":            TestALateWriteDoesNotResurrect,
		"ALateDeletionDoesNotRemoveANewerRow":   TestALateDeletionDoesNotRemoveANewerRow,
		"DeletionsAgainstLateWrites":            TestDeletionsAgainstLateWrites,
		"ExtraThatIsNoJSON":                     TestExtraThatIsNoJSON,
		"ARefusedRowHoldsUpNobody":              TestARefusedRowHoldsUpNobody,
		"TableMissing":                          TestTableMissing,
		"ColumnMissing":                         TestColumnMissing,
		"AlteredUnderTheWrites":                 TestAlteredUnderTheWrites,
		"LockWaitTimeout":                       TestLockWaitTimeout,
		"Deadlock":                              TestDeadlock,
		"StatementsStayBelowThePacketLimit":     TestStatementsStayBelowThePacketLimit,
		"TheServerTakesNothing":                 TestTheServerTakesNothing,
		"ConnectionLostBeforeTheAnswer":         TestConnectionLostBeforeTheAnswer,
		"ListFilters":                           TestListFilters,
		"CountBy":                               TestCountBy,
		"ListPages":                             TestListPages,
		"ListRefuses":                           TestListRefuses,
		"ListOfAnExistingTable":                 TestListOfAnExistingTable,
		"ListPagesOverOddDates":                 TestListPagesOverOddDates,
		"ListEndsInTheServer":                   TestListEndsInTheServer,
		"RowsOfSeveralTickets":                  TestRowsOfSeveralTickets,
		"DefaultsOfTheLiveTable":                TestDefaultsOfTheLiveTable,
		"ExistingTable":                         TestExistingTable,
		"PartialChangesWithARequiredColumn":     TestPartialChangesOfATableWithARequiredColumn,
		"ABadRowAmongPartialChanges":            TestABadRowAmongPartialChanges,
	} {
		t.Run(name, test)
	}
}
