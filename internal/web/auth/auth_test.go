package auth_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/web/auth"
)

func TestRole(t *testing.T) {
	t.Parallel()

	t.Run("EachHasThePowersOfThoseBefore", func(t *testing.T) {
		t.Parallel()
		for _, role := range auth.Roles() {
			for _, lowest := range auth.Roles() {
				require.Equal(t, role >= lowest, role.May(lowest, auth.Read), "%s reads %s", role, lowest)
			}
		}
	})
	t.Run("AViewerWritesNothing", func(t *testing.T) {
		t.Parallel()
		for _, lowest := range auth.Roles() {
			require.False(t, auth.Viewer.May(lowest, auth.Write))
		}
		require.True(t, auth.Collector.May(auth.Collector, auth.Write))
		require.True(t, auth.Author.May(auth.Collector, auth.Write))
	})
	t.Run("NobodyMayNothing", func(t *testing.T) {
		t.Parallel()
		require.False(t, auth.NoRole.May(auth.NoRole, auth.Read))
	})
	t.Run("NamesAreReadBack", func(t *testing.T) {
		t.Parallel()
		for _, role := range auth.Roles() {
			back, ok := auth.ParseRole(role.String())
			require.True(t, ok)
			require.Equal(t, role, back)
		}
		_, ok := auth.ParseRole("none")
		require.False(t, ok)
	})
}

func TestNewToken(t *testing.T) {
	t.Parallel()
	plain, hash := auth.NewToken()
	other, _ := auth.NewToken()
	require.NotEqual(t, plain, other)
	require.True(t, strings.HasPrefix(plain, "mp_"))
	require.Len(t, plain, 3+43)
	require.Len(t, hash, 32)
	again, err := auth.HashToken(plain)
	require.NoError(t, err)
	require.Equal(t, hash, again)
}

func TestHashToken_RefusesWhatIsNoToken(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "mp_", "mp_short", "Bearer x", strings.Repeat("x", 46)} {
		_, err := auth.HashToken(text)
		require.ErrorIs(t, err, auth.ErrUnauthenticated, "%q", text)
	}
}
