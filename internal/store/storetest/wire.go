package storetest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// Wire stands between clients and a database, as a network does. It loses the answer to a statement that the server has carried out,
// or stops passing anything on, as if its clients had been frozen or their machine had lost its power: the server keeps their
// transactions open and is told nothing. It reads the messages of the protocol, so it goes by the unix socket or by TCP without TLS.
type Wire struct {
	server *pgconn.Config
	url    string

	mu     sync.Mutex
	lose   func(Exchange) bool
	thawed chan struct{} // closed while the wire passes things on
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

// Exchange is a request that the server has carried out without an error, before its answer is passed on.
type Exchange struct {
	// SQL is the statement. Tx are those of its transaction so far, itself included: of a COMMIT, everything that it commits.
	SQL string
	Tx  []string
	// Committed says that no transaction is open any more: what was to be written is written.
	Committed bool
}

// Has says whether a statement of the transaction holds all parts.
func (e Exchange) Has(parts ...string) bool {
	for _, sql := range e.Tx {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(sql, p)
		}
		if all {
			return true
		}
	}
	return false
}

// NewWire lays a wire to a database. It goes when the test ends.
func NewWire(tb testing.TB, rawURL string) *Wire {
	tb.Helper()
	server, err := pgconn.ParseConfig(rawURL)
	require.NoError(tb, err)
	dir, err := os.MkdirTemp("/tmp", "wire-") // the path of a socket is short
	require.NoError(tb, err)
	w := &Wire{server: server, thawed: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	close(w.thawed)
	ln, err := (&net.ListenConfig{}).Listen(tb.Context(), "unix", filepath.Join(dir, ".s.PGSQL.5432"))
	require.NoError(tb, err)
	w.url = "postgres:///" + server.Database + "?" + url.Values{"host": {dir}, "port": {"5432"}, "user": {server.User}, "password": {server.Password}}.Encode()
	w.wg.Go(func() {
		for {
			client, err := ln.Accept()
			if err != nil {
				return
			}
			w.wg.Go(func() { w.carry(client) })
		}
	})
	tb.Cleanup(func() {
		_ = ln.Close()
		w.Thaw()
		w.Cut()
		w.wg.Wait()
		_ = os.RemoveAll(dir)
	})
	return w
}

// URL is the connection string of the database by way of the wire.
func (w *Wire) URL() string { return w.url }

// Lose decides from now on which answers are lost: the connection then breaks, with the statement carried out. nil loses none.
// Connections ask at the same time; the answer may be to freeze the wire.
func (w *Wire) Lose(which func(Exchange) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lose = which
}

// Freeze passes nothing on, either way, until Thaw. New connections wait.
func (w *Wire) Freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.thawed = make(chan struct{})
}

// Thaw ends Freeze: what was held up arrives.
func (w *Wire) Thaw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.thawed:
	default:
		close(w.thawed)
	}
}

// Cut breaks every connection.
func (w *Wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.conns {
		_ = c.Close()
	}
}

func (w *Wire) lost(e Exchange) bool {
	w.mu.Lock()
	lose := w.lose
	w.mu.Unlock()
	return lose != nil && lose(e)
}

func (w *Wire) pass() {
	w.mu.Lock()
	thawed := w.thawed
	w.mu.Unlock()
	<-thawed
}

func (w *Wire) track(c net.Conn, on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if on {
		w.conns[c] = struct{}{}
	} else {
		delete(w.conns, c)
	}
}

// carry serves one connection.
func (w *Wire) carry(client net.Conn) {
	defer client.Close()
	network, address := pgconn.NetworkAddress(w.server.Host, w.server.Port)
	server, err := (&net.Dialer{}).DialContext(context.Background(), network, address)
	if err != nil {
		return
	}
	defer server.Close()
	for _, c := range []net.Conn{client, server} {
		w.track(c, true)
		defer w.track(c, false)
	}
	requests := make(chan string, 1024) // a pipeline that is longer would hold the client up, no more
	go func() {
		defer client.Close()
		_ = w.answers(client, server, requests) // one side has left, or was cut off
	}()
	_ = w.requests(client, server, requests)
}

// requests passes the client's messages on, and notes the statement of each request that the server ends with "ready".
func (w *Wire) requests(client, server net.Conn, requests chan<- string) error {
	if err := w.startup(client, server); err != nil {
		return err
	}
	statements := map[string]string{}
	sql := ""
	for {
		kind, message, err := readMessage(client)
		if err != nil {
			return err
		}
		body := message[5:]
		switch kind {
		case 'P':
			name, rest := text(body)
			statements[name], _ = text(rest)
		case 'B':
			_, rest := text(body)
			name, _ := text(rest)
			sql = statements[name]
		case 'Q':
			sql, _ = text(body)
			requests <- sql
		case 'S':
			requests <- sql
			sql = ""
		}
		w.pass()
		if _, err := server.Write(message); err != nil {
			return err
		}
	}
}

// startup passes the first message on, which has no kind.
func (w *Wire) startup(client, server net.Conn) error {
	head := make([]byte, 4)
	if _, err := io.ReadFull(client, head); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head)
	if n < 4 || n > 10_000 {
		return errors.New("not a startup message")
	}
	w.pass()
	if _, err := server.Write(head); err != nil {
		return err
	}
	_, err := io.CopyN(server, client, int64(n)-4)
	return err
}

// answers passes the server's messages on. What says that a request is done is held back until the server is ready again, for
// only then is it carried out.
func (w *Wire) answers(client, server net.Conn, requests <-chan string) error {
	var held []byte
	var tx []string
	failed, first := false, true
	for {
		kind, message, err := readMessage(server)
		if err != nil {
			return err
		}
		failed = failed || kind == 'E'
		if held = append(held, message...); kind == 'C' || len(held) > len(message) && kind != 'Z' {
			continue
		}
		if kind == 'Z' && first {
			first = false
		} else if kind == 'Z' {
			e := Exchange{SQL: <-requests, Committed: message[5] == 'I'}
			tx = append(tx, e.SQL)
			e.Tx = tx
			if !failed && w.lost(e) {
				return fmt.Errorf("the answer to %s was lost", e.SQL)
			}
			if failed = false; e.Committed {
				tx = nil
			}
		}
		w.pass()
		if _, err := client.Write(held); err != nil {
			return err
		}
		held = held[:0]
	}
}

// readMessage reads a message with its kind and length.
func readMessage(from net.Conn) (kind byte, message []byte, err error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(from, head); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > 1<<30 {
		return 0, nil, errors.New("not a message")
	}
	message = append(make([]byte, 0, int(n)+1), head...)[:n+1]
	_, err = io.ReadFull(from, message[5:])
	return head[0], message, err
}

// text splits the first text of a message off.
func text(b []byte) (first string, rest []byte) {
	first, after, _ := strings.Cut(string(b), "\x00")
	return first, []byte(after)
}
