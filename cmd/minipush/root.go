package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// cli is one invocation: where it reads and writes, and the flags that every command has.
type cli struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string

	configFile string
	output     string

	// running is set once the command line has been accepted: an error before that is wrong use.
	running bool
	// command is the command that runs; nil before.
	command *cobra.Command
}

func (c *cli) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "minipush",
		Short: "Push mini-program messages in bulk: to a list of users, now or later, nobody lost and nobody twice",
		Long: `minipush pushes mini-program messages in bulk: to a list of users, now or later, each message spending
one single-use permission that the user gave, nobody lost and nobody twice.

With no MINIPUSH_DATABASE_URL every command uses a private Postgres in the data directory, and starts it when needed.`,
		Example: `  minipush demo                                  see it work, with a simulated platform
  minipush serve                                 run the daemon
  minipush task send 98 --in 2m --wait           send task 98 in two minutes and watch it`,
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		RunE:              help,
	}
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SuggestionsMinimumDistance = 2
	root.PersistentFlags().StringVar(&c.configFile, "config", "", "settings `FILE` (YAML); MINIPUSH_* in the environment win over it")
	root.PersistentFlags().StringVar(&c.output, "output", "table", "`FORMAT` of the answer: table (for people) or json (for programs)")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if c.output != "table" && c.output != "json" {
			return fmt.Errorf("--output is %q; it must be table or json", c.output)
		}
		return nil
	}
	root.AddCommand(c.demoCommand(), c.serveCommand(), c.migrateCommand(), c.simCommand(), c.appCommand(), c.tokenCommand(), c.accountCommand(),
		c.userCommand(), c.productCommand(), c.templateCommand(), c.listCommand(), c.taskCommand(), c.scheduleCommand(), c.permitCommand(),
		c.suppressionCommand(), c.configCommand(),
		c.healthCommand(), c.doctorCommand())
	c.mark(root)
	return root
}

// mark notes for every command when its own code starts to run: whatever went wrong before is wrong use.
func (c *cli) mark(cmd *cobra.Command) {
	if runE := cmd.RunE; runE != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			c.running, c.command = true, cmd
			return runE(cmd, args)
		}
	}
	if check := cmd.Args; check != nil && cmd.HasParent() {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{fmt.Sprintf("%s %q; see: %s --help", plural(len(args), "argument does not fit", "arguments do not fit"), cmd.UseLine(), cmd.CommandPath())}
			}
			return nil
		}
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{readableFlagError(err) + "; see: " + cmd.CommandPath() + " --help"}
	})
	for _, sub := range cmd.Commands() {
		c.mark(sub)
	}
}

// readableFlagError says what kind of value a flag takes, in place of what the parser of that kind said.
func readableFlagError(err error) string {
	text := err.Error()
	head, _, found := strings.Cut(text, `" flag: `)
	if !found {
		return text
	}
	switch {
	case strings.Contains(text, "invalid duration"), strings.Contains(text, "missing unit"):
		return head + `" flag: it takes a length of time such as 90s, 2m or 1h30m`
	case strings.Contains(text, "ParseInt"), strings.Contains(text, "ParseUint"):
		return head + `" flag: it takes a whole number`
	case strings.Contains(text, "ParseBool"):
		return head + `" flag: it takes true or false`
	}
	return text
}

// group makes a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: help}
	cmd.AddCommand(subs...)
	return cmd
}

// help runs a command that needs a further word: without one it shows its help, with a wrong one it suggests.
func help(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	text := fmt.Sprintf("there is no command %q in %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	end := "."
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		end = fmt.Sprintf(`; did you mean "%s"?`, strings.Join(near, `" or "`))
	}
	text += end
	return usageError{text + fmt.Sprintf(" See %q.", cmd.CommandPath()+" --help")}
}

// version is what the build says of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return info.Main.Version + " " + s.Value[:min(12, len(s.Value))]
		}
	}
	return info.Main.Version
}
