package console

import (
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed templates
var templateFiles embed.FS

// templates are the screens, by language and name. A screen is made when it is first shown: all of them would hold 30 MB in a daemon whose
// pages nobody looks at.
type templates struct {
	screens map[screen]func() (*template.Template, error)
	texts   map[string]catalogue
}

// screen is a page in a language.
type screen struct{ lang, name string }

// newTemplates reads layout and partials once a language; each screen comes over a copy of them.
func newTemplates(catalogues map[string]catalogue, files *assets, cfg Config) (*templates, error) {
	t := &templates{screens: map[screen]func() (*template.Template, error){}, texts: catalogues}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	for lang, texts := range catalogues {
		base := sync.OnceValues(func() (*template.Template, error) {
			return template.New("").Option("missingkey=error").Funcs(funcs(texts, files, cfg)).
				ParseFS(templateFiles, "templates/layout/*.html", "templates/partial/*.html")
		})
		for _, file := range names {
			t.screens[screen{lang, strings.TrimSuffix(path.Base(file), ".html")}] = sync.OnceValues(func() (*template.Template, error) {
				shared, err := base()
				if err != nil {
					return nil, err
				}
				set, err := shared.Clone()
				if err != nil {
					return nil, err
				}
				return set.ParseFS(templateFiles, file)
			})
		}
	}
	return t, nil
}

// of returns a screen. It may be called concurrently.
func (t *templates) of(lang, name string) (*template.Template, error) {
	made, ok := t.screens[screen{lang, name}]
	if !ok {
		return nil, fmt.Errorf("there is no screen %q", name)
	}
	return made()
}

// funcs are what templates may call, in one language.
func funcs(texts catalogue, files *assets, cfg Config) template.FuncMap {
	loc := cfg.Location
	return template.FuncMap{
		// t is a text of the catalogue with its arguments; tk one whose key is a fixed prefix and a value, such as a state.
		"t": texts.text,
		// tv is t with its arguments in a slice.
		"tv": func(key string, args []any) (string, error) { return texts.text(key, args...) },
		"tk": func(prefix string, value any) (string, error) {
			return texts.text(fmt.Sprintf("%s%v", prefix, pointedAt(value)))
		},
		// said is the one of two texts that is in the language: for texts that package push has in both.
		"said": func(b both) string {
			if texts["shell.lang"] == english {
				return b.EN
			}
			return b.ZH
		},
		"num":   num,
		"date":  func(t time.Time) string { return t.In(loc).Format(time.DateOnly) },
		"clock": func(t time.Time) string { return t.In(loc).Format("2006-01-02 15:04") },
		"short": func(t time.Time) string {
			if t = t.In(loc); t.Year() == cfg.Now().In(loc).Year() {
				return t.Format("01-02 15:04")
			}
			return t.Format("2006-01-02 15:04")
		},
		"exact": func(t time.Time) string { return t.In(loc).Format("2006-01-02 15:04:05") + " " + loc.String() },
		"iso":   func(t time.Time) string { return t.In(loc).Format(time.RFC3339) },
		"asset": files.url,
	}
}

// both is a text that is kept with what it is about, in both languages.
type both struct{ ZH, EN string }

// num writes a whole number, or the one that is pointed at, with separators of thousands.
func num(v any) (string, error) {
	text := fmt.Sprint(pointedAt(v))
	if _, err := strconv.ParseInt(text, 10, 64); err != nil {
		return "", fmt.Errorf("num: %q is no whole number", text)
	}
	sign := ""
	if text[0] == '-' {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text, nil
}
