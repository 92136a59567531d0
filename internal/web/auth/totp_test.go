package auth

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The vectors of RFC 6238, appendix B, cut to six digits.
func TestTOTP_KeepsTheVectorsOfTheRFC(t *testing.T) {
	t.Parallel()
	for at, code := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		require.Equal(t, code, totpCode([]byte("12345678901234567890"), totpStep(time.Unix(at, 0))))
	}
}

func TestMatchTOTP_TakesTheNeighboursOfNow_AndNothingUsed(t *testing.T) {
	t.Parallel()
	secret, now := []byte("12345678901234567890"), time.Unix(1234567890, 0)
	for offset, want := range map[int64]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
		step, ok := matchTOTP(secret, totpCode(secret, totpStep(now)+offset), now, 0)
		require.Equal(t, want, ok, offset)
		if ok {
			require.Equal(t, totpStep(now)+offset, step)
		}
	}
	_, ok := matchTOTP(secret, totpCode(secret, totpStep(now)), now, totpStep(now))
	require.False(t, ok, "used")
	_, ok = matchTOTP(secret, totpCode(secret, totpStep(now)-1), now, totpStep(now))
	require.False(t, ok, "older than one that was used")
}

func TestTOTPURL_IsWhatAppsRead(t *testing.T) {
	t.Parallel()
	got := totpURL([]byte("12345678901234567890"), "push.example.com:8443", "ann")
	require.Equal(t, "otpauth://totp/minipush%20push.example.com:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=minipush%20push.example.com&algorithm=SHA1&digits=6&period=30", got)
	require.Contains(t, totpURL(nil, "[::1]:8080", "a@b"), "totp/minipush%20%3A%3A1:a@b?", "only one colon parts the label")
}

func TestRecoveryCodes_AreReadHoweverTheyAreTyped(t *testing.T) {
	t.Parallel()
	codes, hashes := newRecoveryCodes()
	require.Len(t, codes, recoveryCodes)
	for i, code := range codes {
		require.Regexp(t, `^[a-z2-7]{4}(-[a-z2-7]{4}){3}$`, code)
		for _, typed := range []string{code, strings.ToUpper(code), strings.ReplaceAll(code, "-", " "), " " + strings.ReplaceAll(code, "-", "")} {
			require.Equal(t, hashes[i], recoveryHash(normalCode(typed)))
		}
	}
	require.True(t, isTOTP(normalCode("123 456")))
	require.False(t, isTOTP(normalCode("12345a")))
}
