package main_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/sim"
)

// A key under which nothing was sealed is noticed before messages fail for it.
func TestSecretKey_AnotherThanTheOneOfTheApps_IsNamedByDoctorAndRefusedByAppAdd(t *testing.T) {
	t.Parallel()
	s := newStage(t, sim.Faults{})
	_, stdout, _ := s.try(t, "", "doctor") // the database of the tests is not durable, which doctor says
	require.Contains(t, stdout, "the secret key opens them")
	other := s.with("MINIPUSH_SECRET_KEY=" + "BBECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	code, stdout, _ := other.try(t, "", "doctor")
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "does not open the stored secrets of shop; set MINIPUSH_SECRET_KEY")
	code, _, stderr := other.try(t, "secret", "app", "add", "--key", "second", "--appid", "wx2", "--secret-file", "-")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "app set --key KEY --secret-file FILE")
	d := other.serve(t)
	require.Zero(t, d.stop(t))
	d.mu.Lock()
	defer d.mu.Unlock()
	require.Contains(t, d.logs.String(), "app secrets cannot be opened")
}
