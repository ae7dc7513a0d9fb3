package wpconfig

import (
	"slices"
	"strings"
)

// maxDepth bounds how deep expressions and statements may be nested.
const maxDepth = 100

// parser makes a tree of the tokens. A syntax that the parser does not know ends the program there with an unfollowed.
type parser struct {
	tokens []token
	pos    int
	depth  int
	file   string // the path, for __FILE__ and __DIR__
}

// syntaxError is the panic of the parser, which program recovers.
type syntaxError struct {
	line int
	what string
}

// program returns the statements of a file.
func program(src []byte, file string) []statement {
	p := &parser{tokens: scan(src), file: file}
	var all []statement
	for p.peek().kind != tokenEnd {
		s, fault := p.try()
		if fault != nil {
			return append(all, &unfollowed{place(fault.line), fault.what})
		}
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

func (p *parser) try() (s statement, fault *syntaxError) {
	defer func() {
		if caught := recover(); caught != nil {
			of, is := caught.(*syntaxError)
			if !is {
				panic(caught)
			}
			fault = of
		}
	}()
	return p.statement(), nil
}

func (p *parser) fail(what string) {
	panic(&syntaxError{line: p.peek().line, what: what})
}

// deeper bounds the recursion: defer p.deeper()().
func (p *parser) deeper() func() {
	if p.depth++; p.depth > maxDepth {
		p.fail("is nested deeper than this command reads")
	}
	return func() { p.depth-- }
}

func (p *parser) peek() *token { return p.ahead(0) }

// ahead returns a token behind the next one; behind the last all are ends.
func (p *parser) ahead(n int) *token { return &p.tokens[min(p.pos+n, len(p.tokens)-1)] }

func (p *parser) next() *token {
	t := p.peek()
	p.pos++
	return t
}

func (p *parser) line() place { return place(p.peek().line) }

// accept moves over an operator, if it is the next token.
func (p *parser) accept(operator string) bool {
	if p.peek().is(operator) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expect(operator string) {
	if !p.accept(operator) {
		p.fail("has a syntax that this command does not read")
	}
}

// word reports whether the next token is one of the words.
func (p *parser) word(words ...string) bool {
	t := p.peek()
	return t.kind == tokenName && slices.Contains(words, strings.ToLower(t.text))
}

func (p *parser) acceptWord(words ...string) bool {
	if p.word(words...) {
		p.pos++
		return true
	}
	return false
}

// statement reads a statement; nil for one without effect.
func (p *parser) statement() statement {
	defer p.deeper()()
	line := p.line()
	switch t := p.peek(); {
	case t.is(";"):
		p.next()
		return nil
	case t.is("{"):
		return &block{line, p.braces()}
	case t.is("#"): // an attribute
		p.next()
		p.skip("[", "]")
		return nil
	case t.kind == tokenName && !p.ahead(1).is("::"):
		if s, known := p.keyword(line, strings.ToLower(t.text)); known {
			return s
		}
	}
	e := p.expression(0)
	p.end()
	return &effect{e}
}

// end reads the end of a statement.
func (p *parser) end() {
	if p.peek().kind != tokenEnd {
		p.expect(";")
	}
}

// keyword reads a statement that begins with a word.
func (p *parser) keyword(line place, word string) (s statement, known bool) {
	switch word {
	case "if":
		p.next()
		return p.conditional(line), true
	case "foreach":
		p.next()
		return p.each(line), true
	case "switch":
		p.next()
		return p.selection(line), true
	case "for", "while", "do", "declare", "namespace", "goto", "static":
		if word == "declare" && !p.ahead(6).is("{") {
			p.next()
			p.skip("(", ")")
			return nil, true
		}
		p.fail("has a " + word + ", which this command does not follow")
	case "function":
		if p.ahead(1).kind == tokenName {
			p.next()
			return p.function(line), true
		}
	case "abstract", "final", "readonly", "class", "interface", "trait", "enum":
		p.class()
		return nil, true
	default:
		return p.simple(line, word)
	}
	return nil, false
}

// simple reads a statement of words and expressions alone.
func (p *parser) simple(line place, word string) (s statement, known bool) {
	switch word {
	case "return":
		p.next()
		r := &result{place: line}
		if !p.peek().is(";") && p.peek().kind != tokenEnd {
			r.value = p.expression(0)
		}
		p.end()
		return r, true
	case "break", "continue":
		p.next()
		p.end()
		return &jump{line, word == "continue"}, true
	case "try":
		p.next()
		return p.attempt(line), true
	case "throw":
		p.next()
		e := p.expression(0)
		p.end()
		return &block{line, []statement{&effect{e}, &effect{&ending{line}}}}, true
	default:
		return p.declaration(line, word)
	}
}

// declaration reads a statement of names.
func (p *parser) declaration(line place, word string) (s statement, known bool) {
	switch word {
	case "const":
		p.next()
		return p.constants(line), true
	case "use":
		for !p.accept(";") {
			if p.next().kind == tokenEnd {
				p.fail("has no end")
			}
		}
		return nil, true
	case "global":
		p.next()
		g := &shared{place: line}
		for {
			g.names = append(g.names, p.variable())
			if !p.accept(",") {
				p.end()
				return g, true
			}
		}
	case "unset":
		p.next()
		r := &removal{place: line, targets: p.arguments()}
		p.end()
		return r, true
	case "echo":
		p.next()
		b := &block{place: line}
		for {
			b.body = append(b.body, &effect{p.expression(0)})
			if !p.accept(",") {
				p.end()
				return b, true
			}
		}
	case "__halt_compiler":
		p.pos = len(p.tokens) - 1
		return nil, true
	}
	return nil, false
}

func (p *parser) variable() string {
	if p.peek().kind != tokenVariable {
		p.fail("has a syntax that this command does not read")
	}
	return p.next().text
}

// braces reads { statements }.
func (p *parser) braces() []statement {
	p.expect("{")
	var body []statement
	for !p.accept("}") {
		if p.peek().kind == tokenEnd {
			p.fail("has no end")
		}
		if s := p.statement(); s != nil {
			body = append(body, s)
		}
	}
	return body
}

// body reads the statements under a condition: one, a block, or, behind a colon, up to one of the words.
func (p *parser) body(ends ...string) (body []statement, long bool) {
	if !p.accept(":") {
		if s := p.statement(); s != nil {
			body = append(body, s)
		}
		return body, false
	}
	for !p.word(ends...) {
		if p.peek().kind == tokenEnd {
			p.fail("has no end")
		}
		if s := p.statement(); s != nil {
			body = append(body, s)
		}
	}
	return body, true
}

func (p *parser) conditional(line place) statement {
	defer p.deeper()()
	c := &conditional{place: line, condition: p.bracketed()}
	var long bool
	c.then, long = p.body("elseif", "else", "endif")
	switch at := p.line(); {
	case p.acceptWord("elseif"):
		c.otherwise = []statement{p.conditional(at)}
		return c
	case p.word("else") && p.ahead(1).kind == tokenName && strings.EqualFold(p.ahead(1).text, "if") && !long:
		p.pos += 2
		c.otherwise = []statement{p.conditional(at)}
		return c
	case p.acceptWord("else"):
		c.otherwise, _ = p.body("endif")
	}
	if long {
		if !p.acceptWord("endif") {
			p.fail("has a syntax that this command does not read")
		}
		p.end()
	}
	return c
}

func (p *parser) bracketed() expression {
	p.expect("(")
	e := p.expression(0)
	p.expect(")")
	return e
}

func (p *parser) each(line place) statement {
	e := &each{place: line}
	p.expect("(")
	e.subject = p.expression(0)
	if !p.acceptWord("as") {
		p.fail("has a syntax that this command does not read")
	}
	e.value = p.variable()
	if p.accept("=>") {
		e.key, e.value = e.value, p.variable()
	}
	p.expect(")")
	var long bool
	if e.body, long = p.body("endforeach"); long {
		p.next()
		p.end()
	}
	return e
}

func (p *parser) selection(line place) statement {
	s := &selection{place: line, subject: p.bracketed()}
	p.expect("{")
	for !p.accept("}") {
		var b branch
		switch {
		case p.acceptWord("case"):
			b.condition = p.expression(0)
		case p.acceptWord("default"):
		default:
			p.fail("has a syntax that this command does not read")
		}
		if !p.accept(":") {
			p.expect(";")
		}
		for !p.word("case", "default") && !p.peek().is("}") {
			if p.peek().kind == tokenEnd {
				p.fail("has no end")
			}
			if of := p.statement(); of != nil {
				b.body = append(b.body, of)
			}
		}
		s.branches = append(s.branches, b)
	}
	return s
}

func (p *parser) function(line place) statement {
	f := &function{place: line, name: strings.ToLower(p.next().text)}
	p.expect("(")
	for !p.accept(")") {
		for p.peek().kind == tokenName || p.peek().is("?") || p.peek().is("|") { // a type
			p.next()
		}
		of := parameter{name: p.variable()} // by reference or variadic: not read
		if p.accept("=") {
			of.fallback = p.expression(0)
		}
		f.parameters = append(f.parameters, of)
		if !p.peek().is(")") {
			p.expect(",")
		}
	}
	if p.accept(":") {
		for p.peek().kind == tokenName || p.peek().is("?") || p.peek().is("|") {
			p.next()
		}
	}
	f.body = p.braces()
	return f
}

// class moves over a class: its methods are only run by calls that the machine does not follow.
func (p *parser) class() {
	for !p.peek().is("{") {
		if t := p.next(); t.kind == tokenEnd || t.is(";") {
			p.fail("has a syntax that this command does not read")
		}
	}
	p.skip("{", "}")
}

// skip moves over the tokens in brackets.
func (p *parser) skip(open, closing string) {
	p.expect(open)
	for depth := 1; depth > 0; {
		switch t := p.next(); {
		case t.kind == tokenEnd:
			p.fail("has no end")
		case t.is(open):
			depth++
		case t.is(closing):
			depth--
		}
	}
}

// attempt reads a try. The machine takes it that nothing is thrown, as a page that works does not stop there.
func (p *parser) attempt(line place) statement {
	b := &block{line, p.braces()}
	for p.acceptWord("catch") {
		p.skip("(", ")")
		p.skip("{", "}")
	}
	if p.acceptWord("finally") {
		b.body = append(b.body, p.braces()...)
	}
	return b
}

func (p *parser) constants(line place) statement {
	c := &constants{place: line}
	for {
		if p.peek().kind != tokenName {
			p.fail("has a syntax that this command does not read")
		}
		c.names = append(c.names, p.next().text)
		p.expect("=")
		c.values = append(c.values, p.expression(0))
		if !p.accept(",") {
			p.end()
			return c
		}
	}
}
