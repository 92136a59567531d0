package wechat_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/wechat"
)

// The whole table of the reference (wechat.md §3.3), code by code.
func TestClassify_FormIDTable(t *testing.T) {
	t.Parallel()
	requireTable(t, wechat.ChannelFormID, map[wechat.Class][]int{
		wechat.ClassOK:         {0},
		wechat.ClassRetry:      {-1, 43108},
		wechat.ClassToken:      {40001, 40014, 42001},
		wechat.ClassPermitDead: {41028, 41031},
		wechat.ClassPermitUsed: {41029},
		wechat.ClassNoPermit:   {43101},
		wechat.ClassRecipient:  {40003},
		wechat.ClassFailed:     {40038},
		wechat.ClassField:      {47003},
		wechat.ClassContent:    {45168},
		wechat.ClassPauseTask:  {40037, 41030, 43102, 47001, 48011},
		wechat.ClassPauseApp: {
			41032, 41034, 41035, 43104, 43106, 43107, 45102, 45103, 45109, 45501, 46101, 48001, 48004, 50002, 50004,
		},
		wechat.ClassQuota:  {45009},
		wechat.ClassRate:   {45011},
		wechat.ClassConfig: {40013, 41001, 44002, 45015, 45035, 45047, 47002, 61004},
	})
}

// The table of the subscribe channel (wechat.md §3.3): what only formIds can bring is a sign of a wrong address here.
func TestClassify_SubscribeTable(t *testing.T) {
	t.Parallel()
	requireTable(t, wechat.ChannelSubscribe, map[wechat.Class][]int{
		wechat.ClassOK:        {0},
		wechat.ClassRetry:     {-1, 43108},
		wechat.ClassToken:     {40001, 40014, 42001},
		wechat.ClassNoPermit:  {43101},
		wechat.ClassRecipient: {40003},
		wechat.ClassFailed:    {40038},
		wechat.ClassField:     {47003},
		wechat.ClassContent:   {45168},
		wechat.ClassPauseTask: {40037, 41030, 43102, 47001, 48011},
		wechat.ClassPauseApp:  {43104, 43106, 43107, 45102, 45103, 45109, 45501, 48001, 48004, 50002, 50004},
		wechat.ClassQuota:     {45009},
		wechat.ClassRate:      {45011},
		wechat.ClassConfig: {
			40013, 40033, 41001, 44002, 45015, 45035, 45047, 47002, 61004,
			41028, 41029, 41031, 41032, 41034, 41035, 46101,
		},
	})
}

// Design §4.5: a formId makes a second call harmless, a subscription does not.
func TestChannel_ResendSafe(t *testing.T) {
	t.Parallel()
	require.True(t, wechat.ChannelToken.ResendSafe())
	require.True(t, wechat.ChannelFormID.ResendSafe())
	require.False(t, wechat.ChannelSubscribe.ResendSafe())
}

// The token call has a table of its own (wechat.md §3.2): 40001 there is a wrong secret, and everything stops the app.
func TestClassify_TokenTable(t *testing.T) {
	t.Parallel()
	requireTable(t, wechat.ChannelToken, map[wechat.Class][]int{
		wechat.ClassOK:    {0},
		wechat.ClassRetry: {-1},
		wechat.ClassConfig: {
			40001, 40002, 40013, 40125, 40164, 41002, 41004, 43002, 45009, 45011, 50002, 50004,
			89501, 89502, 89503, 89504, 89505, 89506, 89507,
		},
	})
}

func requireTable(t *testing.T, channel wechat.Channel, want map[wechat.Class][]int) {
	t.Helper()
	listed := map[int]bool{}
	for class, codes := range want {
		for _, code := range codes {
			listed[code] = true
			require.Equal(t, class, wechat.Classify(channel, code), "errcode %d", code)
			advice, known := wechat.Explain(channel, code)
			require.True(t, known, "errcode %d", code)
			require.Equal(t, class, advice.Class)
			require.True(t, strings.HasSuffix(advice.English, "."), "errcode %d", code)
			require.True(t, strings.HasSuffix(advice.Chinese, "。"), "errcode %d", code)
		}
	}
	for code := -10; code < 100_000; code++ {
		_, known := wechat.Explain(channel, code)
		require.Equal(t, listed[code], known, "errcode %d stands in the table but not in this test, or the reverse", code)
	}
}

func TestClassify_UnknownCode(t *testing.T) {
	t.Parallel()
	require.Equal(t, wechat.ClassFailed, wechat.Classify(wechat.ChannelFormID, 99999))
	require.Equal(t, wechat.ClassFailed, wechat.Classify(wechat.ChannelSubscribe, 99999))
	require.Equal(t, wechat.ClassConfig, wechat.Classify(wechat.ChannelToken, 99999), "a refused token call stops the app")
	advice, known := wechat.Explain(wechat.ChannelFormID, 99999)
	require.False(t, known)
	require.NotEmpty(t, advice.English)
	require.NotEmpty(t, advice.Chinese)
}

func TestClass_ZeroIsNoClass(t *testing.T) {
	t.Parallel()
	var zero wechat.Class
	require.NotEqual(t, wechat.ClassOK, zero)
	require.Equal(t, "none", zero.String())
	seen := map[string]bool{}
	for c := wechat.ClassOK; c <= wechat.ClassFailed; c++ {
		require.NotEqual(t, "none", c.String())
		require.False(t, seen[c.String()], "%s twice", c)
		seen[c.String()] = true
	}
}

func TestFieldOf(t *testing.T) {
	t.Parallel()
	for msg, want := range map[string]string{
		"argument invalid! data.keyword1.value is empty":       "keyword1",
		"argument invalid! data.thing1.value is emtpy":         "thing1",
		"argument invalid! data.character_string1.value i":     "character_string1",
		"argument invalid! data.thing12.value invalid rid: 61": "thing12",
		"argument invalid!":        "",
		"data. something else. ok": "",
		"":                         "",
	} {
		require.Equal(t, want, wechat.FieldOf(msg), msg)
	}
}
