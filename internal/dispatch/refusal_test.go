package dispatch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/push"
)

// A refused call changes nothing: every row of every table, the jobs included, is as it was.
func TestRefusals_ChangeNothing(t *testing.T) {
	t.Parallel()
	product := func(onShelf bool) push.Product {
		return push.Product{App: appKey, Code: "1989", Title: "健康助利测试商品1", Price: 25000, OnShelf: onShelf}
	}
	sendNow := func(b *bundle, id int64) error { _, err := b.d.Send(b.t.Context(), "test", id, nil); return err }
	create := func(change func(*push.TaskSpec)) func(*bundle, int64) error {
		return func(b *bundle, _ int64) error {
			s := spec()
			change(&s)
			_, err := b.d.CreateTask(b.t.Context(), "test", s)
			return err
		}
	}
	putTemplate := func(change func(*push.Template)) func(*bundle, int64) error {
		return func(b *bundle, _ int64) error {
			template := originalTemplate()
			change(&template)
			_, err := b.d.PutTemplate(b.t.Context(), "operator", template)
			return err
		}
	}
	users := func(b *bundle) int64 { return b.draft(b.users(2, 1)).ID }
	for _, c := range []struct {
		name    string
		prepare func(*bundle) int64
		call    func(*bundle, int64) error
		code    push.RefusalCode // of a refusal, or
		invalid string           // field and rule
	}{
		{"empty audience", func(b *bundle) int64 { return b.draft(nil).ID }, sendNow, push.RefusedEmptyAudience, ""},
		{"no permit", func(b *bundle) int64 { return b.draft(b.users(2, 0)).ID }, sendNow, push.RefusedNoPermit, ""},
		{"nobody known", func(b *bundle) int64 { return b.draft([]string{"ghost"}).ID }, sendNow, push.RefusedNoPermit, ""},
		{"only expired formIds", func(b *bundle) int64 {
			id := users(b)
			b.exec(`UPDATE form_id SET expires_at = now() - interval '1 s'`)
			return id
		}, sendNow, push.RefusedNoPermit, ""},
		{"only formIds that expire before it is time", users, func(b *bundle, id int64) error {
			_, err := b.d.Send(b.t.Context(), "test", id, in(8*24*time.Hour))
			return err
		}, push.RefusedNoPermit, ""},
		{"audience all, no permit", func(b *bundle) int64 {
			b.users(2, 0)
			s := spec()
			s.Audience = push.AudienceAll
			task, err := b.d.CreateTask(b.t.Context(), "test", s)
			require.NoError(b.t, err)
			return task.ID
		}, sendNow, push.RefusedNoPermit, ""},
		{"off the shelf at send", func(b *bundle) int64 {
			id := users(b)
			_, err := b.d.PutProduct(b.t.Context(), product(false))
			require.NoError(b.t, err)
			return id
		}, sendNow, push.RefusedProductOffShelf, ""},
		{"off the shelf at creation", func(b *bundle) int64 {
			_, err := b.d.PutProduct(b.t.Context(), product(false))
			require.NoError(b.t, err)
			return 0
		}, create(func(*push.TaskSpec) {}), push.RefusedProductOffShelf, ""},
		{"app paused", func(b *bundle) int64 {
			id := users(b)
			_, err := b.d.PauseApp(b.t.Context(), "test", appKey)
			require.NoError(b.t, err)
			return id
		}, sendNow, push.RefusedAppPaused, ""},
		{"a column that the list lacks", func(b *bundle) int64 {
			template := originalTemplate()
			template.Fields[0].Value = "{{recipient.姓名}}"
			_, err := b.d.PutTemplate(b.t.Context(), "operator", template)
			require.NoError(b.t, err)
			return users(b)
		}, sendNow, push.RefusedUnknownVariable, ""},
		{"a sent task", func(b *bundle) int64 { id := users(b); b.send(id); return id }, sendNow, push.RefusedAlreadySent, ""},
		{"after its not_after", func(b *bundle) int64 {
			id := users(b)
			b.exec(`UPDATE task SET not_after = now() - interval '1 s'`)
			return id
		}, sendNow, "", "at after_not_after"},
		{"over-long topic", users, create(func(s *push.TaskSpec) { s.Topic = "步数换好礼步数换好礼了" }), "", "topic too_long"},
		{"over-long topic, of a draft", users, func(b *bundle, id int64) error {
			_, err := b.d.ChangeTask(b.t.Context(), "test", id, func(s *push.TaskSpec) error { s.Topic = "步数换好礼步数换好礼了"; return nil })
			return err
		}, "", "topic too_long"},
		{"past not_after", users, create(func(s *push.TaskSpec) { s.NotAfter = in(-time.Second) }), "", "not_after bad_time"},
		{"past not_after, of a draft", users, func(b *bundle, id int64) error {
			_, err := b.d.ChangeTask(b.t.Context(), "test", id, func(s *push.TaskSpec) error { s.NotAfter = in(-time.Second); return nil })
			return err
		}, "", "not_after bad_time"},
		{"no topic", users, create(func(s *push.TaskSpec) { s.Topic = "" }), "", "topic required"},
		{"unknown product", users, create(func(s *push.TaskSpec) { s.ProductCode = "0" }), "", "product_code unknown_product"},
		{"unknown template", users, create(func(s *push.TaskSpec) { s.TemplateID = "T" }), "", "template_id unknown_template"},
		{"unknown variable", users, putTemplate(func(t *push.Template) { t.Fields[0].Value = "{{nickname}}" }), "", "fields[0].value unknown_variable"},
		{"unknown channel", users, putTemplate(func(t *push.Template) { t.Channel = "sms" }), "", "channel unknown_channel"},
		{"columns without a list", func(b *bundle) int64 {
			template := originalTemplate()
			template.Fields[0].Value = "{{recipient.姓名}}"
			_, err := b.d.PutTemplate(b.t.Context(), "operator", template)
			require.NoError(b.t, err)
			return 0
		}, create(func(s *push.TaskSpec) { s.Audience = push.AudienceAll }), "", "audience unknown_variable"},
		{"another app", users, func(b *bundle, id int64) error {
			_, err := b.d.ChangeTask(b.t.Context(), "test", id, func(s *push.TaskSpec) error { s.App = "other"; return nil })
			return err
		}, "", "app fixed"},
		{"empty file", users, func(b *bundle, id int64) error {
			_, err := b.d.UploadAudience(b.t.Context(), "test", id, upload(""))
			require.Error(b.t, err)
			return &push.InvalidError{Field: "file", Rule: "empty"}
		}, "", "file empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			id := c.prepare(b)
			before := b.dump()
			err := c.call(b, id)
			after := b.dump()
			if c.code != "" {
				refused(t, err, c.code)
			} else {
				var bad *push.InvalidError
				require.ErrorAs(t, err, &bad)
				require.Equal(t, c.invalid, bad.Field+" "+bad.Rule)
			}
			require.Equal(t, before, after)
		})
	}
}
