package mysql

import (
	"errors"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
)

// verdict is the meaning of a database error for the batch that caused the error.
type verdict int

const (
	fine     verdict = iota
	conflict         // other clients hold the rows: again, smaller
	data             // the table refuses one of the rows: find the row
	tooLarge         // the statement is larger than the server takes: smaller
	changed          // the table is missing or differs from the definition; or a trigger's statement meets such a table
	doubtful         // the server does not take the statement; or a trigger's statement fails so for a row
	unknown          // the answer is not listed here: the error concerns a row, if the server takes other writes
	down             // the server takes no write now, or does not answer
)

// Error numbers of MySQL and MariaDB that several places name.
const (
	errUnknownColumn  = 1054
	errLockWait       = 1205
	errDuplicate      = 1062
	errOutOfRange     = 1264
	errPacketTooLarge = 1153
	errNoDefault      = 1364
	errVanished       = ticket.RowVanished
)

// verdicts by error number; https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html and, from 1900
// to 1999 and 4000 on, https://mariadb.com/kb/en/mariadb-error-code-reference/.
var verdicts = map[uint16]verdict{
	1213:        conflict, // deadlock
	errLockWait: conflict, // lock wait timeout
	1020:        conflict, // MariaDB: record has changed since last read

	1048:          data, // NULL in a NOT NULL column
	1118:          data, // row size too large
	errOutOfRange: data,
	1265:          data, // data truncated
	1292:          data, // incorrect date or time
	1366:          data, // incorrect value, string or character
	errNoDefault:  data,
	errVanished:   data, // the row does not exist
	1406:          data, // too long
	1452:          data, // foreign key
	errDuplicate:  data, // another unique index
	1644:          data, // a trigger's SIGNAL
	3140:          data, // invalid JSON text
	3141:          data, // invalid JSON in an argument
	3144:          data, // JSON in the wrong character set
	3157:          data, // JSON nested too deeply
	3819:          data, // CHECK constraint (MySQL)
	4025:          data, // CHECK constraint (MariaDB)
	4035:          data, // MariaDB: broken JSON in an argument, here and up to 4040; the extra column may hold such
	4036:          data,
	4037:          data,
	4038:          data,
	4039:          data,
	4040:          data,

	errPacketTooLarge: tooLarge,

	1049:             changed, // no such database
	errUnknownColumn: changed,
	1136:             changed, // column count
	1146:             changed, // no such table
	1347:             changed, // the name now belongs to a view
	1356:             changed, // a view without its table
	1471:             changed, // a view that takes no INSERT
	1906:             changed, // MariaDB: value for a generated column
	3105:             changed, // MySQL: value for a generated column

	1034: doubtful, // broken index file
	1036: doubtful, // table is read only
	1064: doubtful, // syntax error: the fault is in the statement, not in a row
	1105: doubtful, // unknown error
	1142: doubtful, // command denied
	1143: doubtful, // column denied
	1194: doubtful, // table crashed, here and below
	1195: doubtful,
	1227: doubtful, // privilege missing
	1290: doubtful, // read only
	1370: doubtful, // routine denied
	1449: doubtful, // the definer of a trigger does not exist
	1812: doubtful, // tablespace missing, here and below
	1813: doubtful,
	1814: doubtful,
	1815: doubtful, // internal error

	1021: down, // disk full
	1030: down, // the storage engine reports an error
	1037: down, // out of memory, here and below
	1038: down,
	1040: down, // too many connections
	1041: down,
	1044: down, // no access to the database
	1045: down, // wrong user or password
	1053: down, // shutdown
	1114: down, // table full, which is a disk or a temporary table
	1203: down, // too many connections of the user
	1206: down, // more locks than the lock table takes
	1226: down, // a resource of the user is used up
	1317: down, // query killed
	1637: down, // too many transactions
	1665: down, // a transaction that locks no gaps, on a server with binlog_format = STATEMENT
	1792: down, // read only transaction
	1836: down, // read only mode
	1927: down, // MariaDB: connection killed
	1969: down, // MariaDB: statement time-out
	3024: down, // MySQL: statement time-out
	3168: down, // MySQL: the server is not configured properly
	3572: down, // MySQL: NOWAIT on a lock
}

// judge returns the meaning of an error. The class of a trigger's SIGNAL (45) concerns a row, whatever its number. For a number
// that is not in the table the class of the SQLSTATE decides: a data exception (22) and a violated constraint (23) concern a
// row, a rolled back transaction (40) is a conflict, a connection (08) or an authorisation (28) concerns the server. All other
// answers are [unknown].
func judge(err error) verdict {
	if err == nil {
		return fine
	}
	if errors.Is(err, driver.ErrPktTooLarge) {
		return tooLarge
	}
	mysqlErr, ok := errors.AsType[*driver.MySQLError](err)
	if !ok {
		return down
	}
	class := string(mysqlErr.SQLState[:2])
	if class == "45" {
		return data
	}
	if v, named := verdicts[mysqlErr.Number]; named {
		return v
	}
	switch class {
	case "22", "23":
		return data
	case "40":
		return conflict
	case "08", "28":
		return down
	default:
		return unknown
	}
}

// answered says that an error is the server's answer.
func answered(err error) bool {
	_, ok := errors.AsType[*driver.MySQLError](err)
	return ok
}

// timedOut says that a statement has waited for a lock in vain.
func timedOut(err error) bool {
	mysqlErr, ok := errors.AsType[*driver.MySQLError](err)
	return ok && mysqlErr.Number == errLockWait
}

// Denied says that the user lacks a right for a statement.
func Denied(err error) bool {
	const database, table, column, administrator = 1044, 1142, 1143, 1227
	return refusedWith(err, database, table, column, administrator)
}

// readOnly says that the server takes no writes: it is a replica, or became one while the connection lasted.
func readOnly(err error) bool {
	const option, transaction, mode = 1290, 1792, 1836
	return refusedWith(err, option, transaction, mode)
}

// refusal turns the database's error into the reason of a dead letter.
func refusal(err error) *flush.Refusal {
	if mysqlErr, ok := errors.AsType[*driver.MySQLError](err); ok {
		return &flush.Refusal{Code: int(mysqlErr.Number), Reason: mysqlErr.Message}
	}
	return &flush.Refusal{Code: errPacketTooLarge, Reason: err.Error()}
}
