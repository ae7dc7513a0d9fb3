package wpconfig

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// strengths are the binary operators, from the weakest; assignments and the choice are read apart.
var strengths = map[string]int{
	"or": 1, "xor": 2, "and": 3, "?": 5, "??": 6, "||": 7, "&&": 8, "|": 9, "^": 10, "&": 11,
	"==": 12, "!=": 12, "===": 12, "!==": 12, "<>": 12, "<=>": 12, "<": 13, "<=": 13, ">": 13, ">=": 13,
	".": 14, "<<": 15, ">>": 15, "+": 16, "-": 16, "*": 17, "/": 17, "%": 17, "instanceof": 19, "**": 21,
}

const (
	strengthNot   = 18
	strengthUnary = 20
)

// operator returns the binary operator that comes next; empty for none.
func (p *parser) operator() string {
	t := p.peek()
	text := t.text
	if t.kind == tokenName {
		text = strings.ToLower(t.text)
	} else if t.kind != tokenOther {
		return ""
	}
	if _, is := strengths[text]; is {
		return text
	}
	return ""
}

// expression reads an expression of operators at least as strong as the given strength.
func (p *parser) expression(least int) expression {
	defer p.deeper()()
	left := p.operand()
	for terms := 0; ; terms++ {
		line, operator := p.line(), p.operator()
		strength := strengths[operator]
		if operator == "" || strength < least {
			return left
		}
		if terms == maxTerms {
			p.fail("is computed from more than this command reads")
		}
		p.next()
		switch operator {
		case "?":
			c := &choice{place: line, condition: left}
			if !p.accept(":") {
				c.yes = p.expression(0)
				p.expect(":")
			}
			c.no = p.expression(strength + 1)
			left = c
		case "??":
			left = &operation{line, operator, left, p.expression(strength)} // from the right
		case "instanceof":
			p.operand()
			left = &opaque{line, "instanceof", true}
		default:
			left = &operation{line, operator, left, p.expression(strength + 1)}
		}
	}
}

// maxTerms bounds the operands of an expression: an expression for a value has a few.
const maxTerms = 500

// operand reads an expression without binary operators.
func (p *parser) operand() expression {
	defer p.deeper()()
	line := p.line()
	switch t := p.peek(); t.kind {
	case tokenText, tokenBlock:
		p.next()
		return p.postfix(&literal{line, t.text})
	case tokenNumber:
		p.next()
		return &literal{line, numeral(t.text)}
	case tokenComputed:
		p.next()
		return &opaque{line, "a string that PHP puts together", true}
	case tokenVariable:
		p.next()
		return p.assigned(p.postfix(&reading{line, t.text}))
	case tokenName:
		return p.named(line)
	case tokenOther:
		return p.prefixed(line, t.text)
	default:
		p.fail("has no end")
		return nil
	}
}

// numeral returns the value of a number in PHP's notation.
func numeral(text string) value {
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return n
	}
	if f, err := strconv.ParseFloat(strings.ReplaceAll(text, "_", ""), 64); err == nil {
		return f
	}
	return unknown{why: "is a number that this command does not read"}
}

// prefixed reads an operand that begins with punctuation.
func (p *parser) prefixed(line place, first string) expression {
	switch first {
	case "(":
		p.next()
		if cast := p.cast(); cast != "" {
			return &unary{line, cast, p.expression(strengthUnary)}
		}
		e := p.expression(0)
		p.expect(")")
		return p.postfix(e)
	case "[":
		p.next()
		return p.assigned(p.postfix(p.list(line, "]")))
	case "!":
		p.next()
		return &unary{line, "!", p.expression(strengthNot)}
	case "@":
		p.next()
		return p.expression(strengthUnary)
	case "-", "+", "~":
		p.next()
		return &unary{line, first, p.expression(strengthUnary)}
	case "++", "--":
		p.next()
		target := p.operand()
		return &assignment{line, first, target, &literal{line, nil}}
	case "&":
		p.fail("has a reference, which this command does not follow")
	default:
		p.fail("has a syntax that this command does not read")
	}
	return nil
}

var casts = []string{"int", "integer", "bool", "boolean", "string", "float", "double", "array", "object"}

// cast reads the rest of (type); empty for another bracket.
func (p *parser) cast() string {
	if p.peek().kind != tokenName || !p.ahead(1).is(")") {
		return ""
	}
	text := strings.ToLower(p.peek().text)
	if !slices.Contains(casts, text) {
		return ""
	}
	p.pos += 2
	return text
}

// list reads the elements of an array up to the closing bracket.
func (p *parser) list(line place, closing string) expression {
	l := &list{place: line}
	for !p.accept(closing) {
		e := p.expression(0)
		var key expression
		if p.accept("=>") {
			key, e = e, p.expression(0)
		}
		l.keys, l.values = append(l.keys, key), append(l.values, e)
		if !p.peek().is(closing) {
			p.expect(",")
		}
	}
	return l
}

// postfix reads what may stand behind an operand: elements, members, calls.
func (p *parser) postfix(e expression) expression {
	for {
		line := p.line()
		switch {
		case p.accept("["):
			el := &element{place: line, base: e}
			if !p.accept("]") {
				el.key = p.expression(0)
				p.expect("]")
			}
			e = el
		case p.accept("->"), p.accept("?->"):
			e = &opaque{line, "an object's property", true}
			switch {
			case p.peek().is("{"):
				p.skip("{", "}")
			default:
				p.next()
			}
		case p.accept("::"):
			e = &opaque{line, "a class' member", true}
			p.next()
		case p.peek().is("("):
			p.skip("(", ")")
			e = &opaque{line, "a call of a method or of a computed function", false}
		case p.accept("++"), p.accept("--"):
			return &assignment{line, "++", e, &literal{line, nil}}
		default:
			return e
		}
	}
}

var assigning = []string{"=", ".=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "??=", "**=", "<<=", ">>="}

// assigned reads an assignment to the operand, if one follows.
func (p *parser) assigned(target expression) expression {
	line := p.line()
	if t := p.peek(); t.kind != tokenOther || !slices.Contains(assigning, t.text) {
		return target
	}
	operator := p.next().text
	if p.peek().is("&") {
		p.fail("has a reference, which this command does not follow")
	}
	const strength = 4 // an assignment to the right takes all but and, or, xor
	return &assignment{line, operator, target, p.expression(strength)}
}

// named reads an operand that begins with a word.
func (p *parser) named(line place) expression {
	t := p.next()
	word := strings.ToLower(t.text)
	switch word {
	case "isset", "empty":
		return &isset{line, word == "empty", p.arguments()}
	case "include", "include_once", "require", "require_once":
		return &inclusion{line, strings.HasPrefix(word, "require"), strings.HasSuffix(word, "_once"), p.expression(strengths["??"])}
	case "exit", "die":
		if p.peek().is("(") {
			p.skip("(", ")")
		}
		return &ending{line}
	case "print":
		return p.expression(strengths["??"])
	case "new", "clone", "function", "fn", "static", "match", "yield", "throw":
		p.fail(fmt.Sprintf("has a %s, which this command does not follow", word))
	}
	return p.plainName(line, word, t.text)
}

// plainName reads a list, a call, a class or a constant.
func (p *parser) plainName(line place, word, text string) expression {
	switch {
	case word == "b" && p.peek().kind == tokenText:
		return p.postfix(&literal{line, p.next().text})
	case word == "array" && p.accept("("):
		return p.postfix(p.list(line, ")"))
	case word == "list" && p.accept("("):
		return p.assigned(p.list(line, ")"))
	case p.peek().is("("):
		return p.postfix(&call{line, word, p.arguments()})
	case p.peek().is("::"):
		return p.postfix(&opaque{line, "a class", true})
	default:
		return p.postfix(p.magic(line, text))
	}
}

// magic is a constant that depends on the place in the file, or another constant.
func (p *parser) magic(line place, text string) expression {
	switch strings.ToUpper(text) {
	case "__FILE__":
		return &literal{line, p.file}
	case "__DIR__":
		return &literal{line, dirname(p.file)}
	case "__LINE__":
		return &literal{line, int64(line)}
	case "TRUE":
		return &literal{line, true}
	case "FALSE":
		return &literal{line, false}
	case "NULL":
		return &literal{line, nil}
	default:
		return &name{line, text}
	}
}

// arguments reads ( a, b, c ).
func (p *parser) arguments() []expression {
	p.expect("(")
	var all []expression
	for !p.accept(")") {
		if p.accept("...") {
			p.fail("has a syntax that this command does not read")
		}
		all = append(all, p.expression(0))
		if !p.peek().is(")") {
			p.expect(",")
		}
	}
	return all
}
