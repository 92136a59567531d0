package auth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/seal"
	"minipush/internal/store"
	"minipush/internal/store/storetest"
	"minipush/internal/web/auth"
)

const goodPassword = "correct horse battery"

type logins struct {
	pool     *pgxpool.Pool
	store    *store.Store
	sessions *auth.Sessions
	account  store.Account
}

func setupLogins(t *testing.T, cfg auth.SessionConfig) *logins {
	t.Helper()
	key, err := seal.NewKey(seal.GenerateKey())
	require.NoError(t, err)
	cfg.Key = key
	l := &logins{pool: storetest.Pool(t)}
	l.store = store.New(l.pool)
	l.sessions = auth.NewSessions(cfg, l.store, slog.New(slog.DiscardHandler))
	l.account, err = auth.AddAccount(t.Context(), l.store, auth.Principal{Name: "root"}, store.Account{Login: "Ann", Name: "安", Role: "author"}, goodPassword)
	require.NoError(t, err)
	return l
}

// of finds the session of a cookie.
func (l *logins) of(t *testing.T, value string) (auth.Session, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/", http.NoBody)
	r.AddCookie(&http.Cookie{Name: auth.CookieName(r), Value: value})
	return l.sessions.Of(r)
}

func (l *logins) exec(t *testing.T, sql string) {
	t.Helper()
	_, err := l.pool.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func TestSessions_FindThePrincipal(t *testing.T) {
	t.Parallel()
	l := setupLogins(t, auth.SessionConfig{})
	in, err := l.sessions.Login(t.Context(), " ANN ", goodPassword, "192.0.2.1:5")
	require.NoError(t, err)
	require.Empty(t, in.Challenge)
	value := in.Session
	n, err := l.of(t, value)
	require.NoError(t, err)
	require.Equal(t, auth.Principal{ID: fmt.Sprintf("account:%d", l.account.ID), Name: "ann", Role: auth.Author, Address: "192.0.2.1"}, n.Principal)
	_, err = l.of(t, value+"x")
	require.ErrorIs(t, err, auth.ErrUnauthenticated)

	l.exec(t, `UPDATE account SET role = 'viewer'`)
	n, err = l.of(t, value)
	require.NoError(t, err)
	require.Equal(t, auth.Viewer, n.Principal.Role, "a changed role holds at once")
	l.exec(t, `UPDATE account SET disabled_at = now()`)
	_, err = l.of(t, value)
	require.ErrorIs(t, err, auth.ErrUnauthenticated, "and so does being shut out")
	_, err = l.sessions.Login(t.Context(), "ann", goodPassword, "192.0.2.1:5")
	require.ErrorIs(t, err, auth.ErrWrongLogin)
}

func TestSessions_EndWhenIdle_AndAfterTheirLifetime(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{"Idle": `UPDATE session SET last_used_at = now() - interval '61 minutes'`, "Lifetime": `UPDATE session SET expires_at = now()`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := setupLogins(t, auth.SessionConfig{Idle: time.Hour})
			value, err := l.sessions.Open(t.Context(), l.account)
			require.NoError(t, err)
			l.exec(t, `UPDATE session SET last_used_at = now() - interval '59 minutes'`)
			_, err = l.of(t, value)
			require.NoError(t, err)
			l.exec(t, sql)
			_, err = l.of(t, value)
			require.ErrorIs(t, err, auth.ErrUnauthenticated)
		})
	}
}

func TestSessions_UseKeepsThemAlive(t *testing.T) {
	t.Parallel()
	l := setupLogins(t, auth.SessionConfig{Idle: time.Hour})
	value, err := l.sessions.Open(t.Context(), l.account)
	require.NoError(t, err)
	l.exec(t, `UPDATE session SET last_used_at = now() - interval '59 minutes'`)
	_, err = l.of(t, value)
	require.NoError(t, err)
	var fresh bool
	require.NoError(t, l.pool.QueryRow(t.Context(), `SELECT last_used_at > now() - interval '1 minute' FROM session`).Scan(&fresh))
	require.True(t, fresh)
}

func TestLogin_AttemptsAreBoundedByAccountAndByAddress_AlsoAtTheSameTime(t *testing.T) {
	t.Parallel()
	l := setupLogins(t, auth.SessionConfig{PerAccount: 3, PerAddress: 5})
	var wrong, throttled atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			_, err := l.sessions.Login(context.Background(), "ann", "wrong", fmt.Sprintf("192.0.2.%d:1", i))
			switch {
			case errors.Is(err, auth.ErrWrongLogin):
				wrong.Add(1)
			case errors.Is(err, auth.ErrThrottled):
				throttled.Add(1)
			}
		})
	}
	all.Wait()
	require.Equal(t, []int32{3, 5}, []int32{wrong.Load(), throttled.Load()})
	_, err := l.sessions.Login(t.Context(), "ann", goodPassword, "192.0.2.99:1")
	require.ErrorIs(t, err, auth.ErrThrottled, "the account")

	for i := range 5 {
		_, err := l.sessions.Login(t.Context(), fmt.Sprintf("nobody%d", i), "x", "[2001:db8::1]:1")
		require.ErrorIs(t, err, auth.ErrWrongLogin)
	}
	_, err = l.sessions.Login(t.Context(), "nobody9", "x", "[2001:db8::2]:1")
	require.ErrorIs(t, err, auth.ErrThrottled, "the network of the address")

	l.exec(t, `UPDATE login_attempt SET since = since - interval '16 minutes'`)
	_, err = l.sessions.Login(t.Context(), "ann", goodPassword, "192.0.2.99:1")
	require.NoError(t, err, "a new window")
	n, err := l.store.PurgeSessions(t.Context(), time.Now(), 100)
	require.NoError(t, err)
	require.Positive(t, n, "old windows are removed")
}

func TestLogin_OneThatSucceedsTakesItsAttemptsBack(t *testing.T) {
	t.Parallel()
	l := setupLogins(t, auth.SessionConfig{PerAccount: 2, PerAddress: 2})
	for range 5 {
		_, err := l.sessions.Login(t.Context(), "ann", goodPassword, "192.0.2.1:1")
		require.NoError(t, err)
	}
}

func TestPassword_IsHashedAsAPHCString(t *testing.T) {
	t.Parallel()
	hash, err := auth.HashPassword(t.Context(), goodPassword)
	require.NoError(t, err)
	require.Regexp(t, `^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$`, hash)
	for password, want := range map[string]bool{goodPassword: true, "": false, goodPassword + "x": false} {
		right, err := auth.VerifyPassword(t.Context(), password, hash)
		require.NoError(t, err)
		require.Equal(t, want, right)
	}
	for _, damaged := range []string{"", "none", "$argon2i$v=19$m=1,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=99999999,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=8,t=0,p=1$AAAA$AAAA"} {
		_, err := auth.VerifyPassword(t.Context(), goodPassword, damaged)
		require.Error(t, err, damaged)
	}
}

func TestAddAccount_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	l := setupLogins(t, auth.SessionConfig{})
	for field, a := range map[string]store.Account{
		"role": {Login: "bob", Name: "b", Role: "collector"}, "login": {Login: "b ob", Name: "b", Role: "viewer"}, "name": {Login: "bob", Role: "viewer"},
	} {
		_, err := auth.AddAccount(t.Context(), l.store, auth.Principal{Name: "root"}, a, goodPassword)
		invalid, ok := errors.AsType[*push.InvalidError](err)
		require.True(t, ok, err)
		require.Equal(t, field, invalid.Field)
	}
	_, err := auth.AddAccount(t.Context(), l.store, auth.Principal{Name: "root"}, store.Account{Login: "ann", Name: "b", Role: "viewer"}, goodPassword)
	require.ErrorContains(t, err, "taken")
	for password, ok := range map[string]bool{"short": false, "ann1234567": false, "annannannannann": false, strings.Repeat("长", 10): true, strings.Repeat("x", 257): false} {
		require.Equal(t, ok, auth.CheckPassword("password", "ann", password) == nil, password)
	}
}

func TestResetPassword_EndsSessions_AndIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	l := setupLogins(t, auth.SessionConfig{})
	value, err := l.sessions.Open(t.Context(), l.account)
	require.NoError(t, err)
	require.NoError(t, auth.ResetPassword(t.Context(), l.store, auth.Principal{Name: "cli:root"}, "ANN", "another good password"))
	_, err = l.of(t, value)
	require.ErrorIs(t, err, auth.ErrUnauthenticated)
	entries, err := l.store.AuditEntries(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.Equal(t, "account.password cli:root account:ann", entries[0].Action+" "+entries[0].Actor+" "+entries[0].Object)
	require.Equal(t, "account.add root account:ann", entries[1].Action+" "+entries[1].Actor+" "+entries[1].Object)
}

func TestCookieName_IsPlainOnlyOnPlainLoopback(t *testing.T) {
	t.Parallel()
	for host, plain := range map[string]bool{
		"127.0.0.1:8080": true, "localhost:8080": true, "[::1]:8080": true, "localhost": true, "push.example.com": false, "10.0.0.1:8080": false, "127.0.0.1.example.com": false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Host = host
		require.Equal(t, plain, auth.CookieName(r) == "minipush", host)
		r.Header.Set("X-Forwarded-Proto", "https")
		require.Equal(t, "__Host-minipush", auth.CookieName(r), host)
	}
}
