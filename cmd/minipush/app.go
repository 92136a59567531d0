package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

func (c *cli) appCommand() *cobra.Command {
	return group("app", "Register mini-programs; pause and resume one (the kill switch)",
		c.appAdd(), c.appSet(), c.appCallback(), c.appList(), c.appPause(), c.appResume())
}

// appFlags binds what add and set have in common. The secret is read from a file, or from standard input for "-":
// never from the command line, which other users of the machine can see.
func (c *cli) appFlags(cmd *cobra.Command, spec *dispatch.AppSpec, secretFile *string) {
	cmd.Flags().StringVar(&spec.Key, "key", "", "short `KEY` by which minipush knows the app, for example health_applet")
	cmd.Flags().StringVar(&spec.AppID, "appid", "", "the platform's `ID` of the app, for example wx0123456789abcdef")
	cmd.Flags().StringVar(secretFile, "secret-file", "", "`FILE` that holds the app secret; - is standard input")
	cmd.Flags().StringVar(&spec.BaseURL, "base-url", "", "`URL` of the platform's API; WeChat's own where none is given")
}

func (c *cli) appAdd() *cobra.Command {
	var spec dispatch.AppSpec
	var secretFile string
	cmd := &cobra.Command{
		Use: "add", Short: "Register an app", Args: cobra.NoArgs,
		Example: `  minipush app add --key health_applet --appid wx0123456789abcdef --secret-file secret.txt
  minipush app add --key trial --appid wxsim --secret-file secret.txt --base-url http://127.0.0.1:8090`,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			secret, err := c.readSecret(secretFile)
			if err != nil {
				return err
			}
			spec.Secret = secret
			if err := requireKey(ctx, s); err != nil {
				return err
			}
			app, err := change(ctx, s, func(ctx context.Context, e *store.AuditEntry) (push.App, error) {
				app, err := s.dispatch.AddApp(ctx, spec)
				e.AboutApp(app)
				e.Detail = store.Changed(nil, map[string]any{"appid": app.AppID, "base_url": app.BaseURL})
				return app, err
			})
			if err != nil {
				return err
			}
			return c.answer(app, func(w io.Writer) { fmt.Fprintf(w, "app %s added (appid %s, %s)\n", app.Key, app.AppID, app.BaseURL) })
		}),
	}
	c.appFlags(cmd, &spec, &secretFile)
	mustHave(cmd, "key", "appid", "secret-file")
	return cmd
}

func (c *cli) appSet() *cobra.Command {
	var spec dispatch.AppSpec
	var secretFile string
	var settings *appSettings
	cmd := &cobra.Command{
		Use: "set", Short: "Change an app: its appid, its secret, where its platform is, its limits and courtesies", Args: cobra.NoArgs,
		Long: "Changes what is given and keeps the rest; with another appid, or another host in the base URL, the secret has to be given again. Limits and quiet hours hold over all daemons within two seconds.",
		Example: `  minipush app set --key health_applet --secret-file new-secret.txt
  minipush app set --key health_applet --rate 1000 --ramp 50:10m --quiet 22:00-08:00 --daily-cap 3`,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			if secretFile != "" {
				secret, err := c.readSecret(secretFile)
				if err != nil {
					return err
				}
				spec.Secret = secret
			}
			app, err := setApp(ctx, s, spec, settings)
			if err != nil {
				return err
			}
			return c.answer(app, func(w io.Writer) {
				fmt.Fprintf(w, "app %s set (appid %s, %s)\nlimits: %s\n", app.Key, app.AppID, app.BaseURL, limits(app.AppSettings))
			})
		}),
	}
	c.appFlags(cmd, &spec, &secretFile)
	settings = bindAppSettings(cmd)
	mustHave(cmd, "key")
	return cmd
}

// setApp changes what the platform is told and, where a flag says so, the limits; all of it or nothing.
func setApp(ctx context.Context, s *session, spec dispatch.AppSpec, settings *appSettings) (app push.App, err error) {
	app, err = change(ctx, s, func(ctx context.Context, e *store.AuditEntry) (push.App, error) {
		before, err := s.store.App(ctx, spec.Key)
		if err != nil {
			return before, err
		}
		after, err := s.dispatch.SetApp(ctx, spec)
		if err == nil && settings.given() {
			after, err = s.dispatch.SetAppSettings(ctx, s.actor, spec.Key, settings.apply)
		}
		e.AboutApp(before)
		e.Detail = store.Changed(before, after)
		if spec.Secret != "" {
			e.Detail["secret"] = "replaced"
		}
		return after, err
	})
	return app, settings.explain(err)
}

// readSecret takes the first line of a file; the newline that editors add is not part of a secret.
func (c *cli) readSecret(path string) (string, error) {
	in, _, err := c.open(path)
	if err != nil {
		return "", err
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, 4096))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	first, _, _ := bytes.Cut(data, []byte("\n"))
	secret := strings.TrimSpace(string(first))
	if secret == "" {
		return "", fmt.Errorf("the secret in %s is empty", path)
	}
	return secret, nil
}

func (c *cli) appList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the apps", Args: cobra.NoArgs,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			apps, err := s.store.Apps(ctx)
			if err != nil {
				return err
			}
			return c.answer(map[string]any{"apps": apps}, func(w io.Writer) {
				rows := make([][]string, len(apps))
				for i, a := range apps {
					rows[i] = []string{a.Key, a.AppID, a.BaseURL, switchText(a), limits(a.AppSettings), quotaText(a), s.clock.minute(a.CreatedAt)}
				}
				table(w, []string{"KEY", "APPID", "PLATFORM", "STATE", "LIMITS", "QUOTA", "CREATED"}, rows)
			})
		}),
	}
}

// mustHave marks flags that a command cannot do without.
func mustHave(cmd *cobra.Command, flags ...string) {
	for _, f := range flags {
		if err := cmd.MarkFlagRequired(f); err != nil {
			panic(err) // a flag that does not exist: a mistake of the programmer
		}
	}
}
