package config

import (
	"io"
	"log/slog"
	"time"

	"github.com/lmittmann/tint"
)

// NewLogger makes the logger of the daemon. With format auto it writes coloured text where w is a terminal and one JSON
// object a line otherwise. cfg must be valid.
func NewLogger(cfg Log, w io.Writer, isTerminal bool) *slog.Logger {
	var level slog.Level
	// Validate knows the level; without it an unknown one is info, the zero value.
	_ = level.UnmarshalText([]byte(cfg.Level))
	if cfg.Format == "json" || (cfg.Format != "tint" && !isTerminal) {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: seconds}))
	}
	return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: "01-02 15:04:05.000", NoColor: !isTerminal}))
}

// seconds writes a length of time as seconds: JSON would have nanoseconds, which nobody reads and no name tells.
func seconds(_ []string, a slog.Attr) slog.Attr {
	if d, ok := a.Value.Any().(time.Duration); ok {
		a.Value = slog.Float64Value(d.Seconds())
	}
	return a
}
