package chaos_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// many is how many calls in flight make a fault one that falls in the thick of it.
const many = 10

// report is what the long form writes down.
func report(seed uint64, rounds []round) string {
	var total round
	var events []*event
	for _, r := range rounds {
		total.recipients += r.recipients
		total.messages += r.messages
		total.lost += r.lost
		total.twice += r.twice
		total.strange += r.strange
		total.sent += r.sent
		total.failed += r.failed
		total.skipped += r.skipped
		total.unknown += r.unknown
		total.inferred += r.inferred
		total.attempts += r.attempts
		total.used += r.used
		total.took += r.took
		total.violations = append(total.violations, r.violations...)
		events = append(events, r.events...)
	}
	b := &strings.Builder{}
	fmt.Fprintf(b, "# Chaos: %d faults over %d recipients\n\n", len(events), total.recipients)
	fmt.Fprintf(b, "Written by `go test ./internal/chaos -run Chaos -long -timeout 60m -report docs/chaos.md`; the same faults again: `-seed %d`.\n", seed)
	fmt.Fprintf(b, "Two daemons, channel `form_id`, three permits a user, Postgres durable, %d processors, %s.\n", runtime.NumCPU(), runtime.Version())
	b.WriteString("What each fault is: package documentation of `internal/chaos`.\n\n## Verdict\n\n| | |\n|---|---|\n")
	for _, row := range []struct {
		name string
		n    int
	}{
		{"recipients", total.recipients}, {"messages in the platform's ledger", total.messages}, {"sent, by the task", total.sent},
		{"lost", total.lost}, {"twice", total.twice}, {"messages to anybody else", total.strange}, {"unknown", total.unknown},
		{"failed", total.failed}, {"skipped", total.skipped}, {"rules of the ledger broken (`minipush doctor --audit`)", len(total.violations)},
		{"sent by inference (a repeat was answered 41029)", total.inferred}, {"calls that repeated a delivered message with its own permit", int(total.used)},
		{"attempts", total.attempts}, {"tasks", len(rounds)},
	} {
		fmt.Fprintf(b, "| %s | %d |\n", row.name, row.n)
	}
	fmt.Fprintf(b, "| time | %s |\n", total.took.Round(time.Second))
	faultTable(b, events)
	recoveryTable(b, events)
	roundTable(b, rounds)
	return b.String()
}

func faultTable(b *strings.Builder, events []*event) {
	byKind := map[kind][]*event{}
	thick := 0
	for _, e := range events {
		byKind[e.kind] = append(byKind[e.kind], e)
		if e.inFlight >= many {
			thick++
		}
	}
	fmt.Fprintf(b, "\n## Faults\n\n%d of %d fell while %d calls or more were in flight.\n\n", thick, len(events), many)
	b.WriteString("| fault | times | in the thick of it | calls in flight just before: least, median, most | lasted: median, most |\n|---|---|---|---|---|\n")
	kinds := []kind{missedStart}
	for _, w := range weights() {
		kinds = append(kinds, w.kind)
	}
	for _, k := range kinds {
		list := byKind[k]
		if len(list) == 0 {
			continue
		}
		var calls []int64
		var lasted []time.Duration
		in := 0
		for _, e := range list {
			calls, lasted = append(calls, e.inFlight), append(lasted, e.lasted)
			if e.inFlight >= many {
				in++
			}
		}
		slices.Sort(calls)
		fmt.Fprintf(b, "| %s | %d | %d | %d, %d, %d | %s, %s |\n", k, len(list), in, calls[0], calls[len(calls)/2], calls[len(calls)-1],
			quantile(lasted, 0.5), quantile(lasted, 1))
	}
}

func recoveryTable(b *strings.Builder, events []*event) {
	var all, alone, exits []time.Duration
	left := 0
	for _, e := range events {
		switch {
		case e.kind == term:
			exits = append(exits, e.exit)
		case e.kind == kill && e.left > 0:
			left += e.left
			all = append(all, e.recovery)
			if !slices.ContainsFunc(events, func(o *event) bool { return o.hinders(e) }) {
				alone = append(alone, e.recovery)
			}
		}
	}
	b.WriteString("\n## Recovery\n\nFrom the SIGKILL of a daemon that had rows in `sending` until none of them was under its leases any more: each is then being\n" +
		"called under a new one, or pending with its permit. Postgres may be down, or every daemon, in that time; the second row leaves those out.\n\n")
	b.WriteString("| | times | p50 | p95 | max |\n|---|---|---|---|---|\n")
	for _, row := range []struct {
		name string
		list []time.Duration
	}{{"recovery", all}, {"recovery, Postgres and another daemon up", alone}, {"exit after SIGTERM", exits}} {
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s |\n", row.name, len(row.list), quantile(row.list, 0.5), quantile(row.list, 0.95), quantile(row.list, 1))
	}
	fmt.Fprintf(b, "\n%d rows were in `sending` when their daemon was killed.\n", left)
}

// hinders says whether a fault kept others from taking up what killed had under way: it fell less than its grace before, or in the
// time until killed was recovered.
func (e *event) hinders(killed *event) bool {
	const grace = 5 * time.Second // of a restart of Postgres
	switch e.kind {
	case postgresKill, cut:
		return e.at.Before(killed.at.Add(killed.recovery)) && e.at.Add(e.lasted+grace).After(killed.at)
	case kill, term, freeze, missedStart:
		return e != killed && e.target != killed.target && e.at.Before(killed.at.Add(killed.recovery)) && e.at.Add(e.lasted+grace/2).After(killed.at)
	default:
		return false
	}
}

func roundTable(b *strings.Builder, rounds []round) {
	b.WriteString("\n## Tasks\n\n| task | recipients | faults | messages | sent | inferred | attempts | took | after the last fault |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range rounds {
		fmt.Fprintf(b, "| %d | %d | %d | %d | %d | %d | %d | %s | %s |\n", r.task, r.recipients, len(r.events), r.messages, r.sent, r.inferred, r.attempts,
			r.took.Round(100*time.Millisecond), r.tail.Round(100*time.Millisecond))
	}
}

// quantile is the value below which q of the list lies, to 10 ms; a dash for none.
func quantile(list []time.Duration, q float64) string {
	if len(list) == 0 {
		return "–"
	}
	sorted := slices.Sorted(slices.Values(list))
	i := min(int(q*float64(len(sorted))), len(sorted)-1)
	return sorted[i].Round(10 * time.Millisecond).String()
}

// write puts the report where -report says; the tests run in their package's directory, and the path is meant from the root.
func write(t *testing.T, text string) {
	t.Helper()
	if *reportTo == "" {
		t.Log(text)
		return
	}
	path := *reportTo
	if !filepath.IsAbs(path) {
		path = filepath.Join("..", "..", path)
	}
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644)) //nolint:gosec // a document
}
