package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// readFile sets what the YAML file sets and returns, by key path, where: "minipush.yaml:12".
// The error joins every mistake of the file, each with its line.
func (c *Config) readFile(name string) (map[string]string, error) {
	text, err := os.ReadFile(name) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	r := fileReader{name: name, leaves: map[string]leaf{}, sections: map[string][]string{}, seen: map[string]string{}}
	for _, l := range c.leaves() {
		r.leaves[l.path] = l
		section, key := splitPath(l.path)
		r.sections[section] = append(r.sections[section], key)
	}
	documents := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	switch err := documents.Decode(&document); {
	case errors.Is(err, io.EOF):
		return r.seen, nil // empty, or nothing but comments
	case err != nil:
		return nil, fmt.Errorf("read settings %s: %w", name, err)
	}
	if err := documents.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read settings %s: holds more than one YAML document", name)
	}
	r.section("", document.Content[0])
	return r.seen, errors.Join(r.mistakes...)
}

// fileReader goes through the tree of a file. It does not leave strictness to the decoder, because every key must be
// traced to its line, for `config print` and for the mistakes that only Validate sees.
type fileReader struct {
	name     string
	leaves   map[string]leaf
	sections map[string][]string // keys by section; the top level is ""
	seen     map[string]string   // key path → file:line
	mistakes []error
}

func (r *fileReader) mistake(at *yaml.Node, path, format string, args ...any) {
	r.mistakes = append(r.mistakes, fmt.Errorf("%s:%d: %s: %s", r.name, at.Line, path, fmt.Sprintf(format, args...)))
}

func (r *fileReader) section(section string, node *yaml.Node) {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return // a section whose keys are all commented out
	}
	if node.Kind != yaml.MappingNode {
		r.mistake(node, cmp.Or(section, "settings"), "must be keys with values")
		return
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		path := strings.TrimPrefix(section+"."+key.Value, ".")
		if line, twice := lines[key.Value]; twice {
			r.mistake(key, path, "is set in line %d already", line)
			continue
		}
		lines[key.Value] = key.Line
		r.entry(section, path, key, value)
	}
}

func (r *fileReader) entry(section, path string, key, value *yaml.Node) {
	// A dot in the key itself, "send.workers: 4", is no path.
	if l, ok := r.leaves[path]; ok && !strings.Contains(key.Value, ".") {
		r.seen[path] = fmt.Sprintf("%s:%d", r.name, key.Line)
		r.set(l, value)
		return
	}
	if _, ok := r.sections[path]; ok && section == "" {
		r.section(path, value)
		return
	}
	known := slices.Clone(r.sections[section])
	if section == "" {
		known = slices.AppendSeq(known, maps.Keys(r.sections))
	}
	slices.Sort(known)
	r.mistake(key, path, "unknown key; known here: %s", strings.TrimPrefix(strings.Join(known, ", "), ", "))
}

func (r *fileReader) set(l leaf, value *yaml.Node) {
	if value.Kind != yaml.ScalarNode {
		r.mistake(value, l.path, "must be %s", l.want())
		return
	}
	if value.Tag == "!!null" {
		r.mistake(value, l.path, `has no value; take the line out, or write "" for an empty text`)
		return
	}
	if err := value.Decode(l.value.Addr().Interface()); err != nil {
		r.mistake(value, l.path, "%q is not %s", value.Value, l.want()) // never a secret: every scalar is a text
	}
}
