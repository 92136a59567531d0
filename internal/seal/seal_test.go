package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/seal"
)

func newKey(t *testing.T, text string) *seal.Key {
	t.Helper()
	k, err := seal.NewKey(text)
	require.NoError(t, err)
	return k
}

func TestKeyOpensWhatItSealed(t *testing.T) {
	t.Parallel()
	k := newKey(t, seal.GenerateKey())
	for _, plain := range []string{"", "s", "0123456789abcdef0123456789abcdef", strings.Repeat("密", 5000)} {
		sealed := k.Seal([]byte(plain), "app/1/secret")
		require.Len(t, sealed, len(plain)+seal.Overhead)
		opened, err := k.Open(sealed, "app/1/secret")
		require.NoError(t, err)
		require.Equal(t, plain, string(opened))
	}
}

func TestKeyIsReadInEveryCommonForm(t *testing.T) {
	t.Parallel()
	raw := bytes.Repeat([]byte{0xfb, 0xff}, 16) // has the characters in which the two base64 alphabets differ
	want := newKey(t, hex.EncodeToString(raw)).ID()
	for name, text := range map[string]string{
		"upper-case hex":   strings.ToUpper(hex.EncodeToString(raw)),
		"base64":           base64.StdEncoding.EncodeToString(raw),
		"base64, unpadded": base64.RawStdEncoding.EncodeToString(raw),
		"base64url":        base64.URLEncoding.EncodeToString(raw),
		"with a newline":   base64.StdEncoding.EncodeToString(raw) + "\n",
	} {
		require.Equal(t, want, newKey(t, text).ID(), name)
	}
}

func TestKeyOfAnotherSizeIsRefusedAndNotRepeated(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33, 64} {
		raw := bytes.Repeat([]byte{7}, n)
		for _, text := range []string{hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw)} {
			_, err := seal.NewKey(text)
			require.ErrorIs(t, err, seal.ErrBadKey)
			if text != "" {
				require.NotContains(t, err.Error(), text)
			}
		}
	}
	_, err := seal.NewKey("a passphrase is not a key")
	require.ErrorIs(t, err, seal.ErrBadKey)
}

func TestOpenTellsAWrongKeyFromADamagedValue(t *testing.T) {
	t.Parallel()
	k, other := newKey(t, seal.GenerateKey()), newKey(t, seal.GenerateKey())
	sealed := k.Seal([]byte("secret"), "app/1/secret")

	_, err := other.Open(sealed, "app/1/secret")
	require.ErrorIs(t, err, seal.ErrWrongKey)
	require.ErrorContains(t, err, other.ID(), "both keys are named")
	require.ErrorContains(t, err, k.ID(), "both keys are named")

	_, err = k.Open(sealed, "app/2/secret")
	require.ErrorIs(t, err, seal.ErrDamaged, "a value moved to another app does not open")

	for i := range sealed {
		broken := bytes.Clone(sealed)
		broken[i] ^= 1
		_, err = k.Open(broken, "app/1/secret")
		require.Error(t, err, "byte %d", i)
		switch {
		case i == 0:
			require.ErrorIs(t, err, seal.ErrUnknownVersion)
		case i < 5:
			require.ErrorIs(t, err, seal.ErrWrongKey)
		default:
			require.ErrorIs(t, err, seal.ErrDamaged)
		}
	}
	for n := range sealed {
		_, err = k.Open(sealed[:n], "app/1/secret")
		require.ErrorIs(t, err, seal.ErrDamaged, "cut to %d bytes", n)
	}
}

func TestEqualSecretsDoNotLookEqual(t *testing.T) {
	t.Parallel()
	k := newKey(t, seal.GenerateKey())
	a, b := k.Seal([]byte("same"), "c"), k.Seal([]byte("same"), "c")
	require.NotEqual(t, a[5:], b[5:])
	require.NotEqual(t, seal.GenerateKey(), seal.GenerateKey())
}

func TestKeyNeverPrintsItself(t *testing.T) {
	t.Parallel()
	raw := []byte("0123456789abcdef0123456789abcdef")
	k := newKey(t, hex.EncodeToString(raw))
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "key", k)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		log.WriteString(fmt.Sprintf(verb, k))
	}
	require.Contains(t, log.String(), "seal.Key("+k.ID()+")")
	require.NotContains(t, log.String(), string(raw))
	require.NotContains(t, log.String(), hex.EncodeToString(raw))
	require.NotContains(t, log.String(), "48 49 50")
}
