package auth_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/store"
	"minipush/internal/store/storetest"
	"minipush/internal/web/auth"
)

type bundle struct {
	store  *store.Store
	tokens *auth.Tokens
	plain  string
	ahead  atomic.Int64 // how far the clock is ahead, in nanoseconds
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{store: store.New(storetest.Pool(t))}
	clock := func() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())) }
	b.tokens = auth.New(auth.Config{CacheFor: time.Minute / 2, Now: clock}, b.store, slog.New(slog.DiscardHandler))
	plain, hash := auth.NewToken()
	b.plain = plain
	_, err := b.store.InsertAPIToken(t.Context(), store.APIToken{Name: "ann", Role: "author", AppIDs: []int32{7}, CreatedBy: "test"}, hash)
	require.NoError(t, err)
	return b
}

func (b *bundle) lastUsed(t *testing.T) *time.Time {
	t.Helper()
	all, err := b.store.APITokens(t.Context())
	require.NoError(t, err)
	return all[0].LastUsedAt
}

func TestTokens_FindThePrincipal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p, err := b.tokens.Check(t.Context(), b.plain)
	require.NoError(t, err)
	require.Equal(t, "ann", p.Name)
	require.Equal(t, auth.Author, p.Role)
	require.True(t, p.Sees(7))
	require.False(t, p.Sees(8))
	require.False(t, p.SeesAll())

	unknown, _ := auth.NewToken()
	_, err = b.tokens.Check(t.Context(), unknown)
	require.ErrorIs(t, err, auth.ErrUnauthenticated)
}

func TestTokens_ARevokedOneIsRememberedNoLongerThanItIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, err := b.tokens.Check(t.Context(), b.plain)
	require.NoError(t, err)
	require.NoError(t, b.store.RevokeAPIToken(t.Context(), "ann"))
	_, err = b.tokens.Check(t.Context(), b.plain)
	require.NoError(t, err, "it is remembered for CacheFor")
	b.ahead.Store(int64(time.Minute / 2))
	_, err = b.tokens.Check(t.Context(), b.plain)
	require.ErrorIs(t, err, auth.ErrUnauthenticated)
}

func TestTokens_NoteTheLastUseAtMostOnceAMinute(t *testing.T) {
	t.Parallel()
	b := setup(t)
	check := func() {
		_, err := b.tokens.Check(t.Context(), b.plain)
		require.NoError(t, err)
	}
	check()
	first := b.lastUsed(t)
	require.NotNil(t, first)
	b.ahead.Store(int64(40 * time.Second)) // no longer remembered, not a minute yet
	check()
	require.Equal(t, first, b.lastUsed(t))
	b.ahead.Store(int64(2 * time.Minute))
	check()
	require.Greater(t, b.lastUsed(t).UnixMicro(), first.UnixMicro())
}

func TestTokens_ReadTheHeader(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for header, ok := range map[string]bool{
		"Bearer " + b.plain: true, "bearer " + b.plain: true, "": false, "Bearer": false, b.plain: false, "Basic " + b.plain: false, "Bearer x": false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Header.Set("Authorization", header)
		_, err := b.tokens.Bearer(r)
		if ok {
			require.NoError(t, err, header)
		} else {
			require.ErrorIs(t, err, auth.ErrUnauthenticated, header)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	_, err := b.tokens.Basic(r)
	require.ErrorIs(t, err, auth.ErrUnauthenticated)
	r.SetBasicAuth("anybody", b.plain)
	p, err := b.tokens.Basic(r)
	require.NoError(t, err)
	require.Equal(t, "ann", p.Name)
}

func TestTokens_ADatabaseInTroubleIsNotAWrongToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.store.Close()
	_, err := b.tokens.Check(t.Context(), b.plain)
	require.Error(t, err)
	require.NotErrorIs(t, err, auth.ErrUnauthenticated)
}
