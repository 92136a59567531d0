package console

import "minipush/internal/push"

// progress is how far a task is: the dot of the partial progress.
type progress struct {
	push.Counts
	// Ended is how many recipients have an outcome, Percent their share, 0 to 100: 100 only when all have.
	Ended, Percent int
	Segments       []segment
	// Legend: the numbers are written below.
	Legend bool
}

// segment is a stretch of the bar, in percent of its width.
type segment struct {
	// State is a recipient's state.
	State string
	Count int
	X, W  float64
}

func progressOf(c push.Counts) progress {
	p := progress{Counts: c, Ended: c.Total - c.Open()}
	if c.Total == 0 {
		return p
	}
	p.Percent = p.Ended * 100 / c.Total
	x := 0.0
	for _, s := range []segment{
		{State: "sent", Count: c.Sent}, {State: "failed", Count: c.Failed}, {State: "skipped", Count: c.Skipped}, {State: "unknown", Count: c.Unknown},
		{State: "sending", Count: c.Sending}, {State: "waiting", Count: c.Waiting}, {State: "pending", Count: c.Pending},
	} {
		s.X, s.W = x, float64(s.Count)*100/float64(c.Total)
		x += s.W
		p.Segments = append(p.Segments, s)
	}
	return p
}
