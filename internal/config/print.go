package config

import (
	"fmt"
	"io"
	"strings"
)

// Print writes the settings as YAML, each with where it came from: "default", the line of the file, or the variable.
// Secrets are redacted; all else can be read back.
func (l *Loaded) Print(w io.Writer) error {
	var b strings.Builder
	section := ""
	for _, leaf := range l.Config.leaves() {
		s, key := splitPath(leaf.path)
		if s != section && s != "" {
			fmt.Fprintf(&b, "%s:\n", s)
		}
		section = s
		source := l.sources[leaf.path]
		if source == "" {
			source = "default"
		}
		fmt.Fprintf(&b, "%s%s: %s # %s\n", indent(s), key, leaf.text(), source)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print settings: %w", err)
	}
	return nil
}

// splitPath cuts a key path into its section, which is empty at the top level, and its key.
func splitPath(path string) (section, key string) {
	if before, after, found := strings.Cut(path, "."); found {
		return before, after
	}
	return "", path
}

func indent(section string) string {
	if section == "" {
		return ""
	}
	return "  "
}
