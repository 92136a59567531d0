package main

import (
	"os"
	"strings"
)

// cleanEnviron is the environment without settings of minipush, so that a shell's do not change what is measured.
func cleanEnviron() []string {
	var kept []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "MINIPUSH_") {
			kept = append(kept, v)
		}
	}
	return kept
}
