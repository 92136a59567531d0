// Package authtest is support for tests of logins: the phone of a person, and an OpenID provider.
package authtest

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // RFC 6238
	"encoding/base32"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Code is what an authenticator app shows at a moment for a secret as people type it. It is written apart from the code that is tested.
func Code(t *testing.T, secret string, at time.Time) string {
	t.Helper()
	key, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.ReplaceAll(secret, " ", "")))
	require.NoError(t, err)
	mac := hmac.New(sha1.New, key)
	mac.Write(big.NewInt(at.Unix() / 30).FillBytes(make([]byte, 8)))
	sum := mac.Sum(nil)
	from := sum[19] % 16
	n := new(big.Int).SetBytes(sum[from : from+4])
	n.SetBit(n, 31, 0)
	return fmt.Sprintf("%06d", n.Mod(n, big.NewInt(1_000_000)))
}
