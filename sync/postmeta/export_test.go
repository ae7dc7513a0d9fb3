package postmeta

// OnStep makes the sink call f before each step of an attempt, and before the commit.
func (s *Sink) OnStep(f func(step string)) { s.step = f }
