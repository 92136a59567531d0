package sim

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestParse_EscapesThatJSONNeeds(t *testing.T) {
	t.Parallel()
	var m message
	v := m.parse([]byte(`{"touser":"o1","data":{"keyword1":{"value":"a\"b\\u\n\/"}},"page":"p"}`))
	require.Equal(t, verdict{}, v)
	require.Equal(t, "a\"b\\u\n/", string(m.fields[0].value))
	require.Equal(t, 47002, (&message{}).parse([]byte(`{"touser":"\\\u0041"}`)).code)
}

// The reading by hand never says anything else than encoding/json would.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"touser":"o1","template_id":"T","page":"p?a=1&&b=2","form_id":"f","data":{"keyword1":{"value":"值","color":"#EE0000"}}}`,
		`{"touser":"o1","miniprogram_state":"formal","lang":"zh_CN","data":{"thing1":{"value":"值"}}}`, `{"lang":1}`, `{"data":[]}`,
		`{"touser":"o1","touser":"o2"}`, `{"data":{}}`, `{"data":null}`, `{"data":"x"}`, `{}`, `[]`, `null`, `{"touser":"\u0041"}`,
		`{"data":{"a":{"value":"1"},"a":{"value":"2"}}}`, `{"data":{"a":{"color":"x"}}}`, `{"touser":1}`, "{\"touser\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var fast, slow message
		if len(body) == 0 {
			return
		}
		ok := fast.scan(body)
		v := slow.unmarshal(body)
		if !ok {
			return
		}
		require.Equal(t, verdict{}, v)
		require.Equal(t, len(slow.fields), len(fast.fields))
		for i := range fast.fields {
			require.Equal(t, string(slow.fields[i].key), string(fast.fields[i].key))
			require.Equal(t, string(slow.fields[i].value), string(fast.fields[i].value))
			require.Equal(t, string(slow.fields[i].color), string(fast.fields[i].color))
		}
		for _, pair := range [][2][]byte{
			{fast.toUser, slow.toUser}, {fast.templateID, slow.templateID}, {fast.page, slow.page},
			{fast.formID, slow.formID}, {fast.emphasis, slow.emphasis}, {fast.state, slow.state}, {fast.lang, slow.lang},
		} {
			require.True(t, bytes.Equal(pair[0], pair[1]))
			require.NotContains(t, string(pair[0]), "\x00", "the ledger parts texts by NUL")
		}
	})
}

func TestRecord_StaysSmall(t *testing.T) {
	t.Parallel()
	require.LessOrEqual(t, unsafe.Sizeof(record{}), uintptr(80), "a million messages are kept in memory")
}
