package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/store/storetest"
)

func TestCountPermits_ByAppChannelAndState(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	for _, sql := range []string{
		`INSERT INTO app (key, appid, base_url, secret_sealed) VALUES ('a', 'wx1', 'http://x', 's'), ('b', 'wx2', 'http://x', 's')`,
		`INSERT INTO form_id (app_id, user_id, form_id, source, submitted_at, expires_at)
			SELECT (SELECT id FROM app WHERE key = 'a'), 'u', 'f' || n, 1, now(), now() + CASE WHEN n = 1 THEN interval '-1 hour' ELSE interval '1 day' END FROM generate_series(1, 3) n`,
		`INSERT INTO subscription (app_id, openid, template_id, available, reserved, suspect, used, long_term)
			SELECT id, 'o' || n, 'T', 1, 0, 2, 3, n = 1 FROM app, generate_series(1, 2) n WHERE key = 'b'`,
	} {
		_, err := pool.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	counts, err := store.New(pool).CountPermits(t.Context())
	require.NoError(t, err)
	require.Equal(t, []store.PermitCount{
		{App: "a", Channel: push.ChannelFormID, State: "available", Count: 2},
		{App: "a", Channel: push.ChannelFormID, State: "expired", Count: 1},
		{App: "b", Channel: push.ChannelSubscribe, State: "available", Count: 1},
		{App: "b", Channel: push.ChannelSubscribe, State: "long_term", Count: 1},
		{App: "b", Channel: push.ChannelSubscribe, State: "suspect", Count: 4},
		{App: "b", Channel: push.ChannelSubscribe, State: "used", Count: 6},
	}, counts)
}
