package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"minipush/internal/push"
)

func (c *cli) appPause() *cobra.Command {
	return c.appSwitch("pause", "Stop every call for an app, or for all, within a second", `  minipush app pause health_applet
  minipush app pause --all`,
		func(ctx context.Context, s *session, key string) (push.App, error) {
			return s.dispatch.PauseApp(ctx, s.actor, key)
		},
		func(ctx context.Context, s *session) ([]push.App, error) {
			return s.dispatch.PauseAllApps(ctx, s.actor)
		})
}

func (c *cli) appResume() *cobra.Command {
	return c.appSwitch("resume", "Let the calls of an app, or of all, go on", `  minipush app resume health_applet
  minipush app resume --all`,
		func(ctx context.Context, s *session, key string) (push.App, error) {
			return s.dispatch.ResumeApp(ctx, key)
		},
		func(ctx context.Context, s *session) ([]push.App, error) { return s.dispatch.ResumeAllApps(ctx) })
}

// appSwitch makes the command for one position of the kill switch.
func (c *cli) appSwitch(verb, short, example string, one func(context.Context, *session, string) (push.App, error),
	every func(context.Context, *session) ([]push.App, error),
) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: verb + " [KEY]", Short: short, Example: example, Args: cobra.MaximumNArgs(1),
	}
	run := c.session(func(ctx context.Context, s *session, args []string) error {
		if all {
			apps, err := s.noteAll(ctx, every)
			if err != nil {
				return err
			}
			return c.answer(map[string]any{"apps": apps}, func(w io.Writer) { switchTexts(w, apps) })
		}
		apps, err := s.noteAll(ctx, func(ctx context.Context, s *session) ([]push.App, error) {
			app, err := one(ctx, s, args[0])
			return []push.App{app}, err
		})
		if err != nil {
			return err
		}
		app := apps[0]
		return c.answer(app, func(w io.Writer) { switchTexts(w, []push.App{app}) })
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if all == (len(args) == 1) {
			return usageError{"give the KEY of an app, or --all; see: " + cmd.CommandPath() + " --help"}
		}
		return run(cmd, args)
	}
	cmd.Flags().BoolVar(&all, "all", false, "every app")
	return cmd
}

// noteAll turns the kill switch of apps, in one transaction with an entry in the audit log for each.
func (s *session) noteAll(ctx context.Context, turn func(context.Context, *session) ([]push.App, error)) (apps []push.App, err error) {
	err = s.store.InTx(ctx, func(ctx context.Context) error {
		if apps, err = turn(ctx, s); err != nil {
			return err
		}
		for _, app := range apps {
			if err := s.noteApp(ctx, app.Key, nil); err != nil {
				return err
			}
		}
		return nil
	})
	return apps, err
}

func switchTexts(w io.Writer, apps []push.App) {
	for _, app := range apps {
		if app.PausedAt == nil {
			fmt.Fprintf(w, "app %s is active\n", app.Key)
			continue
		}
		fmt.Fprintf(w, "app %s is %s: no call is made for it until: minipush app resume %[1]s\n", app.Key, switchText(app))
	}
	if len(apps) == 0 {
		fmt.Fprintln(w, "there is no app")
	}
}

// switchText is the position of the kill switch, and who turned it.
func switchText(app push.App) string {
	switch {
	case app.PausedAt == nil:
		return "active"
	case app.PausedBy == nil:
		return "paused"
	}
	return "paused by " + *app.PausedBy
}
