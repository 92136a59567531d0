package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

func (c *cli) suppressionCommand() *cobra.Command {
	return group("suppression", "Keep the list of people who get no message (免打扰名单)",
		c.suppressionAdd(), c.suppressionRemove(), c.suppressionList(), c.suppressionImport())
}

// person are the flags that name a person of an app.
type person struct{ app, user, openID string }

func (p *person) bind(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.app, "app", "", "`KEY` of the app; '*' is all apps")
	cmd.Flags().StringVar(&p.user, "user-id", "", "`ID` of the user")
	cmd.Flags().StringVar(&p.openID, "openid", "", "`OPENID` of the user, in place of --user-id")
}

func (p *person) name() string { return p.user + p.openID }

func (c *cli) suppressionAdd() *cobra.Command {
	var who person
	var note string
	cmd := &cobra.Command{
		Use: "add", Short: "Put somebody on the list", Args: cobra.NoArgs,
		Long: `Puts a user id or an openid on the list. From then on the person is skipped, with the reason suppressed, by every task of the
app (or of all apps), also by those that are being sent. The person need not be known yet.`,
		Example: `  minipush suppression add --app health_applet --user-id 42 --note "complained by phone"
  minipush suppression add --app '*' --openid oX1`,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			var got dispatch.Received
			err := s.store.InTx(ctx, func(ctx context.Context) (err error) {
				got, err = s.dispatch.Suppress(ctx, s.actor, who.app, []dispatch.SuppressionReport{{UserID: who.user, OpenID: who.openID, Note: note}})
				if err != nil || len(got.Rejected) > 0 {
					return err
				}
				return s.noteApp(ctx, who.app, map[string]any{"added": got.Accepted, "already": got.Duplicate})
			})
			if err != nil {
				return err
			}
			if len(got.Rejected) > 0 {
				return fmt.Errorf("%s · %s", got.Rejected[0].MessageZH, got.Rejected[0].Message)
			}
			return c.answer(got, func(w io.Writer) {
				fmt.Fprintf(w, "%s %s\n", who.name(), yesNo(got.Accepted == 1, "is on the list now", "was on the list already"))
			})
		}),
	}
	who.bind(cmd)
	cmd.Flags().StringVar(&note, "note", "", "why, in your words")
	mustHave(cmd, "app")
	cmd.MarkFlagsOneRequired("user-id", "openid")
	cmd.MarkFlagsMutuallyExclusive("user-id", "openid")
	return cmd
}

func (c *cli) suppressionRemove() *cobra.Command {
	var who person
	cmd := &cobra.Command{
		Use: "remove", Short: "Take somebody off the list", Args: cobra.NoArgs,
		Long: "Takes a user id or an openid off the list of the app, or of all apps. Whoever was skipped meanwhile stays skipped.",
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			err := s.store.InTx(ctx, func(ctx context.Context) error {
				if err := s.dispatch.UnsuppressPerson(ctx, s.actor, who.app, who.user, who.openID); err != nil {
					return err
				}
				return s.noteApp(ctx, who.app, nil)
			})
			if err != nil {
				return err
			}
			return c.answer(map[string]bool{"removed": true}, func(w io.Writer) { fmt.Fprintf(w, "%s is off the list\n", who.name()) })
		}),
	}
	who.bind(cmd)
	mustHave(cmd, "app")
	cmd.MarkFlagsOneRequired("user-id", "openid")
	cmd.MarkFlagsMutuallyExclusive("user-id", "openid")
	return cmd
}

func (c *cli) suppressionList() *cobra.Command {
	var who person
	var limit int
	var after int64
	cmd := &cobra.Command{
		Use: "list", Short: "Show the list", Args: cobra.NoArgs,
		Long: "Shows who is on the list, oldest first; with --app what holds in that app, the entries of all apps with it.",
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			filter := store.SuppressionFilter{OnlyAll: who.app == push.AllApps, UserID: who.user, OpenID: who.openID, After: after, Limit: limit}
			if who.app != "" && !filter.OnlyAll {
				app, err := s.store.App(ctx, who.app)
				if err != nil {
					return err
				}
				filter.AppIDs = []int32{app.ID}
			}
			list, err := s.store.Suppressions(ctx, filter)
			if err != nil {
				return err
			}
			return c.answer(map[string]any{"suppressions": list}, func(w io.Writer) {
				rows := make([][]string, len(list))
				for i, e := range list {
					rows[i] = []string{fmt.Sprint(e.ID), e.App, orDash(e.UserID), orDash(e.OpenID), e.AddedBy, s.clock.minute(e.CreatedAt), e.Note}
				}
				table(w, []string{"ID", "APP", "USER ID", "OPENID", "ADDED BY", "ADDED", "NOTE"}, rows)
			})
		}),
	}
	who.bind(cmd)
	cmd.Flags().IntVar(&limit, "limit", 100, "how many to show at most")
	cmd.Flags().Int64Var(&after, "after", 0, "show those after this `ID`")
	return cmd
}

func orDash(s *string) string {
	if s == nil {
		return "–"
	}
	return *s
}

func (c *cli) suppressionImport() *cobra.Command {
	var app string
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Put people on the list from a CSV file", Args: cobra.ExactArgs(1),
		Long: `Reads a CSV file (UTF-8) with the columns user_id and openid, of which each line has one or the other, and optionally note;
- is standard input. A column that no line needs may be left out. Who is on the list already is counted as a duplicate.`,
		Example: `  minipush suppression import unsubscribed.csv --app health_applet`,
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			got, err := importFile(ctx, c, args[0], nil, []string{"user_id", "openid", "note"},
				func(r row) (dispatch.SuppressionReport, error) {
					return dispatch.SuppressionReport{UserID: r.fields["user_id"], OpenID: r.fields["openid"], Note: r.fields["note"]}, nil
				},
				noting(s, app, args[0], func(ctx context.Context, batch []dispatch.SuppressionReport) (dispatch.Received, error) {
					return s.dispatch.Suppress(ctx, s.actor, app, batch)
				}))
			return c.answerImport("suppressions", got, err)
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "`KEY` of the app; '*' is all apps")
	mustHave(cmd, "app")
	return cmd
}
