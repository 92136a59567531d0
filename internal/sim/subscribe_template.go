package sim

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"minipush/internal/wechat"
)

const maxTemplates = 200

// register adds a template, or puts it in the place of the one with its id. Sim.mu is held.
func (a *app) register(t *Template) {
	if t.Type == 0 {
		a.templates[t.ID] = t
		return
	}
	same := func(have *Template) bool { return have.ID == t.ID }
	if i := slices.IndexFunc(a.subscribeTemplates, same); i >= 0 {
		a.subscribeTemplates[i] = t
		return
	}
	a.subscribeTemplates = append(a.subscribeTemplates, t)
}

// subscribeTemplate is the registered template of an id, or the refusal of a message with that id. Both are nothing where no
// subscribe template is registered: then every id is accepted that is not one of the other channel.
func (a *app) subscribeTemplate(id string) (*Template, verdict) {
	for _, t := range a.subscribeTemplates {
		if t.ID == id {
			return t, verdict{}
		}
	}
	switch {
	case a.templates[id] != nil:
		return nil, verdict{code: codeNotSubscribeType}
	case id == "" || len(a.subscribeTemplates) > 0:
		return nil, verdict{code: codeInvalidTemplate}
	default:
		return nil, verdict{}
	}
}

// anyTemplate is the registered template of an id, of whichever channel; nil if there is none.
func (a *app) anyTemplate(id string) *Template {
	if t, _ := a.subscribeTemplate(id); t != nil {
		return t
	}
	return a.templates[id]
}

// getTemplate is GET /wxaapi/newtmpl/gettemplate: the subscribe templates of the app.
func (s *Sim) getTemplate(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		writeVerdict(w, verdict{code: codeNeedGet})
		return
	}
	var list []*Template
	s.serveCall(w, r, target{on: OnTemplates}, func() verdict {
		a, v := s.authorize(accessToken(r), s.now())
		if a == nil {
			return v
		}
		list = slices.Clone(a.subscribeTemplates)
		return verdict{}
	}, func(v verdict) {
		if v.code != codeOK {
			writeVerdict(w, v)
			return
		}
		out := templateList{ErrMsg: "ok", Data: make([]templateEntry, 0, len(list))}
		for _, t := range list {
			out.Data = append(out.Data, newEntry(t))
		}
		writeJSON(w, http.StatusOK, out)
	})
}

type templateList struct {
	ErrCode int             `json:"errcode"`
	ErrMsg  string          `json:"errmsg"`
	Data    []templateEntry `json:"data"`
}

type templateEntry struct {
	ID      string     `json:"priTmplId"` //nolint:tagliatelle // the platform's name
	Title   string     `json:"title"`
	Content string     `json:"content"`
	Example string     `json:"example"`
	Type    int        `json:"type"`
	Enums   []enumList `json:"keywordEnumValueList,omitempty"` //nolint:tagliatelle // the platform's name
}

type enumList struct {
	Key    string   `json:"keywordCode"`   //nolint:tagliatelle // the platform's name
	Values []string `json:"enumValueList"` //nolint:tagliatelle // the platform's name
}

func newEntry(t *Template) templateEntry {
	e := templateEntry{ID: t.ID, Title: t.Title, Type: t.Type}
	var content, example strings.Builder
	for _, f := range t.Fields {
		label := cmp.Or(f.Label, f.Key)
		fmt.Fprintf(&content, "%s:{{%s.DATA}}\n", label, f.Key)
		fmt.Fprintf(&example, "%s:%s\n", label, f.Example)
		if len(f.Enum) > 0 {
			e.Enums = append(e.Enums, enumList{f.Key, f.Enum})
		}
	}
	e.Content, e.Example = content.String(), example.String()
	return e
}

// AddTemplates registers templates of an app that runs already, as its owner would in the platform's console. A template with
// a known id takes the place of that one. It reports an unknown app and a template that cannot be, and then adds none.
func (s *Sim) AddTemplates(appID string, templates []Template) error {
	templates = slices.Clone(templates)
	for i := range templates {
		if err := templates[i].validate(); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.app(appID)
	switch {
	case a == nil:
		return errors.New("appid is missing or not registered")
	case len(a.templates)+len(a.subscribeTemplates)+len(templates) > maxTemplates:
		return fmt.Errorf("an app has at most %d templates", maxTemplates)
	}
	for i := range templates {
		a.register(&templates[i])
	}
	return nil
}

// validate reports a template without id or with a type that is none. The keys of a subscribe template must each be of a kind
// that the platform knows.
func (t *Template) validate() error {
	switch {
	case t.ID == "":
		return errors.New("a template needs an id")
	case t.Type != 0 && t.Type != OneTime && t.Type != LongTerm:
		return fmt.Errorf("template %s: type must be 0, %d or %d", t.ID, OneTime, LongTerm)
	case t.Type == 0:
		return nil
	}
	for _, f := range t.Fields {
		if _, ok := wechat.KindOf(f.Key); !ok {
			return fmt.Errorf("template %s: %q is no key of a subscribe template", t.ID, f.Key)
		}
	}
	return nil
}

// handleTemplates is POST /sim/templates.
func (s *Sim) handleTemplates(w http.ResponseWriter, r *http.Request) {
	var in struct {
		AppID     string     `json:"appid"`
		Templates []Template `json:"templates"`
	}
	if err := readJSON(w, r, &in); err != nil {
		writeProblem(w, err)
		return
	}
	if err := s.AddTemplates(in.AppID, in.Templates); err != nil {
		writeProblem(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]int{"added": len(in.Templates)})
}
