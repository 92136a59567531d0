package dispatch_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/sim"
)

// line is the first line of the log that has a text; empty while there is none.
func (l *logged) line(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

// What the queue says of its work is for debugging; its warnings stay, and whose they are.
func TestLog_OfTheQueue_IsForDebuggingButItsWarnings(t *testing.T) {
	t.Parallel()
	for level, want := range map[slog.Level][]string{slog.LevelInfo: {"WARN", "ERROR"}, slog.LevelDebug: {"DEBUG", "DEBUG", "WARN", "ERROR"}} {
		var out bytes.Buffer
		log := dispatch.QueueLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))).With("queue", "send").WithGroup("g")
		log.DebugContext(t.Context(), "m")
		log.InfoContext(t.Context(), "m")
		log.WarnContext(t.Context(), "m")
		log.ErrorContext(t.Context(), "m")
		var got []string
		for line := range strings.Lines(out.String()) {
			require.Contains(t, line, "part=queue queue=send")
			_, rest, _ := strings.Cut(line, "level=")
			word, _, _ := strings.Cut(rest, " ")
			got = append(got, word)
		}
		require.Equal(t, want, got)
	}
}

// Whoever reads that a dead owner's chunk was freed learns how many recipients it left in doubt.
func TestLog_AFreedChunkSaysHowManyAreInDoubt(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	task := b.draft(b.users(20, 2))
	dead, err := b.st.InsertNode(t.Context(), "dead")
	require.NoError(t, err)
	b.lease(task.ID, dead, 7)
	b.exec(`UPDATE node SET stopped_at = now() WHERE id = $1`, dead)
	log := b.listen()
	b.work(b.d)
	b.eventually("freed", func() bool { return log.line("chunk freed") != "" })
	require.Contains(t, log.line("chunk freed"), `why="dead owner" in_doubt=7`)
}

// A breaker names the app by its key.
func TestLog_ABreakerNamesItsApp(t *testing.T) {
	t.Parallel()
	b := setup(t, touchy)
	task := b.draft(b.users(60, 1))
	b.faults(sim.Faults{Rules: []sim.Rule{{Kind: sim.Unavailable}}})
	log := b.listen()
	b.work(b.d)
	b.send(task.ID)
	b.eventually("open", func() bool { return log.line("breaker opened") != "" })
	require.Contains(t, log.line("breaker opened"), "app="+appKey)
}
