package sim

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	maxAccepts      = 1000
	longTermPerDay  = 5
	secondsOfOneDay = 86_400
)

// Subscription is what one user's consents to one template have come to.
type Subscription struct {
	OpenID     string `json:"openid"`
	TemplateID string `json:"template_id"`
	Left       int64  `json:"left"` // messages that can still be sent; of a long-term template, any number above 0 means any number
}

// consent names one counter of an app.
type consent struct{ openID, templateID string }

// subscription is one counter. Its openid is shared with the ledger.
type subscription struct {
	openID string
	left   int64
	day    int64 // number of the day that today counts
	today  int64 // messages of a long-term template
}

// Accept does what the users would: each taps on accept as often as times says. One tap is one message of a one-time
// template. It makes good again what [Sim.TurnOff] took. An unknown app, where apps are registered, accepts nothing.
func (s *Sim) Accept(appID, templateID string, openIDs []string, times int64) {
	slab := make([]subscription, len(openIDs)) // one allocation for all
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.app(appID)
	if a == nil {
		return
	}
	for i, openID := range openIDs {
		key := consent{openID, templateID}
		sub := a.subscriptions[key]
		if sub == nil {
			sub = &slab[i]
			sub.openID = openID
			a.subscriptions[key] = sub
		}
		sub.left += times
		for i := range times { // a second apart: two taps in one second look like one event that came twice
			item := eventItem{TemplateID: templateID, Status: "accept", PopupScene: "0"}
			s.emit(a, eventPopup, openID, time.Duration(i)*time.Second, item)
		}
	}
	s.counts.accepts += times * int64(len(openIDs))
}

// TurnOff does what a user does who turns the messages of a template off: nothing is left.
func (s *Sim) TurnOff(appID, templateID string, openIDs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.app(appID)
	if a == nil {
		return
	}
	for _, openID := range openIDs {
		if sub := a.subscriptions[consent{openID, templateID}]; sub != nil {
			sub.left = 0
		}
		s.emit(a, eventChange, openID, 0, eventItem{TemplateID: templateID, Status: "reject"})
	}
}

// Subscriptions are the counters of an app in the order of openid and template: those of one openid, or all where it is empty.
// The platform has no call that tells them.
func (s *Sim) Subscriptions(appID, openID string) []Subscription {
	list := []Subscription{}
	s.mu.Lock()
	if a := s.apps[appID]; a != nil {
		for key, sub := range a.subscriptions {
			if openID == "" || key.openID == openID {
				list = append(list, Subscription{key.openID, key.templateID, sub.left})
			}
		}
	}
	s.mu.Unlock()
	slices.SortFunc(list, func(a, b Subscription) int {
		if c := strings.Compare(a.OpenID, b.OpenID); c != 0 {
			return c
		}
		return strings.Compare(a.TemplateID, b.TemplateID)
	})
	return list
}

// spend takes one message off a counter, or says why there is none.
func (sub *subscription) spend(longTerm bool, now time.Time) int {
	if sub == nil || sub.left <= 0 {
		return codeRefused
	}
	if !longTerm {
		sub.left--
		return codeOK
	}
	if day := (now.Unix() + chinaOffset) / secondsOfOneDay; day != sub.day {
		sub.day, sub.today = day, 0
	}
	if sub.today >= longTermPerDay {
		return codePushedTooOften
	}
	sub.today++
	return codeOK
}

// handleSubscribe is POST /sim/subscriptions: what users do with a template.
func (s *Sim) handleSubscribe(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AppID      string   `json:"appid"`
		TemplateID string   `json:"template_id"`
		OpenIDs    []string `json:"openids"`
		Result     string   `json:"result"` // accept, the default, or off
		Times      int64    `json:"times"`  // default 1
	}
	if err := readJSON(w, r, &in); err != nil {
		writeProblem(w, err)
		return
	}
	if in.Times == 0 {
		in.Times = 1
	}
	switch {
	case !s.known(in.AppID):
		writeProblem(w, errors.New("appid is missing or not registered"))
	case in.TemplateID == "" || len(in.OpenIDs) == 0:
		writeProblem(w, errors.New("template_id and openids are required"))
	case in.Times < 0 || in.Times > maxAccepts:
		writeProblem(w, fmt.Errorf("times must be 1 to %d", maxAccepts))
	case in.Result == "" || in.Result == "accept":
		s.Accept(in.AppID, in.TemplateID, in.OpenIDs, in.Times)
		writeJSON(w, http.StatusOK, map[string]int64{"accepted": in.Times * int64(len(in.OpenIDs))})
	case in.Result == "off":
		s.TurnOff(in.AppID, in.TemplateID, in.OpenIDs)
		writeJSON(w, http.StatusOK, map[string]int64{"accepted": 0})
	default:
		writeProblem(w, errors.New("result must be accept or off"))
	}
}

// handleSubscriptions is GET /sim/subscriptions?appid=&openid=.
func (s *Sim) handleSubscriptions(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	writeJSON(w, http.StatusOK, map[string][]Subscription{"subscriptions": s.Subscriptions(q.Get("appid"), q.Get("openid"))})
}
