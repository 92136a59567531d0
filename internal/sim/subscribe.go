package sim

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"time"

	"minipush/internal/wechat"
)

// subscribeCall is one subscribe message on its way: what is known of it when its request has been read.
type subscribeCall struct {
	app        *app // nil: the token is not valid
	openID     string
	concurrent bool      // another call for the openid had not been answered
	template   *Template // nil where templates are not registered
	refused    verdict   // of the template id; code 0: none
}

// sendSubscribe is POST /cgi-bin/message/subscribe/send.
func (s *Sim) sendSubscribe(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		writeVerdict(w, verdict{code: codeNeedPost})
		return
	}
	k := takeWork()
	defer works.Put(k)
	k.read(r.Body)
	arrived := s.now()
	parsed := k.msg.parse(k.body)
	k.msg.subscribe = true
	c := s.arrive(accessToken(r), &k.msg)
	if parsed.code == codeOK {
		parsed = k.msg.checkSubscribe(c.template)
	} else if k.msg.notObject {
		parsed.detail = "data." + k.msg.firstKey(c.template) + ".value invalid"
	}
	s.serveCall(w, r, target{
		on: OnSend, key: k.msg.toUser, field: k.msg.firstKey(c.template), done: func() { s.leave(c) },
	}, func() verdict {
		return s.deliverSubscribe(accessToken(r), k, c, parsed, arrived)
	}, func(v verdict) { writeVerdict(w, v) })
}

// arrive notes that a call for an openid has begun, and finds its template. The first call holds the openid until leave; the
// others are told so (43108).
func (s *Sim) arrive(tokenValue string, m *message) *subscribeCall {
	c := &subscribeCall{openID: string(m.toUser)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.app, _ = s.authorize(tokenValue, s.now()); c.app == nil {
		return c
	}
	c.template, c.refused = c.app.subscribeTemplate(string(m.templateID))
	if c.concurrent = c.app.calling[c.openID]; !c.concurrent {
		c.app.calling[c.openID] = true
	}
	return c
}

func (s *Sim) leave(c *subscribeCall) {
	if c.app == nil || c.concurrent {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(c.app.calling, c.openID)
}

// deliverSubscribe checks a message in the platform's order and delivers it. The counter is looked at last, so that no
// other refusal costs a subscription. Sim.mu is held: of two calls with one left only one gets past it.
func (s *Sim) deliverSubscribe(tokenValue string, k *work, c *subscribeCall, parsed verdict, arrived time.Time) verdict {
	now := s.now()
	a, v := s.admit(tokenValue, parsed, pathSubscribeSend, now)
	if v.code != codeOK {
		return v
	}
	m := &k.msg
	sub := a.subscriptions[consent{string(m.toUser), string(m.templateID)}]
	switch {
	case !isOpenID(m.toUser):
		return verdict{code: codeInvalidOpenID}
	case c.concurrent:
		return verdict{code: codeConcurrent}
	case c.refused.code != codeOK:
		return c.refused
	case !a.hasPage(m.page):
		return verdict{code: codeInvalidPage}
	case parsed.code != codeOK:
		if s.faults.set.RefusalSpends && sub != nil && sub.left > 0 {
			sub.left--
		}
		return parsed
	}
	if code := sub.spend(c.template != nil && c.template.Type == LongTerm, now); code != codeOK {
		return verdict{code: code}
	}
	s.msgID++
	id := strconv.FormatInt(s.msgID, 10)
	k.key = s.ledger.add(a.id, sub.openID, id, m, arrived, k.key)
	if to := a.receiver; to != nil && !to.lose[sub.openID] {
		s.emit(a, eventSent, sub.openID, 0, to.sentItem(sub.openID, string(m.templateID), id))
	}
	return verdict{msgID: s.msgID}
}

func isOpenID(b []byte) bool {
	return len(b) > 0 && len(b) <= maxOpenID && !bytes.ContainsAny(b, " \t\r\n")
}

// checkSubscribe finds what is wrong with the members and fields of a message, and fills in the members that were left out. t is
// nil where templates are not registered: then the keys say what the fields may hold.
func (m *message) checkSubscribe(t *Template) verdict {
	if m.state == nil {
		m.state = []byte(wechat.StateFormal)
	}
	if m.lang == nil {
		m.lang = []byte(wechat.LangChinese)
	}
	switch wechat.State(m.state) {
	case wechat.StateDeveloper, wechat.StateTrial, wechat.StateFormal:
	default:
		return verdict{code: codeBadFormat}
	}
	switch wechat.Lang(m.lang) {
	case wechat.LangChinese, wechat.LangEnglish, wechat.LangHongKong, wechat.LangTaiwan:
	default:
		return verdict{code: codeBadFormat}
	}
	if t == nil {
		if len(m.fields) == 0 {
			return invalidField(m.firstKey(nil), " is empty")
		}
		for _, f := range m.fields {
			if v := checkValue(string(f.key), string(f.value), nil); v.code != codeOK {
				return v
			}
		}
		return verdict{}
	}
	for _, want := range t.Fields {
		if v := checkValue(want.Key, m.value(want.Key), want.Enum); v.code != codeOK {
			return v
		}
	}
	return verdict{}
}

func checkValue(key, value string, enum []string) verdict {
	kind, _ := wechat.KindOf(key)
	err := wechat.CheckField(kind, value, enum)
	if err == nil {
		return verdict{}
	}
	if e, ok := errors.AsType[*wechat.FieldError](err); ok && e.Rule == wechat.RuleEmpty {
		return invalidField(key, " is empty")
	}
	return invalidField(key, " invalid")
}

func invalidField(key, complaint string) verdict {
	return verdict{code: codeInvalidField, detail: "data." + key + ".value" + complaint}
}

// value is the value of a field; empty where it is missing.
func (m *message) value(key string) string {
	for _, f := range m.fields {
		if string(f.key) == key {
			return string(f.value)
		}
	}
	return ""
}

// firstKey is the field that a complaint about the whole of data names.
func (m *message) firstKey(t *Template) string {
	switch {
	case t != nil && len(t.Fields) > 0:
		return t.Fields[0].Key
	case len(m.fields) > 0:
		return string(m.fields[0].key)
	default:
		return "thing1"
	}
}

// firstMsgID is where the ids of a simulator begin: far above 2^53, where a reader that takes them for floating-point numbers
// mistakes each for its neighbours, and above those of a simulator that was started earlier.
func firstMsgID(now time.Time) int64 { return max(now.UnixMicro(), 1<<50) << 10 }
