package config

import (
	"fmt"
	"reflect"
	"strings"
)

// MarkdownTable is the settings table of the README. A test holds the README to it.
func MarkdownTable() string {
	var b strings.Builder
	b.WriteString("| key | environment | default | meaning |\n|---|---|---|---|\n")
	for _, k := range Keys() {
		meaning := k.Doc
		if k.Limits != "" {
			meaning += " (" + k.Limits + ")"
		}
		env := "`" + k.Env + "`"
		if k.Secret {
			env += " or `…_FILE`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", k.Path, env, k.Default, strings.ReplaceAll(meaning, "|", `\|`))
	}
	return b.String()
}

const exampleHead = `# Settings of minipush: every key with its meaning, limits, variable and default. All are optional.
# Order: this file (--config FILE), then the environment, which wins. An unknown key stops the start.
# Durations: 90s, 10m, 720h. Sizes: 4096 (bytes), 100MB, 1GiB.
# Keep secrets out of this file: set the variable, or name a file that holds the secret with the variable + _FILE.
`

// Example is config/minipush.example.yaml. A test holds the file to it.
func Example() string {
	sections := map[string]string{}
	for field := range reflect.TypeFor[Config]().Fields() {
		sections[field.Tag.Get("yaml")] = field.Tag.Get("doc")
	}
	var b strings.Builder
	b.WriteString(exampleHead)
	section := ""
	for _, k := range Keys() {
		s, key := splitPath(k.Path)
		switch {
		case s == section && s != "":
		case s != "":
			b.WriteString("\n" + comment("", sections[s]) + s + ":\n")
		default:
			b.WriteString("\n")
		}
		section = s
		b.WriteString(comment(indent(s), k.Doc))
		facts := k.Env
		if k.Secret {
			facts += " or " + k.Env + "_FILE"
		}
		if k.Limits != "" {
			facts = "Allowed: " + k.Limits + ". " + facts
		}
		b.WriteString(comment(indent(s), facts))
		fmt.Fprintf(&b, "%s%s: %s\n", indent(s), key, k.Default)
	}
	return b.String()
}

// comment wraps text to comment lines of at most 110 characters.
func comment(indent, text string) string {
	var b strings.Builder
	line := indent + "#"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 110 {
			b.WriteString(line + "\n")
			line = indent + "#"
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}
