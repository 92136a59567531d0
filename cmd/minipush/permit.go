package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"minipush/internal/dispatch"
	"minipush/internal/push"
)

func (c *cli) permitCommand() *cobra.Command {
	return group("permit", "Collect permits (formIds, subscriptions) and see the stock", c.permitImport(), c.permitRetry(), c.permitStats())
}

func (c *cli) permitImport() *cobra.Command {
	var app string
	channel := string(push.ChannelFormID)
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Collect formIds, or subscriptions, from a CSV file", Args: cobra.ExactArgs(1),
		Long: `Reads a CSV file (UTF-8) and collects every line; - is standard input.

Channel form_id: the columns user_id, form_id and source, and optionally submitted_at. A formId that is there already is counted as a duplicate.

Channel subscribe: the columns user_id and template_id, and result (as wx.requestSubscribeMessage gave it; what begins with accept is one
message more) or count (so many messages, 1 to 1000) or both; and optionally id, the client's own. A line with an id that is there already is a
duplicate. Lines without one are known by what the file says up to and with them: the same file again, or one that has been added to, does
not count a line twice.`,
		Example: `  minipush permit import form-ids.csv --app health_applet
  minipush permit import subscriptions.csv --app health_applet --channel subscribe`,
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			switch push.Channel(channel) {
			case push.ChannelFormID:
				got, err := c.importFormIDs(ctx, s, app, args[0])
				if wrong, ok := errors.AsType[*columnError](err); ok && wrong.name == "template_id" {
					err = hintError{err, "This looks like subscriptions: add --channel subscribe"}
				}
				return c.answerImport("formIds", got, err)
			case push.ChannelSubscribe:
				got, err := c.importSubscriptions(ctx, s, app, args[0])
				return c.answerImport("subscriptions", got, err)
			}
			return usageError{fmt.Sprintf("--channel is %q; it must be form_id or subscribe", channel)}
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "`KEY` of the app")
	cmd.Flags().StringVar(&channel, "channel", channel, "`CHANNEL` of the permits: form_id or subscribe")
	mustHave(cmd, "app")
	return cmd
}

func (c *cli) importFormIDs(ctx context.Context, s *session, app, path string) (imported, error) {
	return importFile(ctx, c, path, []string{"user_id", "form_id", "source"}, []string{"submitted_at"},
		func(r row) (dispatch.FormIDReport, error) { return readFormID(s.clock, r) },
		noting(s, app, path, func(ctx context.Context, batch []dispatch.FormIDReport) (dispatch.Received, error) {
			return s.dispatch.ReportFormIDs(ctx, app, batch)
		}))
}

func readFormID(k clock, r row) (dispatch.FormIDReport, error) {
	source, err := strconv.ParseInt(r.fields["source"], 10, 16)
	if err != nil {
		return dispatch.FormIDReport{}, fmt.Errorf("source is %q; it must be a number, for example 4", r.fields["source"])
	}
	report := dispatch.FormIDReport{UserID: r.fields["user_id"], FormID: r.fields["form_id"], Source: int16(source)}
	if text := r.fields["submitted_at"]; text != "" {
		var at time.Time
		if at, err = k.read("submitted_at", text); err != nil {
			return dispatch.FormIDReport{}, fmt.Errorf("submitted_at is %q; write it as 2026-12-01T10:00:00+08:00", text)
		}
		report.SubmittedAt = &at
	}
	return report, nil
}

func (c *cli) permitStats() *cobra.Command {
	return &cobra.Command{
		Use: "stats APP", Short: "Show the stock of permits of an app: by source or template, by state, and what expires when", Args: cobra.ExactArgs(1),
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			app, err := s.store.App(ctx, args[0])
			if err != nil {
				return err
			}
			stock, err := s.store.PermitStock(ctx, app.ID, s.cfg.TimeZone)
			if err != nil {
				return err
			}
			return c.answer(stock, func(w io.Writer) { stockTables(w, stock) })
		}),
	}
}

func (c *cli) permitRetry() *cobra.Command {
	var app string
	what := dispatch.Retry{OlderThan: dispatch.RetryOlderThan}
	cmd := &cobra.Command{
		Use: "retry", Short: "Try units of subscriptions again that were set aside", Args: cobra.NoArgs,
		Long: `When the platform refuses a subscribe message although units of the person were left (43101), these are set aside as suspect: the person has
turned the messages off, or the count is wrong. The refusal is not always final; people were reached again some hours later. This makes
units available again that were set aside long enough ago. Tasks that are done are not sent again: task resend ID --reason refused.`,
		Example: `  minipush permit retry --app health_applet
  minipush permit retry --app health_applet --template zun-LzcQyW-edafCVvzPkK4de2Rllr1fFpw2A_x0oXE --older-than 24h`,
		RunE: c.session(func(ctx context.Context, s *session, _ []string) error {
			what.Begun = func(ctx context.Context) error {
				return s.noteApp(ctx, app, map[string]any{"template_id": what.TemplateID, "older_than": what.OlderThan.String()})
			}
			got, err := s.dispatch.RetrySuspects(ctx, s.actor, app, what)
			if err != nil {
				return err
			}
			younger := int64(0)
			if got.Units == 0 {
				if younger, err = suspects(ctx, s, app, what.TemplateID); err != nil {
					return err
				}
			}
			return c.answer(got, func(w io.Writer) {
				fmt.Fprintf(w, "app %s: %s available again, of %s\n", app, plural(got.Units, "unit is", "units are"), plural(got.Users, "person", "people"))
				if younger > 0 {
					fmt.Fprintf(w, "%s suspect, but set aside less than %s ago; to try younger ones too: --older-than 0s\n",
						plural(int(younger), "unit is", "units are"), what.OlderThan)
				}
			})
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "`KEY` of the app")
	cmd.Flags().StringVar(&what.TemplateID, "template", "", "only this template, by the platform's `ID`")
	cmd.Flags().DurationVar(&what.OlderThan, "older-than", what.OlderThan, "only what was set aside this `TIME` ago at least, for example 6h")
	mustHave(cmd, "app")
	return cmd
}

// suspects counts the units of an app that are set aside; template empty: of all templates.
func suspects(ctx context.Context, s *session, key, template string) (n int64, err error) {
	app, err := s.store.App(ctx, key)
	if err != nil {
		return 0, err
	}
	stock, err := s.store.PermitStock(ctx, app.ID, s.cfg.TimeZone)
	for _, t := range stock.Subscriptions {
		if template == "" || t.TemplateID == template {
			n += t.Suspect
		}
	}
	return n, err
}

func stockTables(w io.Writer, stock push.Stock) {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	rows := make([][]string, len(stock.BySource))
	for i, b := range stock.BySource {
		rows[i] = []string{strconv.Itoa(int(b.Source)), b.LabelZH, n(b.Available), n(b.Reserved), n(b.Used), n(b.Invalid)}
	}
	table(w, []string{"SOURCE", "来源", "AVAILABLE", "RESERVED", "USED", "INVALID"}, rows)
	if len(stock.Expiring) > 0 {
		rows = rows[:0]
		for _, d := range stock.Expiring {
			rows = append(rows, []string{d.Day, n(d.Count)})
		}
		fmt.Fprintln(w)
		table(w, []string{"EXPIRES ON", "FORMIDS"}, rows)
	}
	if len(stock.Daily) > 0 {
		rows = rows[:0]
		for _, d := range stock.Daily {
			rows = append(rows, []string{d.Day, strconv.Itoa(int(d.Source)), n(d.Collected), n(d.Expired)})
		}
		fmt.Fprintln(w)
		table(w, []string{"DAY", "SOURCE", "COLLECTED", "EXPIRED UNUSED"}, rows)
	}
	if len(stock.Subscriptions) > 0 {
		rows = rows[:0]
		for _, t := range stock.Subscriptions {
			rows = append(rows, []string{t.TemplateID, t.Name, n(t.Available), n(t.Reserved), n(t.Suspect), n(t.Used), n(t.LongTerm), n(t.Users)})
		}
		fmt.Fprintln(w)
		table(w, []string{"TEMPLATE", "模板", "AVAILABLE", "RESERVED", "SUSPECT", "USED", "LONG-TERM", "USERS"}, rows)
	}
}
