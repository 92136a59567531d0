package config_test

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/config"
)

func TestLogger_JSON_WritesLengthsOfTimeInSeconds(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := config.NewLogger(config.Log{Format: "json", Level: "info"}, &out, false)
	log.InfoContext(t.Context(), "stopped", slog.Duration("duration", 1500*time.Millisecond), slog.Any("wait", 2*time.Second))
	require.Contains(t, out.String(), `"duration":1.5,"wait":2}`)
}
