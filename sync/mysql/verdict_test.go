package mysql_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
)

// verdict is a column type with values on which package table must agree with the server in strict mode: an accepted value is
// accepted by the server and has the form that the server holds; a value that the server refuses is refused.
type verdict struct {
	column string
	agree  []string
	// stricter are values that a server may take and package table refuses: spellings that are traps, or on which the servers
	// differ.
	stricter []string
	// rewritten are values that a server may refuse and package table makes acceptable.
	rewritten []string
	// mariaDB says that MySQL has no such type.
	mariaDB bool
}

var numbers = []string{
	"007", " 7", "7 ", "+7", "-7", "1e2", "1.4", "1.5", "-1.5", "0x10", "", "abc", "7a", ".5", ".", "-", "--1", "1.",
	"1e+1", "\t7", "7\n", "1 2", "-0", "-0.4", "00000000000000000000000000000012", "true", "4e9999999999999999999",
	"1e400", "12,5",
	"127", "128", "-128", "-129", "255", "256", "32767", "32768", "8388607", "8388608", "2147483647", "2147483648",
	"2147483647.4", "2147483647.5", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808",
	"-9223372036854775808", "-9223372036854775809", "9223372036854775806.5", "18446744073709551615",
	"18446744073709551616",
	"18446744073709551615.4", "9.223372036854775807e18", "1e19",
}

// Incomplete numbers, of which MySQL reads the valid beginning.
var oddNumbers = []string{"1e", "1e+"}

var decimals = []string{
	"1.005", "1.004", "999.99", "999.994", "999.995", "-999.995", "1000", "1e2", "1.5e-1", "", "abc", " 1.5 ", "1.5x",
	"-0", "-1",
	"-0.001", "-0.005", "+1", "007.1", ".5", "5.", "1e-50", "1e500", "0x10", ".", " ", "1 2", "12,5",
}

var dates = []string{
	"2026-01-02", "2026-1-2", "2026-02-30", "2026-02-29", "2024-02-29", "0000-00-00", "2026-00-01", "2026-01-00",
	"9999-12-31",
	"10000-01-01", "", "abc", "2026-01-02 ", " 2026-01-02", "0001-01-01", "2026-01", "2026-13-01",
	"2026-01-02 03:04:05", "2026-01-02T03:04:05", "2026-01-02 03:04", "2026-01-02 03", "2026-01-02 25:00:00",
	"2026-01-02 24:00:00", "2026-01-02 23:60:00", "2026-01-02 23:59:60", "2026-1-2 3:4:5", "2026-01-02 03:04:05x",
	"0000-00-00 00:00:00", "2026-01-02 03:04:05.", "2026-01-02  03:04:05", "2026-01-02 03:04:05 ", "now()",
}

// The servers read these dates too: two-digit years, other separators, digits alone; a wrong date then looks right.
var oddDates = []string{"26-01-02", "20260102", "2026/01/02", "999-01-01", "20260102030405", "2026-01-02x",
	"260102030405", "99999999", "0767323045", "1767323045000", "-1767323045", "1767323045x"}

// Zones and Unix times, which the servers read otherwise or not at all.
var zonedDates = []string{
	"1767323045", "100000000", " 1767323045.75 ",
	"2026-01-02T03:04:05Z", "2026-01-02T03:04:05+02:00", "2026-01-02 03:04:05.25Z", "2026-01-02T23:30:00-0200",
	"2026-01-02 03:04:05.999999",
}

// Characters that only some character sets have, also below U+0080.
var characters = []string{
	"abc", "[", "\\", "~", "é", "Å", "ж", "ł", "ß", "€", "¥", "‾", "\u4e2d", "あ", "ｱ", "１", "😀",
	"\u0080", "\u00a0", "\ue000", "\u2028",
	"\uffff", "\ufeff", "жł", "",
}

var verdicts = []verdict{
	{column: "TINYINT", agree: numbers, stricter: oddNumbers},
	{column: "TINYINT UNSIGNED", agree: numbers, stricter: oddNumbers},
	{column: "SMALLINT", agree: numbers, stricter: oddNumbers},
	{column: "MEDIUMINT", agree: numbers, stricter: oddNumbers},
	{column: "INT", agree: numbers, stricter: oddNumbers},
	{column: "INT UNSIGNED", agree: numbers, stricter: oddNumbers},
	{column: "BIGINT", agree: numbers, stricter: oddNumbers},
	{column: "BIGINT UNSIGNED", agree: numbers, stricter: oddNumbers},
	{column: "DECIMAL(5,2)", agree: decimals},
	{column: "DECIMAL(5,2) UNSIGNED", agree: decimals},
	{column: "DECIMAL(4,0)", agree: []string{"9999.4", "9999.5", "1e3", "12345"}},
	{column: "DOUBLE", agree: []string{
		"1e308", "1e309", "1e-400", "abc", "", " 1.5 ", "0x1F", "inf", "nan", "1.5x", "007.50", "1e3", ".5", "5.", "1e15",
		"1e16",
		"0.00001", "-", "1e20", "0.0000000000000001",
	}, rewritten: []string{"-0"}},
	{column: "DOUBLE UNSIGNED", agree: []string{"-1", "1.5"}, rewritten: []string{"-0.0"}},
	{column: "FLOAT", agree: []string{"3.5e38", "1e39", "0.1", "1e3", "1e-50", "x"}},
	{column: "FLOAT(5,2)", agree: []string{"999.995", "1000", "1.25"}},
	{column: "DATE", agree: dates, stricter: oddDates, rewritten: zonedDates},
	{column: "DATETIME", agree: dates, stricter: oddDates, rewritten: zonedDates},
	{
		column: "DATETIME(3)", agree: dates, stricter: oddDates,
		rewritten: append(slices.Clip(zonedDates), "2026-01-02 03:04:05.6789"),
	},
	{
		column: "TIMESTAMP NULL", stricter: append(slices.Clip(oddDates), "1970-01-01 00:00:00.5"), rewritten: zonedDates,
		agree: append(slices.Clip(dates), "1970-01-01 00:00:00", "1970-01-01 00:00:01", "2038-01-19 03:14:07",
			"1969-12-31 23:59:59", "1970-01-01"),
	},
	{
		column: "TIME",
		agree: []string{
			"10:11:12", "10:11", "838:59:59", "839:00:00", "-10:11:12", "10:60:00", "10:11:60", "1:2:3", "abc", "-838:59:59",
			"24:00:00", "-00:00:00", "10:11:12 ",
		},
		stricter: []string{"", "1 10:11:12", "101112", "12", "2026-01-02 10:11:12", "0", "1011", "10:", "10:11:"},
	},
	{column: "TIME(2)", agree: []string{"10:11:12", "10:11:12.78"}, rewritten: []string{"10:11:12.789"}},
	{column: "YEAR", agree: []string{
		"2026", "1900", "1901", "2155", "2156", "0", "0000", "26", "70", "69", "00", "99", "100", "", "abc", "-1", "1",
	}},
	{column: "VARCHAR(3)", agree: []string{
		"abc", "abcd", "abc ", "abc  ", "ab ", "äöü", "äöüß", "😀😀😀", "😀😀😀😀", "", "a\x00b", "'\"\\",
	}},
	{column: "VARCHAR(3) CHARACTER SET utf8mb3", agree: []string{"äöü", "😀", "äöüß"}},
	{column: "VARCHAR(3) CHARACTER SET latin1", agree: []string{"äöü", "€", "ł", "Ÿ", "abc "}},
	{column: "VARCHAR(3) CHARACTER SET ascii", agree: []string{"abc", "ä", "abcd"}},
	{column: "CHAR(3)", agree: []string{"abc", "abcd", "abc ", "ab ", "  ", "äöü"}},
	{column: "VARBINARY(3)", agree: []string{"abc", "abcd", "abc ", "äö", "\xff\x00\\"}},
	{column: "BINARY(3)", agree: []string{"ab", "abc", "abcd", "abc "}},
	{column: "TINYTEXT", agree: []string{
		strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("x", 255) + " ", strings.Repeat("ä", 127),
		strings.Repeat("ä", 128),
	}},
	{column: "TINYBLOB", agree: []string{strings.Repeat("x", 255), strings.Repeat("x", 256)}},
	{column: "TEXT", agree: []string{strings.Repeat("x", 65535), strings.Repeat("x", 65536)}},
	{
		column: `ENUM('Open','closed','it''s','a\\b','1')`,
		agree:  []string{"Open", "open", "Open ", "closed", "x", "", "1", "2", "9", " Open", "it's", `a\b`},
		// MySQL takes the text "0" for the error value.
		stricter: []string{"0"},
	},
	{column: "ENUM('é','b')", agree: []string{"é", "É"}, stricter: []string{"e"}},
	{column: "ENUM('a','')", agree: []string{"", "a"}, stricter: []string{"0"}},
	{column: "ENUM('a','B') COLLATE utf8mb4_bin", agree: []string{"A", "a", "a "}},
	{column: "SET('a','b','c')", agree: []string{
		"a", "b,a", "a,a", "", "a,", "a, b", ",", "d", "a,d", "A", "1", "3", "8", "7", "a ", ",a",
	}},
	{
		column: "JSON",
		agree: []string{
			"{}", "[1]", `"a"`, "1", "null", "", "{", "a", `{"a":1}x`, "tru", "{'a':1}", "[1,]", `"\ud800"`, "\"\x01\"",
			"[01]", "-",
			"[NaN]", `"😀"`,
		},
		stricter: []string{`"\x"`},
	},
	{column: "DECIMAL(8,3) ZEROFILL", agree: []string{"1.5", "0", "12345.6789", "123456", "99999.9995", "-1", ".5"}},
	{column: "DECIMAL(5,5) ZEROFILL", agree: []string{"0.5", "1", "0"}},
	{column: "DECIMAL(5,0) ZEROFILL", agree: []string{"7", "99999", "99999.5"}},
	{column: "VARCHAR(3) CHARACTER SET cp1251", agree: characters},
	{column: "VARCHAR(3) CHARACTER SET latin2", agree: characters},
	{column: "TINYTEXT CHARACTER SET sjis", agree: characters},
	{column: "CHAR(3) CHARACTER SET gbk", agree: characters},
	{column: "VARCHAR(3) CHARACTER SET swe7", agree: characters},
	{column: "VARCHAR(3) CHARACTER SET ucs2", agree: characters},
	{column: "VARCHAR(3) CHARACTER SET utf16", agree: characters},
	{column: "POINT", agree: []string{"NULL", "POINT(1 1)", ""}},
	{
		column: "UUID", mariaDB: true, agree: []string{
			"550e8400-e29b-41d4-a716-446655440000", "550E8400E29B41D4A716446655440000", "550E8400-E29B-41D4-A716-44665544000",
			"550E8400-E29B-41D4-A716-44665544000g", "", "a", "NULL",
		},
	},
	{column: "INET4", mariaDB: true, agree: []string{"1.2.3.4", "1.2.3", "1.2.3.256", "", "::1", "NULL"}},
	{
		column: "INET6", mariaDB: true, agree: []string{
			"::", "::1", "1::", "::ffff:1.2.3.4", "::1.2.3.4", "::102:304", "1:2:3:0:5:6:7:8", "1:0:0:4:0:0:7:8", "0:1:0:0:0:0:0:0",
			"FE80::ABCD", "1:2:3:4:5:6:7:8", "::ffff:0:0", "::2:0:0", "1:2:3:4:5:6:1.2.3.4", "fe80::1%eth0",
			"1:2:3:4:5:6:7::8:9", "", "x", "NULL",
		},
	},
	{column: "INT NOT NULL", agree: []string{"NULL", "1"}},
	{column: "VARCHAR(3) NULL", agree: []string{"NULL"}},
}

func TestTheDoorAgreesWithTheServer(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		for i, v := range verdicts {
			t.Run(v.column, func(t *testing.T) {
				t.Parallel()
				if v.mariaDB && testenv.IsMySQL() {
					t.Skip("MySQL has no such type")
				}
				config := mysql.Config{DSN: dsn, Table: fmt.Sprintf("verdict_%d", i), MaxConns: 1}
				db := open(t, config)
				exec(t, db, "CREATE TABLE "+config.Table+" (ticket_id BIGINT PRIMARY KEY, revision BIGINT NOT NULL, v "+v.column+
					", deleted_at DATETIME NULL) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
				exec(t, db, "CREATE TABLE "+config.Table+"_seq (id INT PRIMARY KEY)") // which says that the revision is ticketd's
				if _, err := db.LoadDefinition(t.Context()); err != nil {
					t.Fatal(err)
				}
				for _, value := range v.agree {
					agree(t, db, config.Table, value)
				}
				for _, value := range v.stricter {
					if held, err := atDoor(t, db, value); err == nil {
						t.Errorf("%q: the door lets %q pass", value, held.Text())
					}
				}
				for _, value := range v.rewritten {
					held, err := atDoor(t, db, value)
					if err != nil {
						t.Errorf("%q: the door refuses: %v", value, err)
						continue
					}
					wantHeld(t, db, value, held)
				}
			})
		}
	})
}

// agree asks the server and package table about a value.
func agree(t *testing.T, db *mysql.DB, table, value string) {
	t.Helper()
	raw := sql.NullString{String: value, Valid: value != "NULL"}
	_, serverErr := db.Pool().ExecContext(t.Context(),
		"REPLACE INTO "+table+" (ticket_id, revision, v) VALUES (1, 1, ?)", raw)
	held, doorErr := atDoor(t, db, value)
	short := value[:min(len(value), 50)]
	if (serverErr == nil) != (doorErr == nil) {
		t.Errorf("%q: the server says %v, the door %v", short, serverErr, doorErr)
		return
	}
	if serverErr != nil {
		return
	}
	if got, _ := row(t, db, 1).Fields.Get("v"); got != held {
		t.Errorf("%q: the server holds %q, the door makes it %q", short, got.Text(), held.Text())
	}
	wantHeld(t, db, short, held)
}

func atDoor(t *testing.T, db *mysql.DB, value string) (ticket.Value, error) {
	t.Helper()
	fields, err := db.Definition().Check(set(1, 1, "v", value).Fields)
	if err != nil {
		return ticket.Null, err
	}
	return fields[0].Value, nil
}

// wantHeld requires that an accepted value enters the table and comes back unchanged.
func wantHeld(t *testing.T, db *mysql.DB, value string, held ticket.Value) {
	t.Helper()
	exec(t, db, "DELETE FROM "+db.Definition().Table)
	results := write(t, db, store.Claim{ID: 2, Revision: 1, Fields: ticket.Fields{{Name: "v", Value: held}}})
	if results[0].Refused != nil {
		t.Errorf("%q: the door lets %q pass, the server says %v", value, held.Text(), results[0].Refused)
		return
	}
	if got, _ := row(t, db, 2).Fields.Get("v"); got != held {
		t.Errorf("%q: the door lets %q pass, the server holds %q", value, held.Text(), got.Text())
	}
}
