package config

import (
	"errors"
	"fmt"
	"maps"
)

// Loaded is the settings with where each came from.
type Loaded struct {
	Config Config
	// Unknown holds the names of MINIPUSH_ variables that name no setting, for a warning. They may be typing mistakes.
	Unknown []string

	sources map[string]string // key path → "file:line" or variable; a default has none
}

// Load reads the settings: defaults, then file where it is not empty, then environ, which has the form of [os.Environ].
// The error joins every mistake found, one a line, each with the file and line or the variable it came from.
func Load(file string, environ []string) (*Loaded, error) {
	l := &Loaded{Config: Default(), sources: map[string]string{}}
	if file != "" {
		seen, err := l.Config.readFile(file)
		if err != nil {
			return nil, err
		}
		maps.Copy(l.sources, seen)
	}
	seen, unknown, err := l.Config.readEnviron(environ)
	if err != nil {
		return nil, err
	}
	maps.Copy(l.sources, seen)
	l.Unknown = unknown
	if err := l.nameSources(l.Config.problems()); err != nil {
		return nil, err
	}
	return l, nil
}

// nameSources joins problems to one error, each with where its value came from.
func (l *Loaded) nameSources(problems []*ValueError) error {
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
		if source := l.sources[p.Key]; source != "" {
			errs[i] = fmt.Errorf("%s: %w", source, p)
		}
	}
	return errors.Join(errs...)
}
