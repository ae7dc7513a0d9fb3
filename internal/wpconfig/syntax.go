package wpconfig

// The tree of a program: what the parser makes of the tokens, and what the machine runs.

// expression is one of the types below. The machine evaluates an expression by machine.eval, which counts the steps.
type expression interface {
	at() int
	eval(m *machine) value
}

// place is the line of a part of the program.
type place int

func (p place) at() int { return int(p) }

type (
	// literal is a value that stands in the file.
	literal struct {
		place

		value value
	}
	// name is a constant.
	name struct {
		place

		text string
	}
	// reading is a variable.
	reading struct {
		place

		text string // with the dollar sign
	}
	// element is base[key]; key is nil for base[].
	element struct {
		place

		base, key expression
	}
	// list is an array literal. Keys are nil where none is given.
	list struct {
		place

		keys, values []expression
	}
	unary struct {
		place

		operator string
		operand  expression
	}
	operation struct {
		place

		operator    string
		left, right expression
	}
	// choice is a ? b : c; yes is nil for a ?: c.
	choice struct {
		place

		condition, yes, no expression
	}
	// assignment is =, or an operator with = behind.
	assignment struct {
		place

		operator      string
		target, value expression
	}
	call struct {
		place

		function  string // in lower case
		arguments []expression
	}
	// isset is isset(a, b), or empty(a).
	isset struct {
		place

		empty    bool
		operands []expression
	}
	// inclusion is include or require, with or without _once.
	inclusion struct {
		place

		required, once bool
		path           expression
	}
	// ending is exit or die.
	ending struct{ place }
	// opaque is what the machine does not follow. Harmless is without effects on constants and variables.
	opaque struct {
		place

		what     string
		harmless bool
	}
)

// statement is one of the types below.
type statement interface {
	at() int
	run(m *machine) (signal, value)
}

type (
	// effect is an expression that stands alone.
	effect struct{ expression }
	block  struct {
		place

		body []statement
	}
	conditional struct {
		place

		condition       expression
		then, otherwise []statement
	}
	// each is a foreach; key is empty where none is given.
	each struct {
		place

		subject    expression
		key, value string
		body       []statement
	}
	// selection is a switch. The condition of the default branch is nil.
	selection struct {
		place

		subject  expression
		branches []branch
	}
	branch struct {
		condition expression
		body      []statement
	}
	// function is the declaration of a function.
	function struct {
		place

		name       string // in lower case
		parameters []parameter
		body       []statement
	}
	parameter struct {
		name     string
		fallback expression // nil where none is given
	}
	// result is return; the value is nil if none is given.
	result struct {
		place

		value expression
	}
	// jump is break or continue.
	jump struct {
		place

		again bool
	}
	// constants is const A = 1, B = 2.
	constants struct {
		place

		names  []string
		values []expression
	}
	// shared is global $a, $b.
	shared struct {
		place

		names []string
	}
	// removal is unset($a).
	removal struct {
		place

		targets []expression
	}
	// unfollowed is a statement that the machine does not follow, such as a loop without a list.
	unfollowed struct {
		place

		what string
	}
)
