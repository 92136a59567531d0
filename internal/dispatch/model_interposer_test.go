package dispatch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

// lateHeader marks the calls of runs that are dead, which no row need announce.
const lateHeader = "X-Late"

// interposer stands before the platform: it holds each call against the tables as it arrives, and lets the model act at the very
// moment of a call.
type interposer struct {
	next http.Handler
	url  string
	// minted counts formIds over all checks: the platform remembers them.
	minted int

	mu     sync.Mutex
	w      *world
	wrong  []string
	calls  int
	at     int
	after  bool
	act    func() error
	acting sync.WaitGroup
	// taken says that a run was taken over at the time of a call: what it calls from then on no row announces.
	taken bool
}

// interpose puts an interposer between the bundle's app and its platform.
func interpose(t *testing.T, b *bundle) *interposer {
	t.Helper()
	p := &interposer{next: b.sim}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.url = server.URL
	b.exec(`UPDATE app SET base_url = $1, updated_at = now()`, server.URL)
	return p
}

func (p *interposer) reset(w *world) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.w, p.wrong, p.act, p.taken = w, nil, nil, false
}

// disturb has act happen at the nth send from now: as it arrives, or once it was dealt with and before it is answered.
func (p *interposer) disturb(nth int, after bool, act func() error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls, p.at, p.after, p.act = 0, nth, after, act
}

// calm ends the disturbance: it waits for one that goes on longer than its call.
func (p *interposer) calm() {
	p.mu.Lock()
	p.act = nil
	p.mu.Unlock()
	p.acting.Wait()
	p.mu.Lock()
	p.taken = false
	p.mu.Unlock()
}

// takenOver says that the runs of this moment are stale.
func (p *interposer) takenOver() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken = true
}

func (p *interposer) complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.wrong
}

func (p *interposer) complain(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wrong = append(p.wrong, fmt.Sprintf(format, args...))
}

func (p *interposer) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/template/send") || r.Header.Get(lateHeader) != "" {
		p.next.ServeHTTP(rw, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	act, after := p.arrived(body)
	if act != nil && !after {
		p.do(act)
	}
	if act != nil && after {
		defer p.do(act) // also where the platform breaks the connection off
	}
	p.next.ServeHTTP(rw, r)
}

func (p *interposer) do(act func() error) {
	defer p.acting.Done()
	err := act()
	var refused *push.Refusal
	if err != nil && !errors.As(err, &refused) {
		p.complain("the disturbance itself failed: %v", err)
	}
}

// arrived counts a call, and holds it against the row that must have announced it (invariant 2).
func (p *interposer) arrived(body []byte) (act func() error, after bool) {
	p.mu.Lock()
	w, taken := p.w, p.taken
	p.calls++
	if p.act != nil && p.calls == p.at {
		act, after = p.act, p.after
		p.acting.Add(1)
	}
	p.mu.Unlock()
	var call struct {
		ToUser string `json:"touser"`
		FormID string `json:"form_id"`
	}
	if err := json.Unmarshal(body, &call); err != nil {
		p.complain("a call that is no JSON: %v", err)
		return act, after
	}
	if w == nil || taken {
		return act, after
	}
	var announced bool
	err := w.st.Pool().QueryRow(context.Background(), `
		SELECT EXISTS (SELECT FROM recipient r JOIN form_id f ON f.id = r.permit_id
		 WHERE f.form_id = $1 AND f.state = 1 AND r.state = 1 AND r.openid = $2)`, call.FormID, call.ToUser).Scan(&announced)
	if err != nil || !announced {
		p.complain("2: a call to %s with %s that no committed row announces (%v)", call.ToUser, call.FormID, err)
	}
	return act, after
}

// late makes the call of a run that is dead: its request was on its way, or its process stood still.
func (w *world) late(openID, formID string, topic string) {
	token := w.post("/cgi-bin/stable_token", map[string]any{"grant_type": "client_credential", "appid": appID, "secret": "s3cret"})
	w.post("/cgi-bin/message/wxopen/template/send?access_token="+token["access_token"].(string), map[string]any{
		"touser": openID, "template_id": templateID, "page": "p", "form_id": formID, "data": map[string]any{"keyword1": map[string]string{"value": topic}}})
}

// post calls the platform as a process would that the model does not watch. A broken connection is an answer like any other.
func (w *world) post(path string, body any) map[string]any {
	text, err := json.Marshal(body)
	require.NoError(w.r, err)
	req, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.platform.url+path, bytes.NewReader(text))
	require.NoError(w.r, err)
	req.Header.Set(lateHeader, "1")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	var answer map[string]any
	_ = json.NewDecoder(res.Body).Decode(&answer) // a page of a gateway has none
	return answer
}
