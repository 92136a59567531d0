package sim

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	maxSendBytes  = 1 << 20
	maxOpenID     = 64
	startSendBody = 2 << 10
)

// work is what one send needs, used again for the next.
type work struct {
	body []byte
	msg  message
	key  []byte // scratch of the ledger
}

//nolint:gochecknoglobals // a pool has no state that shows
var works = sync.Pool{New: func() any { return &work{body: make([]byte, 0, startSendBody)} }}

// sendTemplate is POST /cgi-bin/message/wxopen/template/send.
func (s *Sim) sendTemplate(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		writeVerdict(w, verdict{code: codeNeedPost})
		return
	}
	k := takeWork()
	defer works.Put(k)
	k.read(r.Body)
	arrived := s.now()
	parsed := k.msg.parse(k.body)
	s.serveCall(w, r, target{on: OnSend, key: k.msg.toUser, formID: k.msg.formID}, func() verdict {
		return s.deliverTemplate(accessToken(r), k, parsed, arrived)
	}, func(v verdict) { writeVerdict(w, v) })
}

func takeWork() *work {
	k, ok := works.Get().(*work)
	if !ok {
		k = &work{}
	}
	return k
}

// read reads the body of a request. Where the caller left half-way there is no request to answer, and it ends the handler.
func (k *work) read(body io.Reader) {
	var err error
	if k.body, err = readBody(body, k.body[:0]); err != nil {
		panic(http.ErrAbortHandler)
	}
}

var errTooLarge = errors.New("body is over 1 MiB")

// readBody appends the whole body to dst.
func readBody(body io.Reader, dst []byte) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		n, err := body.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst) > maxSendBytes:
			return dst, errTooLarge
		case errors.Is(err, io.EOF):
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
}

// admit makes the checks that come before those of a channel: the token, the form of the body, and the quota of the
// path. Sim.mu is held.
func (s *Sim) admit(tokenValue string, parsed verdict, path string, now time.Time) (*app, verdict) {
	a, v := s.authorize(tokenValue, now)
	if a == nil {
		return nil, v
	}
	if parsed.code != codeOK && parsed.code != codeInvalidField {
		return nil, parsed
	}
	return a, verdict{code: a.usageOf(path).take(now, s.faults.set.QuotaPerDay, s.faults.set.RatePerMinute)}
}

// deliverTemplate checks a message in the platform's order and delivers it. The permit is looked at last, so that no
// other refusal costs one. Sim.mu is held: two calls with one formId never both get past it (invariant 1).
func (s *Sim) deliverTemplate(tokenValue string, k *work, parsed verdict, arrived time.Time) verdict {
	now := s.now()
	a, v := s.admit(tokenValue, parsed, pathTemplateSend, now)
	if v.code != codeOK {
		return v
	}
	m := &k.msg
	if !isOpenID(m.toUser) {
		return verdict{code: codeInvalidOpenID}
	}
	t, ok := a.template(m.templateID)
	switch {
	case !ok:
		return verdict{code: codeInvalidTemplate}
	case !a.hasPage(m.page):
		return verdict{code: codeInvalidPage}
	case parsed.code != codeOK:
		return parsed
	}
	if detail := m.checkFields(t); detail != "" {
		return verdict{code: codeInvalidField, detail: detail}
	}
	p := a.permits[string(m.formID)]
	switch {
	case p == nil || p.openID != string(m.toUser):
		return verdict{code: codeInvalidFormID}
	case p.used:
		return verdict{code: codeFormIDUsed}
	case now.UnixNano() >= p.expires:
		return verdict{code: codeInvalidFormID}
	}
	p.used = true
	k.key = s.ledger.add(a.id, p.openID, p.formID, m, arrived, k.key)
	return verdict{}
}

// checkFields names what is wrong with the fields of a message, or is empty. t is nil where templates are not registered.
func (m *message) checkFields(t *Template) string {
	for _, f := range m.fields {
		if len(bytes.TrimSpace(f.value)) == 0 {
			return "data." + string(f.key) + ".value is empty"
		}
	}
	if t == nil {
		return ""
	}
	for _, want := range t.Fields {
		if !m.hasField(want.Key) {
			return "data." + want.Key + ".value is empty"
		}
	}
	return ""
}

func (m *message) hasField(key string) bool {
	for _, f := range m.fields {
		if string(f.key) == key {
			return true
		}
	}
	return false
}
