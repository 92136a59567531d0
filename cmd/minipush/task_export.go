package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"minipush/internal/export"
	"minipush/internal/push"
	"minipush/internal/store"
)

func (c *cli) taskExport() *cobra.Command {
	var format, state, file string
	cmd := &cobra.Command{
		Use: "export ID", Short: "Download who got a task's message, who did not and why", Args: cobra.ExactArgs(1),
		Long: `Writes one row a recipient: its state, the reason, what the platform said, and the columns of the upload. The file can be
uploaded again as the list of another task. CSV opens in a spreadsheet as it is; the times are in the configured zone.`,
		Example: `  minipush task export 98 -o results.csv
  minipush task export 98 --format xlsx --state failed -o failed.xlsx`,
		RunE: c.onTask(func(ctx context.Context, s *session, id int64) error {
			if format == "" && file != "-" {
				switch ext := strings.ToLower(filepath.Ext(file)); ext {
				case ".xlsx":
					format = "xlsx"
				case "", ".csv":
				default:
					return usageError{fmt.Sprintf("the name %s ends in %s; it must end in .csv or .xlsx, or say what it is: --format csv", file, ext)}
				}
			}
			if format != "" && format != "csv" && format != "xlsx" {
				return usageError{fmt.Sprintf("--format is %q; it must be csv or xlsx", format)}
			}
			b := c.bar(-1, "exporting")
			defer b.finish()
			results := export.Results{
				Store: s.store, TaskID: id, Location: s.clock.loc,
				BeforePage: func(rows int) { b.set(int64(rows)) },
			}
			if state != "" {
				one, known := push.ParseRecipientState(state)
				if !known {
					return usageError{fmt.Sprintf("--state is %q; it must be pending, waiting, sending, sent, failed, skipped or unknown", state)}
				}
				results.State = &one
			}
			_, err := aboutTask(ctx, s, id, func(ctx context.Context, _ push.Task, e *store.AuditEntry) (struct{}, error) {
				e.Detail = map[string]any{"format": cmp.Or(format, "csv"), "masked": false}
				return struct{}{}, nil
			})
			if err != nil {
				return err
			}
			return c.writeResults(ctx, results, format, file)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "", "csv or xlsx; csv where the name of the file does not say")
	f.StringVar(&state, "state", "", "only recipients in this `STATE`: pending, waiting, sending, sent, failed, skipped, unknown")
	f.StringVarP(&file, "file", "o", "-", "write to `FILE`; - is standard output")
	return cmd
}

func (c *cli) writeResults(ctx context.Context, results export.Results, format, file string) error {
	rows := 0
	write := func(w io.Writer) (err error) {
		if format == "xlsx" {
			rows, err = results.XLSX(ctx, w)
		} else {
			rows, err = results.CSV(ctx, w)
		}
		return err
	}
	if file == "-" {
		return write(c.stdout)
	}
	if err := writeFile(file, write); err != nil {
		return err
	}
	return c.answer(map[string]any{"file": file, "rows": rows}, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", file, recipients(rows)) })
}
