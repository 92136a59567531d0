package console

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template/parse"
	"unicode"

	"github.com/stretchr/testify/require"
)

// uses are the keys that templates and code name, and the prefixes that they make keys of.
type uses struct {
	keys, prefixes map[string]bool
	words          []string // texts that stand in a template, in place of in the catalogue
}

// isWord finds what is a word of a language, and not punctuation.
var isWord = regexp.MustCompile(`\p{L}{2,}`)

// usesOf reads all templates and all code of the package.
func usesOf(t *testing.T, screens []string) *uses {
	t.Helper()
	u := &uses{keys: map[string]bool{}, prefixes: map[string]bool{}}
	require.NoError(t, fs.WalkDir(templateFiles, ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := templateFiles.ReadFile(file)
		if err != nil {
			return err
		}
		trees := map[string]*parse.Tree{}
		tree := parse.New(file)
		tree.Mode = parse.SkipFuncCheck
		if _, err := tree.Parse(string(data), "", "", trees); err != nil {
			return err
		}
		for _, tree := range trees {
			u.node(file, tree.Root)
		}
		return nil
	}))
	key := regexp.MustCompile(`^(` + strings.Join(screens, "|") + `)\.[A-Za-z0-9_-]*$`)
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "families.go" {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		actions := map[ast.Node]bool{} // names of the audit log look like keys
		ast.Inspect(f, func(n ast.Node) bool {
			if row, ok := n.(*ast.CallExpr); ok && len(row.Args) == 4 {
				if fn, ok := row.Fun.(*ast.SelectorExpr); ok && fn.Sel.Name == "change" {
					actions[row.Args[2]] = true
				}
			}
			if pair, ok := n.(*ast.KeyValueExpr); ok {
				if name, ok := pair.Key.(*ast.Ident); ok && name.Name == "Action" {
					actions[pair.Value] = true
				}
			}
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING || actions[lit] {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			require.NoError(t, err)
			u.literal(file, text, key.MatchString(text))
			return true
		})
	}
	return u
}

// literal notes a text of the code: a key, the prefix of keys, or words of a person, which must not stand there.
func (u *uses) literal(file, text string, isKey bool) {
	switch {
	case isKey && families()[text] != nil:
		u.prefixes[text] = true
	case isKey:
		u.keys[text] = true
	case strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) }):
		u.words = append(u.words, file+": "+text)
	}
}

// node notes what a part of a template names, and what it says itself.
func (u *uses) node(file string, n parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		text := ""
		for _, child := range n.Nodes {
			if plain, ok := child.(*parse.TextNode); ok {
				text += string(plain.Text)
			} else {
				text += "\x00"
			}
			u.node(file, child)
		}
		u.say(file, text)
	case *parse.IfNode:
		u.pipe(n.Pipe)
		u.node(file, n.List)
		u.node(file, n.ElseList)
	case *parse.RangeNode:
		u.pipe(n.Pipe)
		u.node(file, n.List)
		u.node(file, n.ElseList)
	case *parse.WithNode:
		u.pipe(n.Pipe)
		u.node(file, n.List)
		u.node(file, n.ElseList)
	case *parse.ActionNode:
		u.pipe(n.Pipe)
	case *parse.TemplateNode:
		u.pipe(n.Pipe)
		if n.Pipe != nil { // the partial empty is given a key
			for _, cmd := range n.Pipe.Cmds {
				for _, arg := range cmd.Args {
					if s, ok := arg.(*parse.StringNode); ok && strings.Contains(s.Text, ".") {
						u.keys[s.Text] = true
					}
				}
			}
		}
	}
}

// pipe notes the keys of the calls of t and tk.
func (u *uses) pipe(p *parse.PipeNode) {
	if p == nil {
		return
	}
	for _, cmd := range p.Cmds {
		for i, arg := range cmd.Args {
			if inner, ok := arg.(*parse.PipeNode); ok {
				u.pipe(inner)
			}
			name, ok := arg.(*parse.IdentifierNode)
			if !ok || i+1 >= len(cmd.Args) {
				continue
			}
			key, ok := cmd.Args[i+1].(*parse.StringNode)
			switch {
			case ok && name.Ident == "t":
				u.keys[key.Text] = true
			case ok && name.Ident == "tk":
				u.prefixes[key.Text] = true
			}
		}
	}
}

// allowed are words that are names, and the same in every language.
var allowed = []string{"minipush"} //nolint:gochecknoglobals // a table

// attributes are those that people read.
var attributes = regexp.MustCompile(`(?:title|alt|placeholder|aria-label)="([^"\x00]*)"`)

// tags are what a browser does not show: tags, with their attributes, also those that an action breaks into parts.
var tags = regexp.MustCompile(`(?s)<[^<>]*>|<[^<>]*$|^[^<>]*>`)

// say notes words that stand in a template itself.
func (u *uses) say(file, text string) {
	for _, m := range attributes.FindAllStringSubmatch(text, -1) {
		if isWord.MatchString(m[1]) {
			u.words = append(u.words, file+": "+m[1])
		}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
		u.words = append(u.words, file+": "+text)
		return
	}
	if !strings.ContainsAny(text, "<>") { // a part of a tag
		return
	}
	for _, line := range strings.FieldsFunc(tags.ReplaceAllString(text, "\n"), func(r rune) bool { return r == '\n' || r == '\x00' }) {
		line = strings.TrimSpace(line)
		if isWord.MatchString(line) && !slices.Contains(allowed, line) {
			u.words = append(u.words, file+": "+line)
		}
	}
}

// screensOf are the files of a catalogue: what the keys begin with.
func screensOf(t *testing.T, lang string) (names []string) {
	t.Helper()
	entries, err := catalogFiles.ReadDir("catalog/" + lang)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	return names
}

func TestCatalogue_EveryTextIsThereInEveryLanguage_AndNoneIsOver(t *testing.T) {
	t.Parallel()
	catalogues, err := readCatalogues()
	require.NoError(t, err)
	require.Equal(t, screensOf(t, chinese), screensOf(t, english))
	u := usesOf(t, screensOf(t, chinese))
	wanted := map[string]bool{"shell.lang": true}
	for key := range u.keys {
		wanted[key] = true
	}
	for prefix, values := range families() {
		require.True(t, u.prefixes[prefix], "nothing makes keys of %q: take it out of families", prefix)
		for _, v := range values {
			wanted[prefix+v] = true
		}
	}
	for prefix := range u.prefixes {
		require.NotEmpty(t, families()[prefix], "keys are made of %q: add it to families with all its values", prefix)
	}
	screens, err := fs.Glob(templateFiles, "templates/*.html")
	require.NoError(t, err)
	for _, file := range screens {
		wanted[strings.TrimSuffix(filepath.Base(file), ".html")+".title"] = true
	}
	for _, lang := range languages() {
		var missing, over []string
		for key := range wanted {
			if _, ok := catalogues[lang][key]; !ok {
				missing = append(missing, key)
			}
		}
		for key, text := range catalogues[lang] {
			if !wanted[key] {
				over = append(over, key)
			}
			require.NotEmpty(t, strings.TrimSpace(text), "%s: %s", lang, key)
		}
		slices.Sort(missing)
		slices.Sort(over)
		require.Empty(t, missing, "%s lacks these", lang)
		require.Empty(t, over, "%s has these, which nothing uses", lang)
	}
}

func TestCatalogue_TheArgumentsAreTheSameInEveryLanguage(t *testing.T) {
	t.Parallel()
	catalogues, err := readCatalogues()
	require.NoError(t, err)
	verb := regexp.MustCompile(`%(\[\d+\])?[a-z]`)
	for key, text := range catalogues[chinese] {
		want := verb.FindAllString(text, -1)
		got := verb.FindAllString(catalogues[english][key], -1)
		slices.Sort(want)
		slices.Sort(got)
		require.Equal(t, want, got, key)
	}
}

func TestCatalogue_NoTextStandsInATemplateOrInTheCode(t *testing.T) {
	t.Parallel()
	require.Empty(t, usesOf(t, screensOf(t, chinese)).words)
}

// The rules of every field that can be wrong have a text: they are read from the sources that make them.
func TestCatalogue_EveryRuleHasAText(t *testing.T) {
	t.Parallel()
	rule := regexp.MustCompile(`Rule(?:: +| += )"([a-z_0-9]+)"`)
	found := map[string]bool{}
	for _, dir := range []string{"../../push", "../../dispatch", "../../store", "../../cronspec", "../../provider", "../../wechat", "../auth", "."} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, m := range rule.FindAllStringSubmatch(string(data), -1) {
				found[m[1]] = true
			}
		}
	}
	for name := range found {
		require.Contains(t, rules(), name, "add it to rules, and to the catalogues")
	}
	require.Len(t, rules(), len(found), "a rule that is no longer made")
}

// The words of the original are kept as they were.
func TestCatalogue_KeepsTheOriginalsWords(t *testing.T) {
	t.Parallel()
	catalogues, err := readCatalogues()
	require.NoError(t, err)
	for key, text := range map[string]string{
		"tasks.title": "小程序推送任务配置", "tasks.id": "序号", "tasks.created_at": "任务创建时间", "tasks.template_id": "模板ID", "tasks.template_name": "模板名称",
		"tasks.product_code": "关联商品编码", "tasks.product_title": "关联商品标题", "tasks.product_on_shelf": "关联商品前台状态", "tasks.total": "推送用户量",
		"tasks.audience": "任务类型", "tasks.actions": "操作", "tasks.view": "查看", "tasks.send": "发送", "tasks.sent": "发送完成", "state.shelf_true": "上架",
		"state.shelf_false": "下架", "state.audience_list": "指定用户发送", "task.topic": "活动主题", "task.caption": "活动说明", "task.tips": "温馨提示",
		"task.product_code": "模板关联前台商品编码", "task.product_title": "商品标题", "task.product_price": "商品金额", "task.product_on_shelf": "商品前台状态",
		"make.new": "新建任务", "edit.title": "新增任务(可以配置需要推送的任何商品)", "edit.topic_hint": "限10个字,小程序模板消息的活动主题",
		"edit.caption_hint": "限30个字,小程序模板消息的活动说明", "edit.tips_hint": "限30个字,小程序模板消息的温馨提示", "edit.renew": "更新",
		"edit.product_hint": "限1个上架商品编码,小程序模板商品标题及金额", "state.audience_all": "全部可推送用户发送",
		"task.summary": "总发送数量=%d,发送成功数量=%d,发送失败数量=%d", "login.throttled": "操作过于频繁,请稍后再试!", "task.no_audience": "还没有上传用户ID",
	} {
		require.Equal(t, text, catalogues[chinese][key], key)
	}
}

func TestLocalPath_LeadsNowhereElse(t *testing.T) {
	t.Parallel()
	for next, want := range map[string]string{
		"/console/tasks?q=1&state=done": "/console/tasks?q=1&state=done", "/console/tasks/98": "/console/tasks/98", "": home, "https://evil.example/console/": home,
		"//evil.example/console/": home, "/\\evil.example/console/": home, "/console//evil.example": home, "/console/../ops": home, "javascript:alert(1)": home,
		"/ops/jobs/": home, "/console/login?next=/console/login": home, "/console/tasks\r\nX: y": home, "/console/%2e%2e/x": home,
	} {
		require.Equal(t, want, localPath(next), next)
	}
}

func TestNum_SeparatesThousands(t *testing.T) {
	t.Parallel()
	for v, want := range map[int]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 12345: "12,345", 1234567: "1,234,567", -1234: "-1,234", -123: "-123"} {
		got, err := num(v)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	many := int64(12345)
	got, err := num(&many)
	require.NoError(t, err)
	require.Equal(t, "12,345", got, "what may be there or not")
	for _, none := range []any{"x", (*int64)(nil), nil} {
		_, err = num(none)
		require.Error(t, err, none)
	}
}
