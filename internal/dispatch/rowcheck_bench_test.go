package dispatch_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/seal"
	"minipush/internal/store"
	"minipush/internal/store/storetest"
)

// BenchmarkUpload_Rows is the upload of a list whose columns no field uses, and of the same one with three fields checked on each row.
func BenchmarkUpload_Rows(b *testing.B) {
	const rows = 200_000
	var list strings.Builder
	list.WriteString("user_id,城市,金额,时间\n")
	for i := range rows {
		fmt.Fprintf(&list, "u%07d,上海市黄浦区人民广场店,￥%d.00,2026年12月1日 15:01\n", i, i)
	}
	for name, fields := range map[string][]push.Field{
		"unused": {{Key: "thing1", Value: "{{topic}}"}},
		"used":   {{Key: "thing1", Value: "{{recipient.城市}}"}, {Key: "amount2", Value: "{{recipient.金额}}"}, {Key: "time3", Value: "{{recipient.时间}}"}},
	} {
		b.Run(name, func(b *testing.B) {
			d, task := benchTask(b, fields)
			for b.Loop() {
				a, err := d.UploadAudience(b.Context(), "test", task, upload(list.String()))
				require.NoError(b, err)
				require.Equal(b, rows, a.Accepted)
			}
			b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// benchTask makes a dispatcher over a database of its own, and a draft on a subscribe template with the fields.
func benchTask(b *testing.B, fields []push.Field) (*dispatch.Dispatcher, int64) {
	b.Helper()
	key, err := seal.NewKey(seal.GenerateKey())
	require.NoError(b, err)
	d, err := dispatch.New(dispatch.Config{Location: time.UTC, Key: key}, store.New(storetest.Pool(b)), slog.New(slog.DiscardHandler))
	require.NoError(b, err)
	_, err = d.AddApp(b.Context(), dispatch.AppSpec{Key: appKey, AppID: appID, Secret: "s3cret"})
	require.NoError(b, err)
	_, err = d.PutTemplate(b.Context(), "operator", push.Template{App: appKey, TemplateID: subscribeID, Channel: push.ChannelSubscribe, Name: "活动提醒", Fields: fields})
	require.NoError(b, err)
	task, err := d.CreateTask(b.Context(), "test", push.TaskSpec{App: appKey, TemplateID: subscribeID, Topic: "步数换好礼"})
	require.NoError(b, err)
	return d, task.ID
}
