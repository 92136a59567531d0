package main_test

import (
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"minipush/internal/config"
	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/seal"
	"minipush/internal/store"
	"minipush/internal/store/storetest"
	"minipush/internal/web"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

// between is the text of a document between two marks.
func between(t *testing.T, text, from, to string) string {
	t.Helper()
	_, after, found := strings.Cut(text, from)
	require.True(t, found, "the mark %q is missing", from)
	inside, _, found := strings.Cut(after, to)
	require.True(t, found, "the mark %q is missing", to)
	return strings.TrimSpace(inside)
}

func TestREADME_SettingsTable_IsTheCodes(t *testing.T) {
	t.Parallel()
	require.Equal(t, strings.TrimSpace(config.MarkdownTable()), between(t, read(t, "../../README.md"), "<!-- settings -->", "<!-- /settings -->"))
}

// originalTables are the columns of the three tables that minipush replaces.
func originalTables() map[string]string {
	return map[string]string{
		"t_push_task": `id template_id task_name task_topic task_caption task_tips task_type status goods_id goods_name
			goods_online_status price is_upload file_name create_time update_time`,
		"t_push_task_user":           `id task_id user_id form_id status create_time update_time note`,
		"t_push_user_from_id_record": `id user_id form_id source status create_time update_time`,
	}
}

func TestOriginal_EveryColumnHasAHome(t *testing.T) {
	t.Parallel()
	doc := read(t, "../../docs/original.md")
	for name, columns := range originalTables() {
		section := between(t, doc, "## `"+name+"`", "\n## ")
		for column := range strings.FieldsSeq(columns) {
			home := regexp.MustCompile("(?m)^\\| `" + column + "` \\|[^|]*\\| *([^|]+)\\|").FindStringSubmatch(section)
			require.NotNil(t, home, "%s.%s has no row", name, column)
			require.NotEmpty(t, strings.TrimSpace(home[1]), "%s.%s has no home", name, column)
		}
	}
}

func TestOriginal_EveryLabelAndMessageHasAHome(t *testing.T) {
	t.Parallel()
	doc := read(t, "../../docs/original.md")
	for _, text := range []string{
		"序号", "任务创建时间", "模板ID", "模板名称", "关联商品编码", "关联商品标题", "关联商品前台状态", "推送用户量", "任务类型", "操作", "查看", "发送完成",
		"新建任务", "新增任务", "指定用户发送", "活动主题", "限10个字,小程序模板消息的活动主题", "活动说明", "限30个字,小程序模板消息的活动说明",
		"温馨提示", "限30个字,小程序模板消息的温馨提示", "模板关联前台商品编码", "限1个上架商品编码,小程序模板商品标题及金额", "更新",
		"商品标题", "商品金额", "商品前台状态", "上架", "下架", "发送",
		"操作过于频繁,请稍后再试!", "此任务已发送id=", "还没有上传用户ID", "没有formid", "用户不存在或者openid不存在", "发送失败",
		"总发送数量=", "发送成功数量=", "发送失败数量=", "小程序推送子list范围", "小程序推送线程中断", "APPPUSH", "add redis lock key",
		"#EE0000", "海贝", "pages/goods/detail/detail", "?backToHome=1&&goodsId=", "health_applet",
	} {
		require.Contains(t, doc, text)
	}
	for _, s := range push.FormSources() {
		require.Contains(t, doc, s.LabelZH)
	}
}

func TestREADME_APITable_IsTheRouteTable(t *testing.T) {
	t.Parallel()
	pool := storetest.Pool(t)
	log := slog.New(slog.DiscardHandler)
	key, err := seal.NewKey(testKey)
	require.NoError(t, err)
	d, err := dispatch.New(dispatch.Config{Location: time.UTC, Key: key}, store.New(pool), log)
	require.NoError(t, err)
	server, err := web.New(web.Config{Addr: "127.0.0.1:0"}, d, store.New(pool), log)
	require.NoError(t, err)
	defer server.Close()
	served := map[string]string{}
	for _, r := range server.Routes() {
		if !strings.HasPrefix(r.Pattern, "/ops/jobs") && !strings.HasPrefix(r.Pattern, "/console/") && r.Pattern != "/{$}" { // pages for people
			served[r.Method+" "+r.Pattern] = r.Role.String()
		}
	}
	written := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z]+ [^`]+)` \\| (\\w+) \\|").FindAllStringSubmatch(
		between(t, read(t, "../../README.md"), "<!-- api -->", "<!-- /api -->"), -1) {
		written[row[1]] = row[2]
	}
	require.Equal(t, served, written)
}
