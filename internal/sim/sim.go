package sim

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultTokenLife = 2 * time.Hour
	permitLife       = 7 * 24 * time.Hour

	pathStableToken   = "/cgi-bin/stable_token"
	pathToken         = "/cgi-bin/token"
	pathTemplateSend  = "/cgi-bin/message/wxopen/template/send"
	pathSubscribeSend = "/cgi-bin/message/subscribe/send"
	pathGetTemplate   = "/wxaapi/newtmpl/gettemplate"
	pathQuotaGet      = "/cgi-bin/openapi/quota/get"
	pathClearQuota    = "/cgi-bin/clear_quota"
)

// Config is what a simulator starts with. The zero value accepts every app and has no faults.
type Config struct {
	// Apps are the registered apps. Without any, every appid is accepted with any secret that is not empty.
	Apps   []App
	Faults Faults
	// TokenLife is how long an access token is good for; default 2 hours. A stable token is renewed 5 minutes before
	// its end, or a quarter of a shorter life.
	TokenLife time.Duration
	Now       func() time.Time // default time.Now
}

// App is one registered mini-program.
type App struct {
	AppID, Secret string
	// Templates are those that the app has. Without any of a channel, that channel accepts every template id that is not
	// empty.
	Templates []Template
	// Pages are the paths in the released version, without query. Without any, every page is accepted.
	Pages []string
}

// Template is one message template: every field must be present and filled.
type Template struct {
	ID    string `json:"template_id"`
	Title string `json:"title"`
	// Type is 0 for a template whose messages spend formIds, [OneTime] or [LongTerm] for subscribe messages.
	Type   int             `json:"type"`
	Fields []TemplateField `json:"fields"`
}

// The types of subscribe templates, as the platform numbers them.
const (
	OneTime  = 2 // one consent, one message
	LongTerm = 3 // one consent, any number, but five a day
)

// TemplateField is one keyword of a template, with the label that a phone shows before it.
type TemplateField struct {
	Key     string   `json:"key"`
	Label   string   `json:"label"`
	Example string   `json:"example,omitempty"` // of a subscribe template
	Enum    []string `json:"enum,omitempty"`    // the only values that a field of a subscribe template takes
}

// Sim is a simulator. It is safe for concurrent use.
type Sim struct {
	cfg Config
	now func() time.Time
	mux *http.ServeMux

	calls, inFlight, maxInFlight atomic.Int64 // of calls that send

	mu     sync.Mutex // guards all below
	apps   map[string]*app
	tokens map[string]*token
	faults faultState
	ledger ledger
	counts counts
	stalls []Stall
	msgID  int64 // of the last subscribe message

	pushes    pushQueue
	pushOrder int64
	pushWake  chan struct{} // holds one when there may be more to post
}

// New makes a simulator. It reports a Config that contradicts itself.
func New(cfg Config) (*Sim, error) {
	s := &Sim{cfg: cfg, now: cfg.Now, apps: map[string]*app{}, tokens: map[string]*token{}, pushWake: make(chan struct{}, 1)}
	if s.now == nil {
		s.now = time.Now
	}
	if s.cfg.TokenLife <= 0 {
		s.cfg.TokenLife = defaultTokenLife
	}
	for i := range cfg.Apps {
		a := &cfg.Apps[i]
		if a.AppID == "" || a.Secret == "" {
			return nil, errors.New("sim: an app needs an id and a secret")
		}
		if s.apps[a.AppID] != nil {
			return nil, fmt.Errorf("sim: app %s is registered twice", a.AppID)
		}
		for j := range a.Templates {
			if t := &a.Templates[j]; t.Type != 0 {
				if err := t.validate(); err != nil {
					return nil, fmt.Errorf("sim: %w", err)
				}
			}
		}
		s.apps[a.AppID] = newApp(*a)
	}
	if err := cfg.Faults.validate(); err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	s.faults = newFaultState(cfg.Faults)
	s.ledger = newLedger()
	s.counts = newCounts()
	s.msgID = firstMsgID(s.now())
	s.mux = s.routes()
	return s, nil
}

// ServeHTTP answers both the platform's calls and the simulator's own.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Sim) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc(pathStableToken, s.stableToken)
	mux.HandleFunc(pathToken, s.classicToken)
	mux.HandleFunc(pathTemplateSend, s.sendTemplate)
	mux.HandleFunc(pathSubscribeSend, s.sendSubscribe)
	mux.HandleFunc(pathGetTemplate, s.getTemplate)
	mux.HandleFunc(pathQuotaGet, s.quotaGet)
	mux.HandleFunc(pathClearQuota, s.clearQuota)
	mux.HandleFunc("/cgi-bin/", func(w http.ResponseWriter, _ *http.Request) {
		writeVerdict(w, verdict{code: codeInvalidURL})
	})
	mux.HandleFunc("POST /sim/form-ids", s.handleMint)
	mux.HandleFunc("GET /sim/subscriptions", s.handleSubscriptions)
	mux.HandleFunc("POST /sim/subscriptions", s.handleSubscribe)
	mux.HandleFunc("POST /sim/templates", s.handleTemplates)
	mux.HandleFunc("POST /sim/callback", s.handleCallback)
	mux.HandleFunc("GET /sim/faults", s.handleGetFaults)
	mux.HandleFunc("POST /sim/faults", s.handleSetFaults)
	mux.HandleFunc("GET /sim/ledger", s.handleLedger)
	mux.HandleFunc("GET /sim/stalls", s.handleStalls)
	mux.HandleFunc("GET /sim/stats", s.handleStats)
	mux.HandleFunc("GET /sim/inbox", s.handleInbox)
	mux.HandleFunc("POST /sim/reset", s.handleReset)
	return mux
}

// Reset forgets messages, permits, subscriptions, events not yet posted, counts and used quotas, and puts the faults of the
// Config back. Access tokens stay valid, so that a daemon which holds one goes on; templates stay registered and callbacks set.
func (s *Sim) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.apps {
		a.permits = map[string]*permit{}
		a.subscriptions = map[consent]*subscription{}
		a.usage, a.subscribeUsage = usage{}, usage{}
	}
	s.faults = newFaultState(s.cfg.Faults)
	s.ledger = newLedger()
	s.counts = newCounts()
	s.stalls, s.pushes = nil, nil
	s.calls.Store(0)
	s.maxInFlight.Store(s.inFlight.Load())
}

func (s *Sim) handleReset(w http.ResponseWriter, _ *http.Request) {
	s.Reset()
	w.WriteHeader(http.StatusNoContent)
}
