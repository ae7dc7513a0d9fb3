package wpconfig

import (
	"slices"
	"strings"
)

// maxTokens bounds an expression: an expression for a value has a few tokens, and a file of beginnings without ends would
// take time in the square of its length.
const maxTokens = 1000

// expression reads the value from i up to one of the ends.
func (p *parser) expression(i int, ends ...string) value {
	var part []*token
	depth := 0
	for ; p.at(i).kind != tokenEnd; i++ {
		t := p.at(i)
		if depth == 0 && slices.ContainsFunc(ends, t.is) {
			return evaluate(part)
		}
		switch {
		case t.is("(") || t.is("["):
			depth++
		case t.is(")") || t.is("]"):
			depth--
		}
		if part = append(part, t); len(part) == maxTokens {
			return value{why: "is computed from more than this command reads"}
		}
	}
	return value{why: "has no end"}
}

// evaluate returns the value of an expression without running PHP.
func evaluate(part []*token) value {
	for len(part) > 2 && part[0].is("(") && part[len(part)-1].is(")") && closesAt(part) == len(part)-1 {
		part = part[1 : len(part)-1]
	}
	if len(part) == 0 {
		return value{why: "has no value"}
	}
	if len(part) == 1 {
		return single(part[0])
	}
	if name := fromEnvironment(part); name != "" {
		return value{env: name}
	}
	var names []string
	for _, t := range part {
		switch {
		case t.is("."):
			return value{why: "is put together from parts, and this command does not run PHP: write it as one string there, " +
				"or write the configuration by hand"}
		case t.kind == tokenName:
			names = append(names, t.text)
		}
	}
	return value{names: names, why: "is computed, and this command does not run PHP: write it as a string there, or write the " +
		"configuration by hand"}
}

// closesAt returns where the bracket that opens the part is closed.
func closesAt(part []*token) int {
	depth := 0
	for i, t := range part {
		switch {
		case t.is("("):
			depth++
		case t.is(")"):
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(part)
}

// single is the value of a single token.
func single(t *token) value {
	switch {
	case t.kind == tokenText:
		return value{text: t.text}
	case t.kind == tokenOther && t.text[0] >= '0' && t.text[0] <= '9':
		return value{text: t.text}
	case t.kind == tokenName && (strings.EqualFold(t.text, "true") || strings.EqualFold(t.text, "false") ||
		strings.EqualFold(t.text, "null")):
		return value{text: strings.ToLower(t.text)}
	case t.kind == tokenName:
		return value{names: []string{t.text}, why: "is another constant's value, which is not looked up"}
	case t.kind == tokenComputed:
		return value{why: "is a string that PHP puts together, and this command does not run PHP"}
	default:
		return value{why: "is a variable's value, and this command does not run PHP"}
	}
}

// fromEnvironment returns the variable that an expression reads, with or without a default: getenv('X'), env('X'),
// getenv_docker('X', 'default'), $_ENV['X'], $_SERVER['X'], each with ?: or ?? behind.
func fromEnvironment(part []*token) string {
	if len(part) < 4 || part[2].kind != tokenText {
		return ""
	}
	if part[0].kind == tokenName && strings.EqualFold(part[0].text, "getenv_docker") && part[1].is("(") {
		return part[2].text
	}
	if rest := part[4:]; isLookUp(part) && (len(rest) == 0 || hasDefault(rest)) {
		return part[2].text
	}
	return ""
}

// isLookUp says that an expression begins with getenv( NAME ), env( NAME ), or an index of $_ENV or $_SERVER.
func isLookUp(part []*token) bool {
	switch part[0].kind {
	case tokenName:
		called := strings.EqualFold(part[0].text, "getenv") || strings.EqualFold(part[0].text, "env")
		return called && part[1].is("(") && part[3].is(")")
	case tokenVariable:
		return isEnvironment(part[0].text) && part[1].is("[") && part[3].is("]")
	default:
		return false
	}
}

func isEnvironment(variable string) bool { return variable == "$_ENV" || variable == "$_SERVER" }

// hasDefault reports whether rest is ?: or ?? and a value.
func hasDefault(rest []*token) bool {
	return len(rest) >= 2 && rest[0].is("?") && (rest[1].is(":") || rest[1].is("?"))
}
