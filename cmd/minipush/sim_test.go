package main_test

import (
	"bufio"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The help of the simulator has calls that change its faults while it runs, and they work.
func TestSim_TheCallsInItsHelpWork(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	bodies := regexp.MustCompile(`curl -d '([^']*)' http://127.0.0.1:8090(/sim/faults)`).FindAllStringSubmatch(p.run(t, "sim", "--help"), -1)
	require.Len(t, bodies, 3)
	cmd := p.command(t.Context(), "sim", "--addr", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Wait() }) // the end of the test's context kills it
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	url := regexp.MustCompile(`http://[^ ]+`).FindString(line)
	for _, m := range bodies {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+m[2], strings.NewReader(m[1]))
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode, m[1])
	}
}
