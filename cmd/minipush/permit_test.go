package main_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
	"minipush/internal/sim"
)

const subscribeYAML = `template_id: S1
channel: subscribe
name: 提醒
page: pages/a
fields:
  - {key: thing1, label: 主题, value: "{{topic}}"}
`

// subscribeStage is a stage with a subscribe template and three users, of whom the last has no openid.
func subscribeStage(t *testing.T) *stage {
	t.Helper()
	s := newStage(t, sim.Faults{})
	s.feed(t, subscribeYAML, "template", "set", "-", "--app", "shop")
	s.feed(t, "user_id,openid\n1,o1\n2,o2\n3,\n", "user", "import", "-", "--app", "shop")
	return s
}

// stock is what permit stats says of the one subscribe template.
func (s *stage) stock(t *testing.T) push.TemplateStock {
	t.Helper()
	var stock push.Stock
	require.NoError(t, json.Unmarshal([]byte(s.run(t, "permit", "stats", "shop", "--output", "json")), &stock))
	require.Len(t, stock.Subscriptions, 1)
	return stock.Subscriptions[0]
}

func TestPermitImport_Subscriptions(t *testing.T) {
	t.Parallel()
	s := subscribeStage(t)
	load := func(file string) string {
		return s.feed(t, file, "permit", "import", "-", "--app", "shop", "--channel", "subscribe")
	}
	const file = "user_id,template_id,result,count\n1,S1,accept,\n1,S1,accept,\n2,S1,,3\n2,S1,reject,\n"
	require.Equal(t, "subscriptions: 6 accepted, 0 duplicate, 0 rejected\n", load(file))
	want := push.TemplateStock{TemplateID: "S1", Name: "提醒", Available: 5, Users: 2}
	require.Equal(t, want, s.stock(t), "two lines that are alike count as two, a rejection as none")
	require.Equal(t, "subscriptions: 1 accepted, 6 duplicate, 0 rejected\n", load(file+"1,S1,acceptWithAudio,\n"), "only what was added to the file")
	want.Available = 6
	require.Equal(t, want, s.stock(t))

	const named = "user_id,template_id,count,id\n1,S1,2,a\n"
	require.Contains(t, load(named), "2 accepted, 0 duplicate")
	require.Contains(t, load(named+"2,S1,1,b\n"), "1 accepted, 2 duplicate")

	out := load("user_id,template_id,result,count\n3,S1,,2\n1,S2,accept,\n1,S1,,\n1,S1,,0\n1,S1,,many\n1,S1,accept,1\n")
	require.Contains(t, out, "subscriptions: 1 accepted, 0 duplicate, 5 rejected\n")
	for _, line := range []string{"line 2: ", "has no openid: report the user first (no_openid)", "line 3: ", "(unknown_template)", "line 4: ", "result and count are empty", "line 5: ", "from 1 to 1000", "line 6: "} {
		require.Contains(t, out, line)
	}
	require.Regexp(t, `TEMPLATE +模板 +AVAILABLE +RESERVED +SUSPECT +USED +LONG-TERM +USERS\nS1 +提醒 +10 +0 +0 +0 +0 +2\n`, s.run(t, "permit", "stats", "shop"))

	s.run(t, "app", "set", "--key", "shop", "--permit-source", "events")
	code, _, stderr := s.try(t, named, "permit", "import", "-", "--app", "shop", "--channel", "subscribe")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "source_disabled")
	code, _, _ = s.try(t, named, "permit", "import", "-", "--app", "shop", "--channel", "sms")
	require.Equal(t, 2, code)
}

func TestPermitRetry_SaysWhatIsAvailableAgain(t *testing.T) {
	t.Parallel()
	s := subscribeStage(t)
	s.feed(t, "user_id,template_id,count\n1,S1,2\n", "permit", "import", "-", "--app", "shop", "--channel", "subscribe")
	require.Equal(t, "app shop: 0 units are available again, of 0 people\n", s.run(t, "permit", "retry", "--app", "shop", "--older-than", "0s"))
	code, _, stderr := s.try(t, "", "permit", "retry", "--app", "shop", "--template", "S2")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "S2")
	code, _, stderr = s.try(t, "", "permit", "retry", "--app", "shop", "--older-than", "-1h")
	require.Equal(t, 1, code)
	require.True(t, strings.HasPrefix(stderr, "minipush: --older-than"), stderr)
}
