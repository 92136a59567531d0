package export_test

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"minipush/internal/export"
	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/store/storetest"
)

// newResults makes a task whose list has n recipients and the columns city and state; the first was sent to.
func newResults(t *testing.T, n int) export.Results {
	t.Helper()
	pool := storetest.Pool(t)
	_, err := pool.Exec(t.Context(), `
		WITH a AS (INSERT INTO app (key, appid, base_url, secret_sealed) VALUES ('shop', 'wx', 'http://x', '') RETURNING id),
		tp AS (INSERT INTO template (app_id, template_id, channel, name, page, fields) SELECT id, 'T', 'form_id', 'T', '', '[]' FROM a RETURNING app_id)
		SELECT FROM tp`)
	require.NoError(t, err)
	var taskID, audienceID int64
	require.NoError(t, pool.QueryRow(t.Context(), `
		INSERT INTO task (app_id, template_id, audience, created_by) SELECT app_id, 'T', 'list', 'test' FROM template RETURNING id`).Scan(&taskID))
	require.NoError(t, pool.QueryRow(t.Context(), `
		INSERT INTO audience (task_id, state, columns, total, accepted, created_by) VALUES ($1, 'ready', '{city,state}', $2, $2, 'test')
		RETURNING id`, taskID, n).Scan(&audienceID))
	_, err = pool.Exec(t.Context(), `
		INSERT INTO recipient (audience_id, seq, user_id, vars)
		SELECT $1, i, '0' || i, jsonb_build_array('=cmd()', 'Zhejiang') FROM generate_series(0, $2::int - 1) i`, audienceID, n)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `UPDATE task SET audience_id = $2 WHERE id = $1`, taskID, audienceID)
	require.NoError(t, err)
	_, err = pool.Exec(t.Context(), `
		UPDATE recipient SET state = 2, openid = 'o1', msgid = 9007199254740993, delivery = 1, updated_at = '2026-12-01T02:00:00Z'
		 WHERE audience_id = $1 AND seq = 0`, audienceID)
	require.NoError(t, err)
	return export.Results{Store: store.New(pool), TaskID: taskID, Location: time.FixedZone("CST", 8*3600)}
}

func TestCSV_HasTheColumnsOfUploadLast_AndEveryPage(t *testing.T) {
	t.Parallel()
	results := newResults(t, 2500)
	var pages []int
	results.BeforePage = func(rows int) { pages = append(pages, rows) }
	var b bytes.Buffer
	n, err := results.CSV(t.Context(), &b)
	require.NoError(t, err)
	require.Equal(t, 2500, n)
	require.Equal(t, []int{0, 1000, 2000}, pages)
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(b.String(), "\ufeff"))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 2501)
	require.Equal(t, append(export.Columns(), "city", "state (upload)"), rows[0], "a column of ours is not hidden by one of the upload")
	require.Equal(t, []string{"00", "0", "o1", "sent", "false", "", "", "", "", "", "9007199254740993", "delivered", "2026-12-01T10:00:00+08:00", "'=cmd()", "Zhejiang"}, rows[1])
	require.Equal(t, "02499", rows[2500][0], "in the order of the list, leading zeros kept")
}

func TestResults_OfOneState_AndOfNoTask(t *testing.T) {
	t.Parallel()
	results := newResults(t, 3)
	state := push.Pending
	results.State = &state
	n, err := results.CSV(t.Context(), &bytes.Buffer{})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	results.TaskID = 404
	var b bytes.Buffer
	_, err = results.CSV(t.Context(), &b)
	require.ErrorIs(t, err, push.ErrNotFound)
	require.Empty(t, b.Bytes(), "nothing was written")
	_, err = results.XLSX(t.Context(), &b)
	require.ErrorIs(t, err, push.ErrNotFound)
}

func TestXLSX_EveryCellIsText(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	n, err := newResults(t, 3).XLSX(t.Context(), &b)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	book, err := excelize.OpenReader(&b)
	require.NoError(t, err)
	defer book.Close()
	sheet := book.GetSheetName(0)
	rows, err := book.GetRows(sheet)
	require.NoError(t, err)
	require.Len(t, rows, 4)
	require.Equal(t, "9007199254740993", rows[1][10], "an id of 16 digits is not rounded")
	formula, err := book.GetCellFormula(sheet, "N2")
	require.NoError(t, err)
	require.Empty(t, formula)
	require.Equal(t, "=cmd()", rows[1][13])
}

func TestMask_LeavesEnoughToTellTwoApart(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{"": "", "short": "*****", "12345678": "********", "oABCDEFGHIJKLMNOPQRSTUV7": "oABC****TUV7"} {
		require.Equal(t, want, export.Mask(id))
	}
}
