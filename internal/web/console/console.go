package console

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// Config tunes the console.
type Config struct {
	// Location is the time zone of the times on pages, and of days. Nil is UTC.
	Location *time.Location
	// Timeout bounds a request that does not stream; 0 is 30 s.
	Timeout time.Duration
	// MaxUpload bounds an uploaded file, in bytes; 0 is 100 MiB. Stall is how long an upload or a download may stand still; 0 is 1 min.
	MaxUpload int64
	Stall     time.Duration
	// OIDC is where people may sign in besides; nil for nowhere.
	OIDC *auth.OIDC
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Console serves the pages below /console/. Its handlers may be called concurrently.
type Console struct {
	cfg       Config
	d         *dispatch.Dispatcher
	store     *store.Store
	sessions  *auth.Sessions
	log       *slog.Logger
	assets    *assets
	templates *templates
	origin    *http.CrossOriginProtection
	live      *lookout
	// stocks are what apps hold in permits, deliveries what was delivered of tasks.
	stocks     counts[int32, push.Stock]
	deliveries counts[int64, store.Deliveries]
}

// New makes the console over a dispatcher, which changes state, and its store, which is read. An error is a template or a catalogue
// that cannot be read: the build is broken.
func New(cfg Config, d *dispatch.Dispatcher, st *store.Store, sessions *auth.Sessions, log *slog.Logger) (*Console, error) {
	if cfg.Location == nil {
		cfg.Location = time.UTC
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	cfg.MaxUpload, cfg.Stall = cmp.Or(cfg.MaxUpload, 100<<20), cmp.Or(cfg.Stall, time.Minute)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	k := &Console{cfg: cfg, d: d, store: st, sessions: sessions, log: log, origin: http.NewCrossOriginProtection()}
	var err error
	if k.assets, err = newAssets(); err != nil {
		return nil, fmt.Errorf("read static files: %w", err)
	}
	catalogues, err := readCatalogues()
	if err != nil {
		return nil, fmt.Errorf("read catalogues: %w", err)
	}
	if k.templates, err = newTemplates(catalogues, k.assets, cfg); err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	k.live = newLookout(k)
	return k, nil
}
