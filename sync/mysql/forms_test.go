package mysql_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
)

// The server stores an accepted value, and a read returns the accepted form; package table refuses each value that the server
// would refuse.
func TestTheDoorsFormIsTheTables(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		exec(t, db, "ALTER TABLE wp_support_tickets ADD COLUMN f FLOAT, ADD COLUMN d DOUBLE, ADD COLUMN m FLOAT(7,2), "+
			"ADD COLUMN l VARCHAR(20) CHARACTER SET latin1")
		d, err := db.LoadDefinition(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		type value struct{ column, text string }
		var values []value
		for _, number := range []string{
			"0", "-0", "0.1", "1.2345678", "16777217", "123456.789", "-98765.4321", "1e-7", "1e15", "1.5e-20", "3.4028234e38",
			"3.40282347e38", "-3.4028235e38", fmt.Sprint(float64(math.MaxFloat32)), "3.5e38", "1e-46", "0.005", "2.675", "12345.678",
		} {
			values = append(values, value{"f", number}, value{"d", number}, value{"m", number})
		}
		for r := rune(0x7E); r < 0xA2; r++ {
			values = append(values, value{"l", "x" + string(r)})
		}
		passed := 0
		for i, v := range values {
			id := ticket.ID(i + 1)
			checked, err := d.Check(ticket.Fields{{Name: v.column, Value: ticket.Text(v.text)}})
			if err != nil {
				insert := "INSERT INTO wp_support_tickets (ticket_id," + v.column + ") VALUES (?,?)"
				_, refused := db.Pool().ExecContext(t.Context(), insert, id, v.text)
				if refused == nil {
					t.Errorf("%s %q is refused (%v), and the server takes it", v.column, v.text, err)
				}
				continue
			}
			passed++
			c := set(id, 1)
			c.Fields = checked
			text := checked[0].Value.Text()
			if result := write(t, db, c)[0]; result.Refused != nil {
				t.Errorf("%s %q passes as %q, and the server refuses it: %s", v.column, v.text, text, result.Refused.Reason)
				continue
			}
			wantFields(t, db, id, 1, v.column, text)
		}
		if passed < len(values)/2 {
			t.Errorf("only %d of %d values pass: the test proves nothing", passed, len(values))
		}
	})
}
