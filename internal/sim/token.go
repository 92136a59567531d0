package sim

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

const (
	tokenOverlap    = 5 * time.Minute
	maxForcedPerDay = 20
	minForcedGap    = 30 * time.Second
	tokenMemory     = time.Hour // how long a dead token is still told from an unknown one
	maxTokenBody    = 64 << 10
)

// token is one access token. A revoked one is answered 40001, one past its time 42001.
type token struct {
	value   string
	app     *app
	expires time.Time
	revoked bool
}

// stableToken is POST /cgi-bin/stable_token: everyone gets the same token while it is valid, with the seconds that are
// left. The token of before stays valid to its own end.
func (s *Sim) stableToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		writeVerdict(w, verdict{code: codeNeedPost})
		return
	}
	var in struct {
		GrantType string `json:"grant_type"`
		AppID     string `json:"appid"`
		Secret    string `json:"secret"`
		Force     bool   `json:"force_refresh"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxTokenBody)).Decode(&in); err != nil {
		in.AppID = "" // a form or a query is answered like an empty object
	}
	s.serveToken(w, r, in.AppID, func() (*token, verdict) {
		a, v := s.checkApp(in.GrantType, in.AppID, in.Secret, codeInvalidSecret)
		if a == nil {
			return nil, v
		}
		return s.currentStable(a, in.Force), v
	})
}

// classicToken is GET /cgi-bin/token: a new token each time. The former one stays valid for five minutes at most.
func (s *Sim) classicToken(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	s.serveToken(w, r, q.Get("appid"), func() (*token, verdict) {
		a, v := s.checkApp(q.Get("grant_type"), q.Get("appid"), q.Get("secret"), codeInvalidToken)
		if a == nil {
			return nil, v
		}
		if former := a.classic; former != nil {
			former.expires = earlier(former.expires, s.now().Add(s.overlap()))
		}
		a.classic = s.issue(a)
		return a.classic, v
	})
}

// serveToken answers a token call by issue, which runs under the mutex, unless a fault says otherwise.
func (s *Sim) serveToken(w http.ResponseWriter, r *http.Request, appID string, issue func() (*token, verdict)) {
	var value string
	var left time.Duration
	s.serveCall(w, r, target{on: OnToken, appID: appID, key: []byte(appID)}, func() verdict {
		s.counts.tokenCalls++
		t, v := issue()
		if t != nil {
			value, left = t.value, t.expires.Sub(s.now())
		}
		return v
	}, func(v verdict) {
		if v.code != codeOK {
			writeVerdict(w, v)
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{"access_token": value, "expires_in": int64(left / time.Second)})
	})
}

// checkApp finds the app whose secret was given. The code of a wrong secret differs between the two token calls.
func (s *Sim) checkApp(grant, appID, secret string, wrongSecret int) (*app, verdict) {
	switch {
	case appID == "":
		return nil, verdict{code: codeAppIDMissing}
	case secret == "":
		return nil, verdict{code: codeSecretMissing}
	case grant != "client_credential":
		return nil, verdict{code: codeGrantType}
	}
	a := s.app(appID)
	if a == nil {
		return nil, verdict{code: codeInvalidAppID}
	}
	if a.secret != "" && a.secret != secret {
		return nil, verdict{code: wrongSecret}
	}
	return a, verdict{}
}

func (s *Sim) currentStable(a *app, force bool) *token {
	now := s.now()
	if force && s.mayForce(a, now) {
		if a.stable != nil {
			a.stable.revoked = true
		}
		a.forced = append(a.forced, now)
	}
	if t := a.stable; t != nil && !t.revoked && t.expires.Sub(now) > s.overlap() {
		return t
	}
	a.stable = s.issue(a)
	return a.stable
}

func (s *Sim) mayForce(a *app, now time.Time) bool {
	recent := a.forced[:0]
	for _, at := range a.forced {
		if now.Sub(at) < 24*time.Hour {
			recent = append(recent, at)
		}
	}
	a.forced = recent
	return len(recent) < maxForcedPerDay && (len(recent) == 0 || now.Sub(recent[len(recent)-1]) >= minForcedGap)
}

// overlap is how long before its end a stable token is renewed.
func (s *Sim) overlap() time.Duration { return min(tokenOverlap, s.cfg.TokenLife/4) }

func (s *Sim) issue(a *app) *token {
	now := s.now()
	for value, t := range s.tokens {
		if now.Sub(t.expires) > tokenMemory {
			delete(s.tokens, value)
		}
	}
	t := &token{value: rand.Text() + rand.Text() + rand.Text() + rand.Text(), app: a, expires: now.Add(s.cfg.TokenLife)}
	s.tokens[t.value] = t
	s.counts.tokensIssued++
	return t
}

// InvalidateTokens makes every access token of an app invalid at once: the next call with one is answered 40001.
func (s *Sim) InvalidateTokens(appID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.invalidateTokens(appID)
}

func (s *Sim) invalidateTokens(appID string) {
	for _, t := range s.tokens {
		if t.app.id == appID {
			t.revoked = true
		}
	}
}

// authorize finds the app of an access token.
func (s *Sim) authorize(value string, now time.Time) (*app, verdict) {
	if value == "" {
		return nil, verdict{code: codeTokenMissing}
	}
	t := s.tokens[value]
	switch {
	case t == nil || t.revoked:
		return nil, verdict{code: codeInvalidToken}
	case !now.Before(t.expires):
		return nil, verdict{code: codeTokenExpired}
	}
	return t.app, verdict{}
}

// accessToken reads the token of a call. Ours hold no character that a query escapes.
func accessToken(r *http.Request) string {
	if value, ok := strings.CutPrefix(r.URL.RawQuery, "access_token="); ok && !strings.ContainsAny(value, "%+&;") {
		return value
	}
	return r.URL.Query().Get("access_token")
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
