package main

import (
	"context"

	"github.com/spf13/cobra"

	"minipush/internal/dispatch"
)

func (c *cli) userCommand() *cobra.Command {
	return group("user", "Report who the users are", c.userImport())
}

func (c *cli) userImport() *cobra.Command {
	var app string
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Report users and their openids from a CSV file", Args: cobra.ExactArgs(1),
		Long: `Reads a CSV file (UTF-8) with the columns user_id and openid, and reports every line; - is standard input.
A user that is known gets the new openid. An empty openid says that the user has none.`,
		Example: `  minipush user import users.csv --app health_applet`,
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			got, err := importFile(ctx, c, args[0], []string{"user_id", "openid"}, nil,
				func(r row) (dispatch.UserReport, error) {
					return dispatch.UserReport{UserID: r.fields["user_id"], OpenID: r.fields["openid"]}, nil
				},
				noting(s, app, args[0], func(ctx context.Context, batch []dispatch.UserReport) (dispatch.Received, error) {
					return s.dispatch.ReportUsers(ctx, app, batch)
				}))
			return c.answerImport("users", got, err)
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "`KEY` of the app")
	mustHave(cmd, "app")
	return cmd
}
