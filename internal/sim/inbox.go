package sim

import (
	"bytes"
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"time"
)

const maxInboxCards = 50

//go:embed inbox.html
var inboxHTML string

//nolint:gochecknoglobals // parsed once, only read
var inboxPage = template.Must(template.New("inbox").Parse(inboxHTML))

// card is one message as a phone shows it.
type card struct {
	Message
	Title string
	Time  string
	Lines []line
}

type line struct{ Label, Value, Color string }

// handleInbox is GET /sim/inbox?openid=: the newest messages of one user, or of all, as phones would show them.
func (s *Sim) handleInbox(w http.ResponseWriter, r *http.Request) {
	openID := r.URL.Query().Get("openid")
	var newest []Message
	for m := range s.Ledger(Filter{OpenID: openID}) {
		if newest = append(newest, m); len(newest) > 2*maxInboxCards {
			newest = slices.Delete(newest, 0, maxInboxCards)
		}
	}
	newest = newest[max(0, len(newest)-maxInboxCards):]
	slices.Reverse(newest)

	page := struct {
		OpenID string
		Total  int64
		Cards  []card
	}{OpenID: openID, Total: s.Stats().Messages}
	for _, m := range newest {
		page.Cards = append(page.Cards, s.card(m))
	}
	var buf bytes.Buffer
	if err := inboxPage.Execute(&buf, page); err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'")
	_, _ = w.Write(buf.Bytes())
}

// card gives a message the labels of its template where that is registered, and its keys where not.
func (s *Sim) card(m Message) card {
	china := time.FixedZone("Asia/Shanghai", chinaOffset)
	c := card{Message: m, Title: "服务通知", Time: m.At.In(china).Format("2006-01-02 15:04:05")}
	labels := map[string]string{}
	s.mu.Lock()
	if a := s.apps[m.AppID]; a != nil {
		if t := a.anyTemplate(m.TemplateID); t != nil {
			c.Title = t.Title
			for _, f := range t.Fields {
				labels[f.Key] = f.Label
			}
		}
	}
	s.mu.Unlock()
	for _, f := range m.Data {
		l := line{Label: labels[f.Key], Value: f.Value, Color: f.Color}
		if l.Label == "" {
			l.Label = f.Key
		}
		c.Lines = append(c.Lines, l)
	}
	return c
}
