package patient_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/web/patient"
)

// narrow makes the buffers of accepted connections small, so that little is on the way.
type narrow struct{ net.Listener }

func (l narrow) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok && err == nil {
		err = tcp.SetWriteBuffer(8 << 10)
	}
	return c, err
}

// A reader that is slow, and never stands still, gets all of a file that is written in one piece, though it takes longer than one may stand still.
func TestWriter_ASlowReaderGetsTheWholeOfALargeFile(t *testing.T) {
	t.Parallel()
	const stall = time.Second
	file := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	failed := make(chan error, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		out := patient.NewWriter(w, stall, func() { w.Header().Set("Content-Type", "text/x-file") })
		n, err := out.Write(file)
		if err == nil && (n != len(file) || !out.Begun()) {
			err = io.ErrShortWrite
		}
		out.Done()
		failed <- err
	}))
	server.Listener = narrow{server.Listener}
	server.Start()
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if tcp, ok := c.(*net.TCPConn); ok && err == nil {
			err = tcp.SetReadBuffer(8 << 10)
		}
		return c, err
	}}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, "text/x-file", res.Header.Get("Content-Type"))
	begun := time.Now()
	var got bytes.Buffer
	tick := time.NewTicker(3 * stall / 32)
	defer tick.Stop()
	for range 32 {
		if _, err = io.CopyN(&got, res.Body, int64(len(file)/32)); err != nil {
			break
		}
		<-tick.C
	}
	require.NoError(t, err)
	require.NoError(t, <-failed)
	require.True(t, bytes.Equal(file, got.Bytes()))
	require.Greater(t, time.Since(begun), stall, "it took longer than a part may")
}
