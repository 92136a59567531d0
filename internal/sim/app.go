package sim

import (
	"strings"
	"time"
)

// app is the state of one mini-program. It is guarded by Sim.mu.
type app struct {
	id, secret string // secret is empty for an app that was not registered
	templates  map[string]*Template
	pages      map[string]bool
	permits    map[string]*permit // by formId

	// subscribeTemplates are those with a type, in the order of their registration.
	subscribeTemplates []*Template
	subscriptions      map[consent]*subscription
	calling            map[string]bool // openids with a subscribe call in flight

	stable, classic *token
	forced          []time.Time // when force_refresh was granted, in the last 24 hours

	receiver *receiver // of events; nil: none are pushed

	usage          usage // of template/send, and of clear_quota
	subscribeUsage usage
}

func newApp(cfg App) *app {
	a := &app{
		id: cfg.AppID, secret: cfg.Secret,
		templates: map[string]*Template{}, pages: map[string]bool{}, permits: map[string]*permit{},
		subscriptions: map[consent]*subscription{}, calling: map[string]bool{},
	}
	for i := range cfg.Templates {
		a.register(&cfg.Templates[i])
	}
	for _, p := range cfg.Pages {
		a.pages[p] = true
	}
	return a
}

// app finds an app, and makes it where apps are not registered. It is nil for an unknown one.
func (s *Sim) app(appID string) *app {
	a := s.apps[appID]
	if a == nil && len(s.cfg.Apps) == 0 && appID != "" {
		a = newApp(App{AppID: appID})
		s.apps[appID] = a
	}
	return a
}

// template is the registered template of an id; ok says whether the app accepts the id, which it does for all where none
// is registered.
func (a *app) template(id []byte) (t *Template, ok bool) {
	if len(a.templates) == 0 {
		return nil, len(id) > 0
	}
	t = a.templates[string(id)]
	return t, t != nil
}

func (a *app) hasPage(page []byte) bool {
	if len(page) == 0 || len(a.pages) == 0 {
		return true
	}
	path, _, _ := strings.Cut(string(page), "?")
	return a.pages[path]
}

// known says whether an appid is registered, or registers itself by being named.
func (s *Sim) known(appID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.app(appID) != nil
}
