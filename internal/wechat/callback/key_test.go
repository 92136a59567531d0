package callback

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	zeroKey  = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	docAppID = "wxba5fad812f8e6fb9"
)

func docKey(t testing.TB) *key {
	t.Helper()
	k, err := newKey(zeroKey, docAppID)
	require.NoError(t, err)
	return k
}

// The sealed texts of the platform's page and of its Java sample.
func TestSeal_IsThePlatforms(t *testing.T) {
	t.Parallel()
	require.Equal(t, "ELGduP2YcVatjqIS+eZbp80MNLoAUWvzzyJxgGzxZO/5sAvd070Bs6qrLARC9nVHm48Y4hyRbtzve1L32tmxSQ==",
		docKey(t).seal([]byte("707722b803182950"), []byte(`{"demo_resp":"good luck"}`)))

	k, err := newKey("abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "wxb11529c136998cb6")
	require.NoError(t, err)
	require.Equal(t, "jn1L23DB+6ELqJ+6bruv21Y6MD7KeIfP82D6gU39rmkgczbWwt5+3bnyg5K55bgVtVzd832WzZGMhkP72vVOfg==",
		k.seal([]byte("aaaabbbbccccdddd"), []byte("我是中文abcd123")))
}

// A message of every length up to two blocks comes back, so every padding from 1 to 32 is written and read.
func TestOpen_TakesWhatSealMakes(t *testing.T) {
	t.Parallel()
	k := docKey(t)
	for n := range 2*padBlock + 1 {
		want := strings.Repeat("x", n)
		random, got, err := k.open(k.seal([]byte("0123456789abcdef"), []byte(want)))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		require.Equal(t, "0123456789abcdef", string(random))
	}
	require.NotEqual(t, k.seal(newRandom(), nil), k.seal(newRandom(), nil))
	require.Len(t, newRandom(), randomBytes)
}

// sealRaw encrypts an envelope as it is, padding and all: the same blocks as seal writes, but for the first one, whose 16
// bytes are random.
func sealRaw(k *key, envelope string) string {
	out := make([]byte, len(envelope))
	previous := k.iv
	for i := 0; i < len(envelope); i += len(k.iv) {
		for j := range k.iv {
			out[i+j] = envelope[i+j] ^ previous[j]
		}
		k.block.Encrypt(out[i:i+len(k.iv)], out[i:])
		previous = out[i : i+len(k.iv)]
	}
	return base64.StdEncoding.EncodeToString(out)
}

func TestOpen_RefusesADamagedEnvelope(t *testing.T) {
	t.Parallel()
	k := docKey(t)
	const random = "0123456789abcdef"
	size := func(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }
	pad := func(s string) string { // to a block of 32
		n := padBlock - len(s)%padBlock
		return s + strings.Repeat(string(rune(n)), n)
	}
	good := pad(random + size(2) + "{}" + docAppID)
	_, message, err := k.open(sealRaw(k, good))
	require.NoError(t, err)
	require.Equal(t, "{}", string(message))

	sealed := sealRaw(k, good)
	for name, v := range map[string]struct {
		encrypt string
		want    error
	}{
		"nothing":                          {"", ErrDamaged},
		"no base64":                        {"*" + sealed[1:], ErrDamaged},
		"base64 cut":                       {sealed[:len(sealed)-1], ErrDamaged},
		"half a block":                     {sealRaw(k, good[:48]), ErrDamaged},
		"padded to a block of AES":         {sealRaw(k, good[:40]+strings.Repeat("\x08", 8)), ErrDamaged},
		"not a block of AES":               {base64.StdEncoding.EncodeToString(make([]byte, 33)), ErrDamaged},
		"a block lost":                     {sealed[:len(sealed)/2/4*4], ErrDamaged},
		"padding of 0":                     {sealRaw(k, good[:63]+"\x00"), ErrDamaged},
		"padding of 33":                    {sealRaw(k, random+size(57)+strings.Repeat("x", 57)+docAppID+strings.Repeat("\x21", 33)), ErrDamaged},
		"padding of 255":                   {sealRaw(k, good[:63]+"\xff"), ErrDamaged},
		"padding not all the same":         {sealRaw(k, good[:62]+"\x00"+good[63:]), ErrDamaged},
		"padding only":                     {sealRaw(k, strings.Repeat("\x20", 32)), ErrDamaged},
		"no room for the length":           {sealRaw(k, pad(random+"\x00\x00\x00")), ErrDamaged},
		"message longer than the envelope": {sealRaw(k, pad(random+size(21)+"{}"+docAppID)), ErrDamaged},
		"message of 4 GiB":                 {sealRaw(k, pad(random+size(1<<32-1)+"{}"+docAppID)), ErrDamaged},
		"message over the whole envelope":  {sealRaw(k, pad(random+size(20)+"{}"+docAppID)), ErrAppID},
		"message shorter than it is":       {sealRaw(k, pad(random+size(1)+"{}"+docAppID)), ErrAppID},
		"another appid":                    {sealRaw(k, pad(random+size(2)+"{}"+"wx5823bf96d3bd56c7")), ErrAppID},
		"an appid cut":                     {sealRaw(k, pad(random+size(2)+"{}"+docAppID[:17])), ErrAppID},
		"an appid and more":                {sealRaw(k, pad(random+size(2)+"{}"+docAppID+"0")), ErrAppID},
		"no appid":                         {sealRaw(k, pad(random+size(2)+"{}")), ErrAppID},
	} {
		_, message, err := k.open(v.encrypt)
		require.ErrorIs(t, err, v.want, name)
		require.Nil(t, message, name)
	}
	_, message, err = k.open(sealRaw(k, pad(random+size(0)+docAppID)))
	require.NoError(t, err, "an empty message is a message")
	require.Empty(t, message)
}

func TestNewKey_RefusesWhatIsNoKey(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "A", zeroKey[1:], zeroKey + "A", zeroKey + "=", zeroKey + "\n", zeroKey[:42] + "*", zeroKey[:42] + "=", zeroKey[:42] + "\n", zeroKey[:42] + "中",
		zeroKey[:22] + strings.Repeat("\n", 20) + "=", // the base64 of 16 bytes, which AES would take
	} {
		_, err := newKey(text, docAppID)
		require.ErrorIs(t, err, errBadKey, text)
	}
}
