package chaos_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	_ "minipush/internal/config" // and with it all that the program is made of, so that Go does not take an earlier result for it
)

// Flags of the suite.
var (
	seedFlag  = flag.Uint64("seed", 0, "repeat the faults of this seed; 0 draws one")                                                                        //nolint:gochecknoglobals // a flag of the test binary
	longFlag  = flag.Bool("long", false, "the long form: 200 faults over 200,000 recipients, 40 over 200,000 of the subscribe channel, and 20 polite stops") //nolint:gochecknoglobals // a flag of the test binary
	shareFlag = flag.Int("share", 100, "percent of the long form's rounds to run")                                                                           //nolint:gochecknoglobals // a flag of the test binary
	reportTo  = flag.String("report", "", "write the long form's report to this file")                                                                       //nolint:gochecknoglobals // a flag of the test binary
)

// binary is the program under test, built once.
var binary string //nolint:gochecknoglobals // set once, by TestMain

// TestMain builds the program, and lets all worlds of the short form run at a time: they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen && !*longFlag {
		_ = flag.Set("test.parallel", "4") // a name and a value that the flag takes
	}
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "minipush-chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "minipush")
	build := exec.Command("go", "build", "-o", binary, "minipush/cmd/minipush") //nolint:noctx // go test ends it with its own time limit
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		return 1
	}
	return m.Run()
}
