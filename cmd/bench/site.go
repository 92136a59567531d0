package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/seal"
	"minipush/internal/store"
	"minipush/internal/web"
	"minipush/internal/web/api"
	"minipush/internal/web/auth"
)

const (
	sitePassword = "correct horse battery"
	siteZone     = "Asia/Shanghai"
)

// appKeys are the apps of the site; most is about the first.
func appKeys() []string { return []string{"health_applet", "fitness", "market"} }

// site is the web server in this process, on a database of its own, and those who are logged in to it. Nothing works its jobs: what is sending stands still.
type site struct {
	b     *bench
	db    *database
	store *store.Store
	d     *dispatch.Dispatcher
	apps  []push.App

	server *web.Server
	base   string
	hangUp context.CancelFunc
	ended  chan error
	// clients have the cookies of a role, tokens call the API as one.
	clients map[auth.Role]*http.Client
	tokens  map[auth.Role]string
}

// openSite migrates the database and adds the apps.
func (b *bench) openSite(ctx context.Context, db *database) (_ *site, err error) {
	s := &site{b: b, db: db, clients: map[auth.Role]*http.Client{}, tokens: map[auth.Role]string{}}
	if s.store, err = store.Open(ctx, store.Config{URL: db.url}); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	defer func() {
		if err != nil {
			s.store.Close()
		}
	}()
	if err := store.MigrateUp(ctx, s.store.Pool()); err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	key, err := seal.NewKey(seal.GenerateKey())
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	zone, err := time.LoadLocation(siteZone)
	if err != nil {
		return nil, fmt.Errorf("time zone: %w", err)
	}
	if s.d, err = dispatch.New(dispatch.Config{Location: zone, Key: key}, s.store, s.log()); err != nil {
		return nil, fmt.Errorf("set up: %w", err)
	}
	if s.apps, err = s.store.Apps(ctx); err != nil || len(s.apps) > 0 {
		return s, err // a database that was kept
	}
	for i, key := range appKeys() {
		app, err := s.d.AddApp(ctx, dispatch.AppSpec{Key: key, AppID: fmt.Sprintf("wx%d", i+1), Secret: appSecret, BaseURL: nowhere})
		if err != nil {
			return nil, fmt.Errorf("add app: %w", err)
		}
		s.apps = append(s.apps, app)
	}
	return s, nil
}

// log is passed on where --verbose asks for it.
func (s *site) log() *slog.Logger { return slog.New(slog.NewTextHandler(s.b.log, nil)) }

// serve starts the server, and logs in as each role.
func (s *site) serve(ctx context.Context) (err error) {
	zone, err := time.LoadLocation(siteZone)
	if err != nil {
		return fmt.Errorf("time zone: %w", err)
	}
	if s.server, err = web.New(web.Config{Addr: "127.0.0.1:0", Location: zone}, s.d, s.store, s.log()); err != nil { //nolint:contextcheck // to open an address takes no time
		return fmt.Errorf("make server: %w", err)
	}
	s.base = "http://" + s.server.Addr()
	serving, hangUp := context.WithCancel(context.WithoutCancel(ctx))
	s.hangUp, s.ended = hangUp, make(chan error, 1)
	go func() { s.ended <- s.server.Serve(serving) }()
	return s.loginAll(ctx)
}

// loginAll makes an account and a token of each role, and logs in.
func (s *site) loginAll(ctx context.Context) error {
	hash, err := auth.HashPassword(ctx, sitePassword)
	if err != nil {
		return fmt.Errorf("hash password: %w", err)
	}
	run := strconv.FormatInt(time.Now().UnixNano(), 36) // a database that was kept has those of the runs before
	s.clients[auth.NoRole] = client(nil)
	for _, role := range auth.AccountRoles() {
		a := store.Account{Login: role.String() + run, Name: "张" + role.String(), Role: role.String(), PasswordHash: hash, CreatedBy: "bench"}
		if _, err := s.store.InsertAccount(ctx, a); err != nil {
			return fmt.Errorf("add account: %w", err)
		}
		if s.clients[role], err = s.login(ctx, a.Login); err != nil {
			return err
		}
	}
	for _, role := range auth.Roles() {
		plain, hash := auth.NewToken()
		if _, err := s.store.InsertAPIToken(ctx, store.APIToken{Name: role.String() + run, Role: role.String(), CreatedBy: "bench"}, hash); err != nil {
			return fmt.Errorf("add token: %w", err)
		}
		s.tokens[role] = plain
	}
	return nil
}

// client follows no redirect: a page that sends its asker elsewhere is no answer.
func client(jar http.CookieJar) *http.Client {
	return &http.Client{Jar: jar, Transport: &http.Transport{MaxIdleConnsPerHost: 4, DisableCompression: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// login logs in by the form.
func (s *site) login(ctx context.Context, login string) (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("make cookies: %w", err)
	}
	c := client(jar)
	form := url.Values{"login": {login}, "password": {sitePassword}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/console/login", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("log in as %s: %w", login, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.Do(req)
	if err != nil {
		return nil, fmt.Errorf("log in as %s: %w", login, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode != http.StatusSeeOther {
		return nil, fmt.Errorf("log in as %s: %s", login, resp.Status)
	}
	return c, nil
}

// close stops the server, if it runs, and closes its database.
func (s *site) close() error {
	defer s.store.Close()
	if s.hangUp == nil {
		return nil
	}
	s.hangUp()
	if err := <-s.ended; err != nil {
		return fmt.Errorf("stop server: %w", err)
	}
	return nil
}

// question is a page that is asked for several times, each time with other values.
type question struct {
	route api.Route
	of    string
	path  func(n int) string
	// begins: it is a download, of which the first byte is waited for.
	begins bool
	// redirects: the row only leads elsewhere.
	redirects bool
}

// ask asks for a page once, as the weakest role that may, and returns how long the whole answer took.
func (s *site) ask(ctx context.Context, q question, n int) (time.Duration, error) {
	path := q.path(n)
	c := s.clients[q.route.Role]
	bearer := strings.HasPrefix(q.route.Pattern, "/api/")
	if bearer {
		c = s.clients[auth.NoRole]
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return 0, fmt.Errorf("GET %s: %w", path, err)
	}
	if bearer && q.route.Role != auth.NoRole {
		req.Header.Set("Authorization", "Bearer "+s.tokens[q.route.Role])
	}
	begun := time.Now()
	resp, err := c.Do(req)
	if err != nil {
		return 0, fmt.Errorf("GET %s: %w", path, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	want := http.StatusOK
	if q.redirects {
		want = http.StatusSeeOther
	}
	if resp.StatusCode != want {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4000)) // the beginning says enough
		return 0, fmt.Errorf("GET %s: %s, not %d: %s", path, resp.Status, want, text)
	}
	if q.begins {
		_, err = resp.Body.Read(make([]byte, 1))
	} else {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	took := time.Since(begun)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("GET %s: %w", path, err)
	}
	return took, nil
}

// watch opens streams of one task's progress, waits until each has the first figures, and returns how many statements a second they then cost together.
func (s *site) watch(ctx context.Context, viewers int, long time.Duration) (float64, error) {
	var task int64
	if err := s.db.pool.QueryRow(ctx, `SELECT max(id) FROM task WHERE state = 'sending'`).Scan(&task); err != nil {
		return 0, fmt.Errorf("find a task: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var first, all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	failed := make(chan error, viewers)
	for range viewers {
		first.Add(1)
		all.Go(func() {
			if err := s.follow(ctx, fmt.Sprintf("/console/tasks/%d/events?phase=sending", task), sync.OnceFunc(first.Done)); err != nil {
				failed <- err
			}
		})
	}
	first.Wait()
	if _, err := s.db.pool.Exec(ctx, `SELECT pg_stat_statements_reset()`); err != nil {
		return 0, fmt.Errorf("reset statement counters: %w", err)
	}
	begun := time.Now()
	select {
	case <-time.After(long):
	case err := <-failed:
		return 0, err
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	n, err := s.statements(ctx)
	return float64(n) / time.Since(begun).Seconds(), err
}

// follow reads a stream of events until ctx ends, which is no error, and calls seen with each event of figures, and once more at its end.
func (s *site) follow(ctx context.Context, path string, seen func()) error {
	defer seen()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+path, nil)
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	resp, err := s.clients[auth.Viewer].Do(req)
	if err != nil {
		return fmt.Errorf("GET %s: %w", path, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if bytes.Equal(lines.Bytes(), []byte("event: figures")) {
			seen()
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errors.New("the stream ended"), lines.Err())
}
