package api

import (
	"log/slog"
	"net/http"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

// Config tunes the API.
type Config struct {
	// Location is the time zone of the times in answers and exports, and of days. Nil is UTC.
	Location *time.Location
	// MaxUpload bounds the body of an upload, in bytes; 0 is 100 MiB.
	MaxUpload int64
	// Timeout bounds a call that does not stream; 0 is 30 s.
	Timeout time.Duration
	// Stall is how long an upload or a download may stand still before it is given up; 0 is one minute.
	Stall time.Duration
}

// API serves the calls of /api/v1. Its handlers may be called concurrently.
type API struct {
	cfg    Config
	d      *dispatch.Dispatcher
	store  *store.Store
	tokens *auth.Tokens
	log    *slog.Logger
}

// New makes the API over a dispatcher, which changes state, and its store, which is read.
func New(cfg Config, d *dispatch.Dispatcher, st *store.Store, tokens *auth.Tokens, log *slog.Logger) *API {
	if cfg.Location == nil {
		cfg.Location = time.UTC
	}
	if cfg.MaxUpload == 0 {
		cfg.MaxUpload = 100 << 20
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Stall == 0 {
		cfg.Stall = time.Minute
	}
	return &API{cfg: cfg, d: d, store: st, tokens: tokens, log: log}
}

// Route is one row of the route table.
type Route struct {
	Method string
	// Pattern is the path of http.ServeMux. {app} is the key of an app, {id} the id of a task and {schedule} that of a schedule: the guard
	// resolves them, and the token must see them.
	Pattern string
	// Role is the weakest role that may call; NoRole is everybody, also without a token.
	Role auth.Role
	// Own: it changes only what belongs to the caller, which a viewer may too.
	Own bool
	// Audit is the action under which the change is noted in the audit log, in its transaction; empty for what changes nothing.
	Audit string
	// Noted: the handler, or what it calls, writes the entry itself, for its work is several transactions.
	Noted bool
	// Unaudited says why a change is not noted.
	Unaudited string
	// Query names the parameters that are known.
	Query   []string
	Handler http.Handler
}
