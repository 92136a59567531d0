package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"minipush/internal/config"
)

func (c *cli) configCommand() *cobra.Command {
	return group("config", "Check and show the settings", c.configCheck(), c.configPrint())
}

// containerVar is set by the image. It names no setting: it says that there is no machine around on which a private Postgres
// would survive.
const containerVar = "MINIPUSH_CONTAINER"

// load reads the settings and warns of variables that name none.
func (c *cli) load() (*config.Loaded, error) {
	loaded, err := config.Load(c.configFile, c.environ)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	loaded.Unknown = slices.DeleteFunc(loaded.Unknown, func(name string) bool { return name == containerVar })
	return loaded, nil
}

func (c *cli) warnUnknown(loaded *config.Loaded) {
	if len(loaded.Unknown) > 0 {
		fmt.Fprintf(c.stderr, "minipush: warning: these variables name no setting: %s\n", strings.Join(loaded.Unknown, ", "))
	}
}

// env is the value of a variable of the environment that this invocation was given.
func (c *cli) env(name string) string {
	for _, pair := range slices.Backward(c.environ) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

func (c *cli) configCheck() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "Check the settings, and say all that is wrong with them", Args: cobra.NoArgs,
		Example: `  minipush config check --config config/minipush.example.yaml`,
		RunE: func(*cobra.Command, []string) error {
			loaded, err := c.load()
			if err != nil {
				return err
			}
			c.warnUnknown(loaded)
			c.say("the settings are valid")
			return nil
		},
	}
}

func (c *cli) configPrint() *cobra.Command {
	return &cobra.Command{
		Use: "print", Short: "Show the settings in force and where each comes from; secrets are redacted", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			loaded, err := c.load()
			if err != nil {
				return err
			}
			c.warnUnknown(loaded)
			return loaded.Print(c.stdout)
		},
	}
}
