package chaos_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

const appID = "wxchaos"

// platform is the simulator as a process, and what goes wrong with it at the moment.
type platform struct {
	url  string
	base sim.Faults

	mu    sync.Mutex
	rules map[string]sim.Rule // by fault
	extra time.Duration       // latency beside the base's
}

func startPlatform(t *testing.T, log io.Writer, base sim.Faults) *platform {
	t.Helper()
	url := make(chan string, 1)
	var text []byte
	p, err := launch(nil, log, func(line []byte) {
		text = append(append(text, line...), '\n')
		var answer struct{ URL string }
		if json.Unmarshal(text, &answer) == nil && answer.URL != "" {
			url <- answer.URL
		}
	}, "sim", "--addr", "127.0.0.1:0", "--output", "json")
	require.NoError(t, err)
	t.Cleanup(p.kill)
	s := &platform{base: base, rules: map[string]sim.Rule{}}
	select {
	case s.url = <-url:
	case <-time.After(patience):
		t.Fatal("the simulator names no address")
	}
	require.NoError(t, s.apply())
	return s
}

// post makes one of the simulator's own calls.
func (s *platform) post(path string, in, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	resp, err := http.Post(s.url+path, "application/json", bytes.NewReader(text)) //nolint:noctx // loopback, and the simulator is never killed
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s: %s: %s", path, resp.Status, answer)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

func (s *platform) apply() error {
	f := s.base
	f.LatencyMS += s.extra.Milliseconds()
	for _, name := range slices.Sorted(maps.Keys(s.rules)) {
		f.Rules = append(f.Rules, s.rules[name])
	}
	return s.post("/sim/faults", f, nil)
}

// spoil adds a rule under a name, or more latency.
func (s *platform) spoil(name string, rule *sim.Rule, extra time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rule != nil {
		s.rules[name] = *rule
	}
	s.extra += extra
	return s.apply()
}

// heal takes back what spoil did.
func (s *platform) heal(name string, extra time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rules, name)
	s.extra -= extra
	return s.apply()
}

func (s *platform) stats(t *testing.T) (stats sim.Stats) {
	t.Helper()
	require.NoError(t, s.get("/sim/stats", func(body io.Reader) error { return json.NewDecoder(body).Decode(&stats) }))
	return stats
}

// received counts the messages of each openid since the message numbered after, and says the number of the last.
func (s *platform) received(t *testing.T, after int64) (by map[string]int, last int64) {
	t.Helper()
	by, last = map[string]int{}, after
	require.NoError(t, s.get(fmt.Sprintf("/sim/ledger?format=ndjson&after=%d", after), func(body io.Reader) error {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var m sim.Message
			if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
				return err
			}
			by[m.OpenID]++
			last = m.Seq
		}
		return lines.Err()
	}))
	return by, last
}

func (s *platform) get(path string, read func(io.Reader) error) error {
	resp, err := http.Get(s.url + path) //nolint:noctx // loopback, and the simulator is never killed
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return read(resp.Body)
}
