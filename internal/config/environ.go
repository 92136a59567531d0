package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// readEnviron sets what the environment sets and returns, by key path, the variable that did, and the names of
// variables that begin like ours but name no setting.
func (c *Config) readEnviron(environ []string) (seen map[string]string, unknown []string, err error) {
	ours := map[string]string{}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, envPrefix) && value != "" {
			ours[name] = value
		}
	}
	seen = map[string]string{}
	var mistakes []error
	for _, l := range c.leaves() {
		value, source, err := lookUp(l, ours)
		if err == nil && source != "" {
			seen[l.path] = source
			err = c.setFromEnv(l, value)
		}
		if err != nil {
			mistakes = append(mistakes, err)
		}
		delete(ours, l.env)
		if l.secret() {
			delete(ours, l.env+"_FILE")
		}
	}
	for name := range ours {
		unknown = append(unknown, name)
	}
	slices.Sort(unknown)
	return seen, unknown, errors.Join(mistakes...)
}

// lookUp finds the value of a setting and the variable it came from; source is empty where none is set.
func lookUp(l leaf, environ map[string]string) (value, source string, err error) {
	value, direct := environ[l.env]
	file, byFile := environ[l.env+"_FILE"]
	switch {
	case !l.secret() || !byFile:
		if direct {
			return value, l.env, nil
		}
		return "", "", nil
	case direct:
		return "", "", fmt.Errorf("%s and %s_FILE are both set; set one", l.env, l.env)
	}
	text, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return "", "", fmt.Errorf("%s_FILE: %w", l.env, err)
	}
	// Editors and echo end a file with a newline that is no part of the secret.
	value = strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if value == "" {
		return "", "", fmt.Errorf("%s_FILE: %s is empty", l.env, file)
	}
	return value, l.env + "_FILE", nil
}

// setFromEnv gives the library one variable at a time: its errors name the Go field, and an operator needs the variable.
func (c *Config) setFromEnv(l leaf, value string) error {
	err := env.ParseWithOptions(c, env.Options{Prefix: envPrefix, Environment: map[string]string{l.env: value}})
	if err != nil {
		return fmt.Errorf("%s: %q is not %s", l.env, value, l.want()) // never a secret: every value is a text
	}
	return nil
}
