package check

import "testing"

// Histories of counters that keep the promise.
var goodCounters = map[string]func(s *script){
	"a counter": func(s *script) {
		s.increment(1, 0, "0", rev(10))
		s.increment(1, 10, "1", rev(11))
		s.increment(1, 10, "1", refused, code("conflict"), by(1))
		s.increment(1, 15, "2", rev(16), by(1)) // another field of the ticket was changed before
		s.list(1, 16, "assigned_to=2 status=whatever")
		s.row(1, 16, "assigned_to=2 status=whatever")
	},
	"an unknown increment that was made": func(s *script) {
		s.increment(1, 0, "0", rev(10))
		s.increment(1, 10, "1", unknown)
		s.increment(1, 11, "2", rev(12), by(1))
		s.row(1, 12, "assigned_to=2")
	},
	"an unknown increment that was not made": func(s *script) {
		s.increment(1, 0, "0", rev(10))
		s.increment(1, 10, "1", unknown)
		s.increment(1, 10, "1", rev(12), by(1))
		s.row(1, 12, "assigned_to=1")
	},
}

// Histories that break the rule of counters.
var badCounters = map[string]badHistory{
	"an increment over one that its client has not seen": {RuleCounters, func(s *script) {
		s.increment(1, 0, "0", rev(10))
		s.increment(1, 10, "1", rev(11))
		s.increment(1, 12, "1", rev(13), by(1)) // 12 was shown with the number of 10
		s.row(1, 13, "assigned_to=1")
	}},
	"a lost increment after one that is unknown": {RuleCounters, func(s *script) {
		s.increment(1, 0, "0", rev(10))
		s.increment(1, 10, "1", unknown)
		s.increment(1, 11, "2", rev(12), by(1))
		s.increment(1, 12, "3", rev(13), by(1))
		s.row(1, 13, "assigned_to=1")
	}},
	"an increment that was made twice": {RuleCounters, func(s *script) {
		s.increment(1, 0, "0", rev(10))
		s.increment(1, 10, "1", rev(11))
		s.row(1, 12, "assigned_to=2")
	}},
	"a counter that is gone": {RuleCounters, func(s *script) {
		s.increment(1, 0, "0", rev(10))
	}},
}

// Other rules ignore a counter's ticket, and check a ticket beside.
func TestCountersAreNobodyElses(t *testing.T) {
	t.Parallel()
	var s script
	s.increment(1, 0, "0", rev(10))
	s.row(1, 10, "assigned_to=0 status=unrecorded")
	s.row(2, 10, "status=nobody's")
	found := All(&s.History)
	if len(found) != 2 || found[0].Ticket != 2 || found[1].Ticket != 2 {
		t.Errorf("want what is wrong with ticket 2 alone, found:\n%s", report(found))
	}
}
