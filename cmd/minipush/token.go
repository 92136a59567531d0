package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"minipush/internal/push"
	"minipush/internal/store"
	"minipush/internal/web/auth"
)

func (c *cli) tokenCommand() *cobra.Command {
	return group("token", "Make, list and revoke the tokens of the HTTP API", c.tokenCreate(), c.tokenList(), c.tokenRevoke())
}

func (c *cli) tokenCreate() *cobra.Command {
	var name, role string
	var apps []string
	cmd := &cobra.Command{
		Use: "create", Short: "Make a token; it is shown once", Args: cobra.NoArgs,
		Long: `Makes a token of the HTTP API. It is shown once and only its hash is kept. Roles, each with the powers of those before:
collector (reports users, permits, products), viewer (looks), author (writes tasks), approver (sends), operator (pauses, job
pages), admin. Without --app it is for all apps.`,
		Example: `  minipush token create --name backend --role collector --app health_applet
  minipush token create --name marketing --role approver --output json`,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			plain, err := change(ctx, s, func(ctx context.Context, e *store.AuditEntry) (string, error) {
				e.Object, e.Detail = "token:"+name, map[string]any{"role": role, "apps": apps}
				return newToken(ctx, s.store, s.actor, name, role, apps)
			})
			if err != nil {
				return err
			}
			return c.answer(map[string]string{"token": plain}, func(w io.Writer) {
				fmt.Fprintf(w, "%s\n", plain)
				fmt.Fprintln(c.stderr, "Keep it: it is not shown again.")
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "`NAME` that people see in who made and who sent a task")
	f.StringVar(&role, "role", "", "`ROLE`: "+strings.Join(roleNames(), ", "))
	f.StringArrayVar(&apps, "app", nil, "only for the app with this `KEY`; may be given several times")
	mustHave(cmd, "name", "role")
	return cmd
}

func roleNames() []string {
	names := make([]string, 0, len(auth.Roles()))
	for _, r := range auth.Roles() {
		names = append(names, r.String())
	}
	return names
}

// newToken makes a token, keeps its hash, and returns it.
func newToken(ctx context.Context, st *store.Store, actor, name, role string, apps []string) (string, error) {
	if !slices.Contains(roleNames(), role) {
		return "", usageError{fmt.Sprintf("--role is %q; it must be one of %s", role, strings.Join(roleNames(), ", "))}
	}
	if err := push.RequireText("name", name, 64); err != nil {
		return "", err
	}
	t := store.APIToken{Name: name, Role: role, CreatedBy: actor}
	for _, key := range apps {
		app, err := st.App(ctx, key)
		if err != nil {
			return "", err
		}
		t.AppIDs = append(t.AppIDs, app.ID)
	}
	plain, hash := auth.NewToken()
	if _, err := st.InsertAPIToken(ctx, t, hash); err != nil {
		return "", err
	}
	return plain, nil
}

func (c *cli) tokenList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the tokens, live and revoked", Args: cobra.NoArgs,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			tokens, err := auth.TokenInfos(ctx, s.store)
			if err != nil {
				return err
			}
			return c.answer(map[string]any{"tokens": tokens}, func(w io.Writer) {
				rows := make([][]string, len(tokens))
				for i, t := range tokens {
					rows[i] = []string{t.Name, t.Role, yesNo(t.Apps == nil, "all", strings.Join(t.Apps, ", ")), t.CreatedBy, s.clock.minute(t.CreatedAt), s.clock.maybe(t.LastUsedAt), s.clock.maybe(t.RevokedAt)}
				}
				table(w, []string{"NAME", "ROLE", "APPS", "CREATED BY", "CREATED", "LAST USED", "REVOKED"}, rows)
			})
		}),
	}
}

func (c *cli) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "End a token", Args: cobra.ExactArgs(1),
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			_, err := change(ctx, s, func(ctx context.Context, e *store.AuditEntry) (struct{}, error) {
				e.Object = "token:" + args[0]
				return struct{}{}, s.store.RevokeAPIToken(ctx, args[0])
			})
			if err != nil {
				return err
			}
			return c.answer(map[string]string{"revoked": args[0]}, func(w io.Writer) { fmt.Fprintf(w, "token %s is revoked\n", args[0]) })
		}),
	}
}
