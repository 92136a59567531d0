package sim_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

// BenchmarkAgainstConstant holds the simulator against a handler that answers a constant, over loopback, in interleaved
// turns of 500 calls in the same process. Its figure is constant/sim: 0.7 is the least that a yardstick may have.
func BenchmarkAgainstConstant(b *testing.B) {
	bundle := setup(b, sim.Config{})
	ok := []byte(`{"errcode":0,"errmsg":"ok"}`)
	constant := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(ok)
	}))
	b.Cleanup(constant.Close)
	urls := []string{
		constant.URL + sendPath + "?access_token=" + bundle.token,
		served(b, bundle) + sendPath + "?access_token=" + bundle.token,
	}
	const turn, callers = 500, 32
	permits := make([]sim.Permit, (b.N/turn+1)*turn)
	for i := range permits {
		permits[i] = sim.Permit{OpenID: fmt.Sprintf("oABCDEFGHIJKLMNOPQRST%07d", i), FormID: fmt.Sprintf("%032d", i)}
	}
	bundle.sim.Preload(testApp, permits)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
	var spent [2]time.Duration
	b.ResetTimer()
	for from := 0; from < len(permits); from += turn {
		for which, url := range urls {
			begun := time.Now()
			sendAll(b, client, url, permits[from:from+turn], callers)
			spent[which] += time.Since(begun)
		}
	}
	require.Equal(b, int64(len(permits)), bundle.sim.Stats().Messages)
	b.ReportMetric(float64(spent[0])/float64(spent[1]), "constant/sim")
	b.ReportMetric(float64(len(permits))/spent[1].Seconds(), "sim-calls/s")
}

func sendAll(b *testing.B, client *http.Client, url string, permits []sim.Permit, callers int) {
	b.Helper()
	var next atomic.Int64
	done := make(chan struct{})
	for range callers {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := next.Add(1) - 1; i < int64(len(permits)); i = next.Add(1) - 1 {
				if _, err := post(b, client, url, body(permits[i].OpenID, permits[i].FormID)); err != nil {
					b.Error(err)
				}
			}
		}()
	}
	for range callers {
		<-done
	}
}

// BenchmarkMemory is what a permit and its delivered message cost in memory, the values being personal.
func BenchmarkMemory(b *testing.B) {
	bundle := setup(b, sim.Config{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	target := sendPath + "?access_token=" + bundle.token
	for i := range b.N {
		openID, formID := fmt.Sprintf("oABCDEFGHIJKLMNOPQRST%07d", i), fmt.Sprintf("%032d", i)
		bundle.sim.Preload(testApp, []sim.Permit{{OpenID: openID, FormID: formID}})
		text := strings.Replace(body(openID, formID), "250海贝", fmt.Sprintf("%d海贝", i), 1)
		bundle.sim.ServeHTTP(httptest.NewRecorder(),
			httptest.NewRequestWithContext(b.Context(), http.MethodPost, target, strings.NewReader(text)))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	require.Equal(b, int64(b.N), bundle.sim.Stats().Messages)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "held-B/message")
}
