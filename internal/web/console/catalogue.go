package console

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"
)

// The languages; the first is the default.
const (
	chinese = "zh-CN"
	english = "en"
)

func languages() []string { return []string{chinese, english} }

//go:embed catalog
var catalogFiles embed.FS

// catalogue is every text in one language, by its key.
type catalogue map[string]string

// text is the text of a key with its arguments. A key that is not there is an error: a page is never shown with a hole.
func (c catalogue) text(key string, args ...any) (string, error) {
	text, ok := c[key]
	if !ok {
		return "", fmt.Errorf("the catalogue has no %q", key)
	}
	if len(args) > 0 {
		values := slices.Clone(args)
		for i, arg := range args {
			values[i] = pointedAt(arg)
		}
		text = fmt.Sprintf(text, values...)
	}
	return text, nil
}

// pointedAt is a value as a page shows it: of a pointer, which what may be there or not is kept as, what it points at. Of nil there is nothing
// else to show.
func pointedAt(value any) any {
	if v := reflect.ValueOf(value); v.Kind() == reflect.Pointer && !v.IsNil() {
		return v.Elem().Interface()
	}
	return value
}

// readCatalogues reads the files of each language: catalog/LANGUAGE/SCREEN.json, each an object of keys "SCREEN.…" and texts.
func readCatalogues() (map[string]catalogue, error) {
	all := map[string]catalogue{}
	for _, lang := range languages() {
		c := catalogue{}
		files, err := fs.Glob(catalogFiles, path.Join("catalog", lang, "*.json"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if err := c.read(file); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
		all[lang] = c
	}
	return all, nil
}

func (c catalogue) read(file string) error {
	data, err := catalogFiles.ReadFile(file)
	if err != nil {
		return err
	}
	var texts map[string]string
	if err := json.Unmarshal(data, &texts); err != nil {
		return err
	}
	prefix := strings.TrimSuffix(path.Base(file), ".json") + "."
	for key, text := range texts {
		if !strings.HasPrefix(key, prefix) {
			return fmt.Errorf("the key %q does not begin with %q", key, prefix)
		}
		c[key] = text
	}
	return nil
}
