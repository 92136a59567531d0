package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

func (c *cli) listCommand() *cobra.Command {
	return group("list", "Keep saved lists of users, which many tasks and schedules use", c.listUpload(), c.listList(), c.listShow(), c.listDelete())
}

func (c *cli) listUpload() *cobra.Command {
	var app string
	var up dispatch.Upload
	cmd := &cobra.Command{
		Use: "upload NAME FILE", Short: "Upload a new version of a saved list", Args: cobra.ExactArgs(2),
		Long: `Uploads a file (CSV, TXT with one id a line, XLSX; UTF-8 or GB18030) as a new version of the list of that name, which is made if
there is none; - is standard input. Tasks that took an earlier version keep it; schedules take the newest.`,
		Example: `  minipush list upload vip users.csv --app health_applet
  minipush task audience 98 --list vip`,
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			in, size, err := c.open(args[1])
			if err != nil {
				return err
			}
			defer in.Close()
			b := c.bar(size, "uploading")
			defer b.finish()
			up.Body, up.Filename = &meter{r: in, bar: b}, filepath.Base(args[1])
			up.Done = s.noteList(func(ctx context.Context, e *store.AuditEntry) error {
				a, err := s.store.App(ctx, app)
				e.AboutApp(a)
				e.Detail["list"] = args[0]
				return err
			})
			list, err := s.dispatch.UploadList(ctx, s.actor, app, args[0], up)
			if err != nil {
				return err
			}
			return c.answer(list, func(w io.Writer) {
				v := list.Newest
				fmt.Fprintf(w, "list %s, version %d: %s, %d accepted, %d duplicate, %d rejected\n", list.Name, v.Version, plural(v.Total, "row", "rows"), v.Accepted, v.Duplicate, v.Rejected)
				if v.Rejected > 0 {
					fmt.Fprintf(w, "the rejected rows and why: minipush list show %s --app %s --rejects FILE\n", list.Name, app)
				}
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&app, "app", "", "`KEY` of the app")
	f.StringVar(&up.IDColumn, "column", "", "`NAME` of the column that holds the user ids")
	f.IntVar(&up.Limit, "limit", 0, "take the first `N` users only; 0 is all")
	mustHave(cmd, "app")
	return cmd
}

func (c *cli) listList() *cobra.Command {
	var app, after string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List the saved lists of an app", Args: cobra.NoArgs,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			a, err := s.store.App(ctx, app)
			if err != nil {
				return err
			}
			lists, err := s.store.SavedLists(ctx, a.ID, after, limit)
			if err != nil {
				return err
			}
			return c.answer(map[string]any{"lists": lists}, func(w io.Writer) {
				rows := make([][]string, len(lists))
				for i, l := range lists {
					rows[i] = []string{l.Name, strconv.Itoa(l.Newest.Version), strconv.Itoa(l.Newest.Accepted), l.Newest.Filename, s.clock.minute(l.Newest.CreatedAt), l.Newest.CreatedBy}
				}
				table(w, []string{"NAME", "VERSION", "USERS", "FILE", "UPLOADED", "BY"}, rows)
			})
		}),
	}
	f := cmd.Flags()
	f.StringVar(&app, "app", "", "`KEY` of the app")
	f.StringVar(&after, "after", "", "only after this `NAME`: the next page")
	f.IntVar(&limit, "limit", 100, "at most `N`")
	mustHave(cmd, "app")
	return cmd
}

// onList is a command whose first argument is the name of a saved list of --app.
func (c *cli) onList(app *string, fn func(ctx context.Context, s *session, l push.SavedList) error) func(*cobra.Command, []string) error {
	return c.session(func(ctx context.Context, s *session, args []string) error {
		a, err := s.store.App(ctx, *app)
		if err != nil {
			return err
		}
		l, err := s.store.SavedList(ctx, a.ID, args[0])
		if err == nil && l.Newest == nil {
			err = fmt.Errorf("list %q: %w", args[0], push.ErrNotFound)
		}
		if err != nil {
			return err
		}
		return fn(ctx, s, l)
	})
}

func (c *cli) listShow() *cobra.Command {
	var app, rejects string
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Show the versions of a saved list", Args: cobra.ExactArgs(1),
		RunE: c.onList(&app, func(ctx context.Context, s *session, l push.SavedList) error {
			versions, err := s.store.ListVersions(ctx, l.ID)
			if err != nil {
				return err
			}
			if rejects != "" {
				if err := writeRejects(ctx, s, l.Newest.ID, rejects); err != nil {
					return err
				}
			}
			return c.answer(map[string]any{"app": l.App, "name": l.Name, "versions": versions}, func(w io.Writer) {
				rows := make([][]string, len(versions))
				for i, v := range versions {
					rows[i] = []string{strconv.Itoa(v.Version), strconv.Itoa(v.Total), strconv.Itoa(v.Accepted), strconv.Itoa(v.Duplicate), strconv.Itoa(v.Rejected),
						v.Filename, s.clock.minute(v.CreatedAt), v.CreatedBy}
				}
				table(w, []string{"VERSION", "ROWS", "ACCEPTED", "DUPLICATE", "REJECTED", "FILE", "UPLOADED", "BY"}, rows)
			})
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "`KEY` of the app")
	cmd.Flags().StringVar(&rejects, "rejects", "", "write the refused rows of the newest version to `FILE` (CSV)")
	mustHave(cmd, "app")
	return cmd
}

func (c *cli) listDelete() *cobra.Command {
	var app string
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a saved list; tasks that took it keep their copies", Args: cobra.ExactArgs(1),
		RunE: c.onList(&app, func(ctx context.Context, s *session, l push.SavedList) error {
			err := s.store.InTx(ctx, func(ctx context.Context) error {
				if err := s.dispatch.DeleteList(ctx, l.App, l.Name); err != nil {
					return err
				}
				return s.noteApp(ctx, l.App, map[string]any{"list": l.Name})
			})
			if err != nil {
				return err
			}
			return c.answer(map[string]string{"deleted": l.Name}, func(w io.Writer) { fmt.Fprintf(w, "list %s is deleted\n", l.Name) })
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "`KEY` of the app")
	mustHave(cmd, "app")
	return cmd
}
