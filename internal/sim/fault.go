package sim

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is a way to misbehave.
type Kind string

// The kinds of fault. Those from Drop to Hang leave the caller without a usable answer.
const (
	Drop         Kind = "drop"         // the connection is closed without an answer
	Reset        Kind = "reset"        // the connection is reset without an answer
	Unavailable  Kind = "http_503"     // status 503
	GatewayPage  Kind = "html"         // status 200 and a page of a gateway
	Empty        Kind = "empty"        // status 200 and no body
	NoErrCode    Kind = "no_errcode"   // JSON without errcode
	Hang         Kind = "hang"         // no answer until the caller gives up
	SystemError  Kind = "system_error" // errcode -1
	ErrCode      Kind = "errcode"      // the errcode in Rule.Code
	TokenInvalid Kind = "token"        // every token of the app becomes invalid; this call too is answered 40001
)

// Endpoint is the group of calls that a rule acts on.
type Endpoint string

// The endpoints.
const (
	OnSend  Endpoint = "send"  // calls that send a message; the default
	OnToken Endpoint = "token" // calls that fetch an access token
	// OnTemplates is the call that lists the templates of the app.
	OnTemplates Endpoint = "templates"
)

const (
	maxLatencyMS = 60_000
	maxRules     = 1000
)

// Faults is everything that can go wrong, at one time. The zero value is a platform in perfect health.
type Faults struct {
	Seed      uint64 `json:"seed"`       // of all chance
	LatencyMS int64  `json:"latency_ms"` // of each send, half before and half after the delivery
	JitterMS  int64  `json:"jitter_ms"`  // added to the latency: 0 to this, by chance
	// QuotaPerDay and RatePerMinute are the sends of an app a day before 45009 and a minute before 45011, on each channel; 0 = no
	// limit.
	// Sends are counted while either is set.
	QuotaPerDay   int64 `json:"quota_per_day"`
	RatePerMinute int64 `json:"rate_per_minute"`
	// RefusalSpends: a subscribe message that is refused for its fields uses up a subscription. Whether it does so on the
	// platform is not documented.
	RefusalSpends bool   `json:"refusal_spends,omitempty"`
	Rules         []Rule `json:"rules,omitempty"` // the first that applies acts
}

// Rule is one fault and whom it hits. A rule that names openids or formIds hits them always ("sticky"), unless
// Probability or Count say less.
type Rule struct {
	Kind Kind     `json:"kind"`
	On   Endpoint `json:"on,omitempty"`
	Code int      `json:"code,omitempty"` // of kind errcode
	// AfterDelivery: the message is delivered first, if it can be, and only the answer is spoilt. On a token call the
	// token is issued first.
	AfterDelivery bool `json:"after_delivery,omitempty"`
	// Probability is 0 < p ≤ 1; 0 means always.
	Probability float64  `json:"probability,omitempty"`
	Count       int64    `json:"count,omitempty"` // how often in all; 0 = without end
	AppID       string   `json:"appid,omitempty"` // empty: all apps
	OpenIDs     []string `json:"openids,omitempty"`
	FormIDs     []string `json:"form_ids,omitempty"`
}

func (f Faults) validate() error {
	switch {
	case f.LatencyMS < 0 || f.JitterMS < 0 || f.LatencyMS+f.JitterMS > maxLatencyMS:
		return fmt.Errorf("faults: latency and jitter must be 0 to %d ms together", maxLatencyMS)
	case f.QuotaPerDay < 0 || f.RatePerMinute < 0:
		return errors.New("faults: limits must not be negative")
	case len(f.Rules) > maxRules:
		return fmt.Errorf("faults: at most %d rules", maxRules)
	}
	for i, r := range f.Rules {
		if err := r.validate(); err != nil {
			return fmt.Errorf("faults: rule %d: %w", i, err)
		}
	}
	return nil
}

func (r Rule) validate() error {
	kinds := []Kind{Drop, Reset, Unavailable, GatewayPage, Empty, NoErrCode, Hang, SystemError, ErrCode, TokenInvalid}
	switch {
	case !slices.Contains(kinds, r.Kind):
		return fmt.Errorf("unknown kind %q; there are %s", r.Kind, strings.Trim(fmt.Sprint(kinds), "[]"))
	case r.On != "" && r.On != OnSend && r.On != OnToken && r.On != OnTemplates:
		return fmt.Errorf("unknown endpoint %q", r.On)
	case (r.Kind == ErrCode) != (r.Code != 0):
		return errors.New("a code is needed by kind errcode, and by no other")
	case r.Kind == TokenInvalid && r.On == OnToken:
		return errors.New("kind token does not act on token calls")
	case !(r.Probability >= 0 && r.Probability <= 1): // written so that NaN fails
		return errors.New("probability must be 0 to 1")
	case r.Count < 0:
		return errors.New("count must not be negative")
	}
	return nil
}

// ParseRule reads the short form that flags take: kind, optionally "=code", "/after" and ":probability". Examples: "drop:0.01",
// "drop/after:0.01", "errcode=43108:0.1", "hang".
func ParseRule(text string) (Rule, error) {
	head, chance, hasChance := strings.Cut(text, ":")
	head, after := strings.CutSuffix(head, "/after")
	kind, code, hasCode := strings.Cut(head, "=")
	r := Rule{Kind: Kind(kind), AfterDelivery: after}
	var err error
	if hasCode {
		if r.Code, err = strconv.Atoi(code); err != nil {
			return Rule{}, fmt.Errorf("fault %q: code is not a number", text)
		}
	}
	if hasChance {
		if r.Probability, err = strconv.ParseFloat(chance, 64); err != nil || r.Probability == 0 {
			return Rule{}, fmt.Errorf("fault %q: probability must be above 0 and at most 1", text)
		}
	}
	if err := r.validate(); err != nil {
		return Rule{}, fmt.Errorf("fault %q: %w", text, err)
	}
	return r, nil
}

// SetFaults replaces all faults. Counts of rules start afresh; the quota and the minute go on. It reports faults that make no
// sense and then changes nothing.
func (s *Sim) SetFaults(f Faults) error {
	if err := f.validate(); err != nil {
		return err
	}
	next := newFaultState(f)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = next
	return nil
}

// Faults is what holds now.
func (s *Sim) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults.set
}

func (s *Sim) handleSetFaults(w http.ResponseWriter, r *http.Request) {
	var in Faults
	if err := readJSON(w, r, &in); err != nil {
		writeProblem(w, err)
		return
	}
	if err := s.SetFaults(in); err != nil {
		writeProblem(w, err)
		return
	}
	s.handleGetFaults(w, r)
}

func (s *Sim) handleGetFaults(w http.ResponseWriter, _ *http.Request) {
	var out struct {
		Faults
		Fired []int64 `json:"fired"` // by rule, since the faults were set
	}
	s.mu.Lock()
	out.Faults = s.faults.set
	out.Fired = make([]int64, 0, len(s.faults.rules))
	for _, r := range s.faults.rules {
		out.Fired = append(out.Fired, r.fired)
	}
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, out)
}

// target is the call that a fault may hit. The slices are read and not kept.
type target struct {
	on     Endpoint
	appID  string // of a token call; any other is known by its token
	key    []byte // what chance is counted by: the openid, or the appid of a token call
	formID []byte
	field  string // that a complaint about the content names; empty: keyword1
	done   func() // called when the call no longer holds its openid, before the answer; may be nil
}

// plan is what is to be done to one call.
type plan struct {
	rule    *Rule // nil: nothing
	latency time.Duration
}

// faultState is the faults in force and what they have done. It is guarded by Sim.mu.
type faultState struct {
	set    Faults
	rules  []ruleState
	chance bool              // something is decided by chance, so calls are counted
	calls  map[string]uint64 // by key
}

type ruleState struct {
	Rule
	openIDs, formIDs map[string]bool
	fired            int64
}

func newFaultState(f Faults) faultState {
	f.Rules = slices.Clone(f.Rules)
	state := faultState{set: f, chance: f.JitterMS > 0, calls: map[string]uint64{}}
	for _, r := range f.Rules {
		if r.On == "" {
			r.On = OnSend
		}
		state.chance = state.chance || r.Probability > 0
		state.rules = append(state.rules, ruleState{Rule: r, openIDs: setOf(r.OpenIDs), formIDs: setOf(r.FormIDs)})
	}
	return state
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// plan decides what happens to a call, and counts it.
func (f *faultState) plan(t target) plan {
	var p plan
	var n uint64
	if f.chance {
		n = f.calls[string(t.key)]
		f.calls[string(t.key)] = n + 1
	}
	if t.on == OnSend {
		p.latency = time.Duration(f.set.LatencyMS) * time.Millisecond
		if f.set.JitterMS > 0 {
			jitter := f.draw(t.key, n, maxRules) * float64(f.set.JitterMS)
			p.latency += time.Duration(jitter * float64(time.Millisecond))
		}
	}
	for i := range f.rules {
		r := &f.rules[i]
		if !r.hits(t) || (r.Probability > 0 && f.draw(t.key, n, i) >= r.Probability) {
			continue
		}
		r.fired++
		p.rule = &r.Rule
		break
	}
	return p
}

func (r *ruleState) hits(t target) bool {
	switch {
	case r.On != t.on, r.Count > 0 && r.fired >= r.Count, r.AppID != "" && r.AppID != t.appID:
		return false
	case len(r.openIDs) == 0 && len(r.formIDs) == 0:
		return true
	default:
		return (t.on == OnSend && r.openIDs[string(t.key)]) || r.formIDs[string(t.formID)]
	}
}

// draw is a number in [0, 1) that depends on nothing but its arguments and the seed.
func (f *faultState) draw(key []byte, n uint64, rule int) float64 {
	const fnvOffset, fnvPrime = 14695981039346656037, 1099511628211
	h := uint64(fnvOffset)
	for _, c := range key {
		h = (h ^ uint64(c)) * fnvPrime
	}
	h = mix(h ^ mix(f.set.Seed^mix(n<<10|uint64(rule)))) //nolint:gosec // a rule's index is small and not negative
	return float64(h>>11) / (1 << 53)
}

// mix is the finaliser of SplitMix64: every bit of x reaches every bit of the answer.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
