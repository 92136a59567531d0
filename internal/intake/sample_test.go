package intake_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/intake"
)

func TestSample_SaysWhetherTheIDColumnIsPlain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		file   string
		opts   intake.Options
		sure   bool
		names  []string
		id     int
		rows   [][]string
		column string
	}{
		"one column":         {file: "1\n2\n", sure: true, id: 1, rows: [][]string{{"1"}, {"2"}}},
		"a known header":     {file: "name,user_id\nann,1\n", sure: true, names: []string{"name", "user_id"}, id: 2, rows: [][]string{{"ann", "1"}}},
		"nobody can tell":    {file: "ann,1\nbob,2\n", id: 1, rows: [][]string{{"ann", "1"}, {"bob", "2"}}},
		"an unknown header":  {file: "手机号,姓名\n138,ann\n", names: []string{"手机号", "姓名"}, id: 1, rows: [][]string{{"138", "ann"}}},
		"a person said":      {file: "ann,1\nbob,2\n", opts: intake.Options{IDColumn: "2"}, sure: true, id: 2, rows: [][]string{{"ann", "1"}, {"bob", "2"}}},
		"a person said all":  {file: "n,no\nann,1\n", opts: intake.Options{IDColumn: "2", Header: true}, sure: true, names: []string{"n", "no"}, id: 2, rows: [][]string{{"ann", "1"}}},
		"more rows than two": {file: "a,1\nb,2\nc,3\nd,4\n", id: 1, rows: [][]string{{"a", "1"}, {"b", "2"}, {"c", "3"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := intake.Open(strings.NewReader(tc.file), tc.opts)
			require.NoError(t, err)
			require.Equal(t, tc.sure, r.Sure())
			s := r.Sample(3)
			require.Equal(t, intake.Sample{Names: tc.names, Width: len(tc.rows[0]), ID: tc.id, Rows: tc.rows}, s)
			require.NoError(t, r.Close())
		})
	}
}
