package wpconfig

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// The bounds of a run: a real configuration has some hundred statements in a handful of files.
const (
	maxSteps = 10_000
	maxCalls = 20
	maxFiles = 50
)

// machine runs a program as PHP would, but where it cannot follow PHP the machine knows that: a value is then unknown, and what
// an action that is not followed may have changed is in doubt. A condition that is unknown runs both of its branches, each on
// a copy, and keeps what is equal in the two.
type machine struct {
	source *Source
	state

	depth   int      // of calls and inclusions
	running []string // the files that are being included
	shared  *counters
}

// counters are counted through all branches.
type counters struct {
	steps, files int
	read         map[string]bool // environment variables, and whether each is set
}

// state is what a branch can change.
type state struct {
	constants map[string]value
	globals   map[string]value // with the dollar sign
	locals    map[string]value // the globals outside of functions
	elements  map[string]value // of $_SERVER and $_ENV, set by the program
	functions map[string]*function
	included  map[string]bool
	// doubt says what may have defined any constant that is not in constants; mist and localMist say what may have set the
	// variables that are not in globals and locals. They are empty without a doubt.
	doubt, mist, localMist string

	inFunction bool
	done       bool // WordPress itself begins
	ended      bool // exit
}

// signal is how a statement ends.
type signal int

const (
	goesOn signal = iota
	breaks
	continues
	returns
	ends // the page
)

func (s *state) clone() state {
	c := *s
	c.constants, c.globals = maps.Clone(s.constants), maps.Clone(s.globals)
	c.locals = c.globals
	if s.inFunction {
		c.locals = maps.Clone(s.locals)
	}
	c.elements, c.functions, c.included = maps.Clone(s.elements), maps.Clone(s.functions), maps.Clone(s.included)
	return c
}

func (m *machine) where(line int) string {
	if len(m.running) <= 1 {
		return fmt.Sprintf("line %d", line)
	}
	return fmt.Sprintf("line %d of %s", line, m.running[len(m.running)-1])
}

// doubts notes an action that may have changed any constant that is not defined yet, and any variable.
func (m *machine) doubts(line int, what string) {
	why := m.where(line) + " " + what
	if m.doubt == "" {
		m.doubt = why
	}
	m.mist = why
	m.globals, m.elements = make(map[string]value), make(map[string]value)
	if m.inFunction {
		m.localMist, m.locals = why, make(map[string]value)
	} else {
		m.locals = m.globals
	}
}

// placed adds the line to the reason of an unknown value.
func (m *machine) placed(line int, v value) value {
	if w, is := v.(unknown); is && !strings.Contains(w.why, "line ") {
		w.why += " (" + m.where(line) + ")"
		return w
	}
	return v
}

func (m *machine) run(body []statement) (signal, value) {
	for _, s := range body {
		if f, is := s.(*function); is && !m.inFunction { // known before the first statement
			if _, there := m.functions[f.name]; !there {
				m.functions[f.name] = f
			}
		}
	}
	for _, s := range body {
		how, v := m.step(s)
		if m.done || m.ended {
			return ends, nil
		}
		if how != goesOn {
			return how, v
		}
	}
	return goesOn, nil
}

// tired reports whether the run has taken all its steps.
func (m *machine) tired(line int) bool {
	m.shared.steps++
	if m.shared.steps < maxSteps {
		return false
	}
	m.doubts(line, "is reached after more steps than this command follows")
	return true
}

func (m *machine) step(s statement) (signal, value) {
	if m.tired(s.at()) {
		return ends, nil
	}
	return s.run(m)
}

func (s *effect) run(m *machine) (signal, value) {
	m.eval(s.expression)
	return goesOn, nil
}

func (b *block) run(m *machine) (signal, value) { return m.run(b.body) }

func (f *function) run(m *machine) (signal, value) {
	m.functions[f.name] = f
	return goesOn, nil
}

func (r *result) run(m *machine) (signal, value) {
	v := m.eval(r.value)
	return returns, v
}

func (j *jump) run(*machine) (signal, value) {
	if j.again {
		return continues, nil
	}
	return breaks, nil
}

func (c *constants) run(m *machine) (signal, value) {
	for i, name := range c.names {
		m.define(name, m.placed(c.at(), m.eval(c.values[i])))
	}
	return goesOn, nil
}

func (s *shared) run(m *machine) (signal, value) {
	if m.inFunction {
		m.doubts(s.at(), "uses global in a function, which this command does not follow")
	}
	return goesOn, nil
}

func (r *removal) run(m *machine) (signal, value) {
	for _, target := range r.targets {
		m.assign(target, nil)
	}
	return goesOn, nil
}

func (u *unfollowed) run(m *machine) (signal, value) {
	m.doubts(u.at(), u.what)
	return ends, unknown{why: "is computed by code that this command does not follow"}
}

func (c *conditional) run(m *machine) (signal, value) {
	v := m.eval(c.condition)
	if m.done || m.ended {
		return ends, nil
	}
	is, known := truth(v)
	switch {
	case known && is:
		return m.run(c.then)
	case known:
		return m.run(c.otherwise)
	}
	return m.fork(c.at(), doubtful(v), func() (signal, value) { return m.run(c.then) },
		func() (signal, value) { return m.run(c.otherwise) })
}

// fork runs two branches of which PHP would run one, and keeps what is equal in both. A branch that ends the page is not
// the one that runs, as a page that works does not end there.
func (m *machine) fork(line int, why string, yes, no func() (signal, value)) (signal, value) {
	m.shared.steps += len(m.globals) + len(m.locals) + len(m.constants) // a copy takes time, too
	before := m.clone()
	how, v := yes()
	after := m.state
	m.state = before
	otherHow, other := no()
	if m.ended {
		m.state = after
		return how, v
	}
	if after.ended {
		return otherHow, other
	}
	m.merge(&after, m.where(line)+" has a condition that "+why)
	switch {
	case m.done != after.done:
		m.doubts(line, "starts WordPress or not, by a condition that "+why)
		m.done = true
	case how == otherHow && (how != returns || same(v, other)):
		return how, v
	case how == otherHow:
	case how == returns || otherHow == returns:
		m.doubts(line, "may or may not return, by a condition that "+why)
		how = returns
	default:
		m.doubts(line, "may or may not go on, by a condition that "+why)
		return goesOn, nil
	}
	return how, unknown{why: "is computed after a condition in " + m.where(line) + " that " + why}
}

// merge keeps what is equal in the present state and another one.
func (m *machine) merge(other *state, why string) {
	m.constants = mergeValues(m.constants, other.constants, why)
	m.globals = mergeValues(m.globals, other.globals, why)
	if m.inFunction {
		m.locals = mergeValues(m.locals, other.locals, why)
	} else {
		m.locals = m.globals
	}
	m.elements = mergeValues(m.elements, other.elements, why)
	for name, f := range other.functions {
		if have, there := m.functions[name]; there && have != f {
			f = nil // which of the two is unknown
		}
		m.functions[name] = f
	}
	maps.Copy(m.included, other.included)
	if m.doubt == "" {
		m.doubt = other.doubt
	}
	if m.mist == "" {
		m.mist = other.mist
	}
	if m.localMist == "" {
		m.localMist = other.localMist
	}
}

func mergeValues(a, b map[string]value, why string) map[string]value {
	all := make(map[string]value, len(a))
	for _, name := range append(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b))...) {
		va, inA := a[name]
		vb, inB := b[name]
		if inA && inB && same(va, vb) {
			all[name] = va
			continue
		}
		all[name] = unknown{why: "is not sure: " + why, unset: !inA || !inB || perhapsUnset(va) || perhapsUnset(vb)}
	}
	return all
}

func perhapsUnset(v value) bool {
	w, is := v.(unknown)
	return is && w.unset
}

// run runs a foreach over a known list.
func (e *each) run(m *machine) (signal, value) {
	subject, is := m.eval(e.subject).(*array)
	if !is {
		m.doubts(e.at(), "has a foreach over what is computed, which this command does not follow")
		return goesOn, nil
	}
	for i := range subject.keys {
		if e.key != "" {
			m.locals[e.key] = subject.keys[i]
		}
		m.locals[e.value] = subject.values[i]
		how, v := m.run(e.body)
		switch how {
		case breaks:
			return goesOn, nil
		case returns, ends:
			return how, v
		default:
		}
	}
	return goesOn, nil
}

// run runs a switch over a known value.
func (s *selection) run(m *machine) (signal, value) {
	subject := m.eval(s.subject)
	start := -1
	for i, b := range s.branches {
		if b.condition == nil {
			continue
		}
		is, known := alike(subject, m.eval(b.condition))
		if doubtful(subject) != "" || !known {
			m.doubts(s.at(), "has a switch over what is computed, which this command does not follow")
			return goesOn, nil
		}
		if is {
			start = i
			break
		}
	}
	if start < 0 {
		start = slices.IndexFunc(s.branches, func(b branch) bool { return b.condition == nil })
	}
	if start < 0 {
		return goesOn, nil
	}
	for _, b := range s.branches[start:] {
		how, v := m.run(b.body)
		switch how {
		case breaks, continues:
			return goesOn, nil
		case returns, ends:
			return how, v
		default:
		}
	}
	return goesOn, nil
}

// mayBeSet begins the reason of a value that something in doubt may have set.
const mayBeSet = "may be set where this command does not follow: "

// define sets a constant, unless the constant is defined: PHP then keeps the first value.
func (m *machine) define(name string, v value) {
	name = strings.TrimPrefix(name, `\`)
	if _, there := m.constants[name]; there {
		return
	}
	if m.doubt != "" {
		v = unknown{why: mayBeSet + m.doubt}
	}
	m.constants[name] = v
}

// include runs another file.
func (m *machine) include(i *inclusion) value {
	v := m.eval(i.path)
	path, known := text(v)
	if why := doubtful(v); why != "" || !known {
		if why == "" {
			why = "is no text"
		}
		m.doubts(i.at(), "includes a file whose path "+why)
		return unknown{why: "is what an included file returns"}
	}
	if !filepath.IsAbs(path) {
		path = m.source.relative(path, m.running[len(m.running)-1])
	}
	path = filepath.Clean(path)
	switch {
	case filepath.Base(path) == "wp-settings.php":
		m.done = true
		return nil
	case i.once && m.included[path]:
		return true
	case m.shared.files >= maxFiles || m.depth >= maxCalls:
		m.doubts(i.at(), "includes more files than this command follows")
		return unknown{why: "is what an included file returns"}
	}
	m.shared.files++
	src, err := m.source.Files.Read(path)
	if err != nil {
		m.unreadable(i, path, err)
		return false
	}
	return m.runFile(path, src)
}

// unreadable notes a file that cannot be included.
func (m *machine) unreadable(i *inclusion, path string, err error) {
	if !i.required && !m.source.Files.Exists(path) {
		return // PHP goes on without the file
	}
	m.doubts(i.at(), fmt.Sprintf("includes a file that cannot be read here: %v", err))
}

// runFile runs a file, with the value that it returns.
func (m *machine) runFile(path string, src []byte) value {
	m.included[path] = true
	m.running = append(m.running, path)
	m.depth++
	how, v := m.run(program(src, path))
	m.depth--
	m.running = m.running[:len(m.running)-1]
	if how == returns {
		return v
	}
	return int64(1)
}

// relative returns where PHP finds a file of a relative path: in the folder of the page, which is WordPress', or beside the
// file that includes it.
func (s *Source) relative(path, from string) string {
	in := filepath.Join(s.Root, path)
	if strings.HasPrefix(path, ".") || s.Files.Exists(in) {
		return in
	}
	return filepath.Join(filepath.Dir(from), path)
}
