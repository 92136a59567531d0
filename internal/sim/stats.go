package sim

import (
	"maps"
	"net/http"
)

// Stats is what a simulator has counted since it was made or reset.
type Stats struct {
	Calls        int64          `json:"calls"`         // sends that arrived
	InFlight     int64          `json:"in_flight"`     // sends not yet answered
	MaxInFlight  int64          `json:"max_in_flight"` // the most of them at one time
	Messages     int64          `json:"messages"`      // delivered
	ByErrCode    map[int]int64  `json:"by_errcode"`    // sends that were given an errcode
	Faults       map[Kind]int64 `json:"faults"`        // calls that a rule hit
	TokenCalls   int64          `json:"token_calls"`
	TokensIssued int64          `json:"tokens_issued"`
	Permits      int64          `json:"permits"`               // formIds minted or taken over
	Accepts      int64          `json:"accepts,omitempty"`     // consents to subscribe templates
	Events       int64          `json:"events,omitempty"`      // posts to a callback that were taken
	EventsLost   int64          `json:"events_lost,omitempty"` // events given up after the last try
}

// counts is guarded by Sim.mu.
type counts struct {
	byErrCode    map[int]int64
	faults       map[Kind]int64
	tokenCalls   int64
	tokensIssued int64
	permits      int64
	accepts      int64
	events       int64
	eventsLost   int64
}

func newCounts() counts {
	return counts{byErrCode: map[int]int64{}, faults: map[Kind]int64{}}
}

// Stats is the counts of this moment.
func (s *Sim) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		Calls: s.calls.Load(), InFlight: s.inFlight.Load(), MaxInFlight: s.maxInFlight.Load(),
		Messages: s.ledger.total, ByErrCode: maps.Clone(s.counts.byErrCode), Faults: maps.Clone(s.counts.faults),
		TokenCalls: s.counts.tokenCalls, TokensIssued: s.counts.tokensIssued, Permits: s.counts.permits,
		Accepts: s.counts.accepts, Events: s.counts.events, EventsLost: s.counts.eventsLost,
	}
}

func (s *Sim) handleStats(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Stats())
}
