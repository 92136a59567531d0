package sim

import (
	"cmp"
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

const gatewayPage = `<html>
<head><title>502 Bad Gateway</title></head>
<body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body>
</html>
`

// serveCall leads one call of the platform through the faults: decide runs under the mutex and settles the matter, unless
// a fault comes before it; answer tells the caller, unless a fault spoils that.
//
// The first half of the latency is waited out even when the caller has left: the platform has the request, and delivers
// it. A sender that was killed meanwhile and starts again meets its own late message, as it would in the world.
//
// A send counts as in flight until the moment before its caller could know that it has ended: a caller that never has
// more than seven calls open is never seen with eight.
func (s *Sim) serveCall(w http.ResponseWriter, r *http.Request, t target, decide func() verdict, answer func(verdict)) {
	if t.on == OnSend {
		s.enter()
	}
	s.mu.Lock()
	if t.on != OnToken {
		if tok := s.tokens[accessToken(r)]; tok != nil {
			t.appID = tok.app.id
		}
	}
	p := s.faults.plan(t)
	if p.rule != nil {
		s.counts.faults[p.rule.Kind]++
		if p.rule.Kind == TokenInvalid && !p.rule.AfterDelivery {
			s.invalidateTokens(t.appID)
			p.rule = nil // decide now finds the token invalid by itself
		}
	}
	s.mu.Unlock()

	wait(context.Background(), p.latency/2)
	var v verdict
	if p.rule == nil || p.rule.AfterDelivery {
		s.mu.Lock()
		v = decide()
		if p.rule != nil && p.rule.Kind == TokenInvalid {
			s.invalidateTokens(t.appID)
			p.rule = nil
		}
		if p.rule == nil && t.on == OnSend {
			s.counts.byErrCode[v.code]++
		}
		s.mu.Unlock()
	}
	wait(r.Context(), p.latency-p.latency/2)
	if p.rule != nil && p.rule.Kind == Hang {
		<-r.Context().Done()
	}
	if t.on == OnSend {
		s.inFlight.Add(-1)
	}
	if t.done != nil {
		t.done()
	}
	if p.rule == nil {
		answer(v)
		return
	}
	s.misbehave(w, *p.rule, t)
}

// enter counts a send in.
func (s *Sim) enter() {
	s.calls.Add(1)
	n := s.inFlight.Add(1)
	for {
		most := s.maxInFlight.Load()
		if n <= most || s.maxInFlight.CompareAndSwap(most, n) {
			return
		}
	}
}

// misbehave gives the answer of a fault.
func (s *Sim) misbehave(w http.ResponseWriter, rule Rule, t target) {
	switch rule.Kind {
	case Drop, Hang:
		panic(http.ErrAbortHandler) // the server's own way to close a connection without an answer
	case Reset:
		reset(w)
	case Unavailable:
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
	case GatewayPage:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, gatewayPage)
	case Empty:
		w.WriteHeader(http.StatusOK)
	case NoErrCode:
		jsonHeader(w)
		_, _ = io.WriteString(w, `{"errmsg":"ok"}`)
	case SystemError:
		s.inject(w, codeSystemError, t)
	case ErrCode:
		s.inject(w, rule.Code, t)
	case TokenInvalid: // settled by serveCall
	}
}

func (s *Sim) inject(w http.ResponseWriter, code int, t target) {
	if t.on == OnSend {
		s.mu.Lock()
		s.counts.byErrCode[code]++
		s.mu.Unlock()
	}
	v := verdict{code: code}
	if code == codeInvalidField {
		v.detail = "data." + cmp.Or(t.field, "keyword1") + ".value invalid"
	}
	writeVerdict(w, v)
}

// reset ends the connection so that the caller reads "connection reset by peer".
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // no connection of its own to reset, as under HTTP/2
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
