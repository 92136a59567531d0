package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"minipush/internal/dispatch"
	"minipush/internal/push"
	"minipush/internal/store"
)

func (c *cli) taskAudience() *cobra.Command {
	var up dispatch.Upload
	var rejects, list string
	cmd := &cobra.Command{
		Use: "audience ID [FILE]", Short: "Upload a task's list of users, or show what was uploaded", Args: cobra.RangeArgs(1, 2),
		Long: `Uploads a list (CSV, TXT with one id a line, XLSX; UTF-8 or GB18030) in place of the one before.
The column of the ids is found by its name (user_id, 用户ID, openid, …), or named with --column, or the first.
Further columns can be used in the template as {{recipient.<column>}}. - reads standard input.
--list takes a saved list instead. With neither it shows what was uploaded; --rejects writes the refused rows with line and reason.`,
		Example: `  minipush task audience 98 users.csv
  minipush task audience 98 users.xlsx --column 会员号 --exclude-task 97
  minipush task audience 98 --list vip
  minipush task audience 98 --rejects rejects.csv`,
		RunE: c.session(func(ctx context.Context, s *session, args []string) error {
			id, err := taskID(args[0])
			if err != nil {
				return err
			}
			up.Done = s.noteList(func(ctx context.Context, e *store.AuditEntry) error {
				t, err := s.store.Task(ctx, id)
				e.AboutTask(t)
				return err
			})
			switch {
			case list != "" && len(args) == 2:
				return usageError{"give a FILE or --list, not both"}
			case list != "":
				if _, err := s.dispatch.TakeList(ctx, s.actor, id, list, up); err != nil {
					return err
				}
			case len(args) == 2:
				if err := c.upload(ctx, s, id, args[1], up); err != nil {
					return err
				}
			}
			audience, err := s.store.Audience(ctx, id)
			if errors.Is(err, push.ErrNotFound) {
				return &push.Refusal{Code: push.RefusedEmptyAudience, TaskID: id}
			}
			if err != nil {
				return err
			}
			var first []store.Reject
			if rejects != "" {
				err = writeRejects(ctx, s, audience.ID, rejects)
			} else if audience.Rejected > 0 {
				first, err = s.store.Rejects(ctx, audience.ID, 0, firstRejects)
			}
			if err != nil {
				return err
			}
			return c.answer(audience, func(w io.Writer) { writeAudience(w, audience, first, rejects == "") })
		}),
	}
	f := cmd.Flags()
	f.StringVar(&up.IDColumn, "column", "", "`NAME` of the column that holds the user ids")
	f.Int64Var(&up.ExcludeTask, "exclude-task", 0, "leave out who is in the list of task `ID`")
	f.IntVar(&up.Limit, "limit", 0, "take the first `N` users only; 0 is all")
	f.StringVar(&list, "list", "", "copy the newest version of the saved list `NAME`; see: minipush list")
	f.StringVar(&rejects, "rejects", "", "write the refused rows to `FILE` (CSV)")
	return cmd
}

// firstRejects is how many of the refused rows are shown.
const firstRejects = 10

// writeAudience says what became of a list, with the first rows that were refused, and where all of them are found.
func writeAudience(w io.Writer, a push.Audience, first []store.Reject, hint bool) {
	fmt.Fprintf(w, "task %d: %s, %d accepted, %d duplicate, %d rejected\n", a.TaskID, plural(a.Total, "row", "rows"), a.Accepted, a.Duplicate, a.Rejected)
	for _, r := range first {
		bad := dispatch.RejectedRow(r, nil)
		fmt.Fprintf(w, "  line %d: %s · %s (%s)\n", bad.Line, bad.ZH(), bad.EN(), cmp.Or(bad.Rule, string(bad.Code)))
	}
	switch more := a.Rejected - len(first); {
	case hint && len(first) > 0 && more > 0:
		fmt.Fprintf(w, "%d more: minipush task audience %d --rejects FILE\n", more, a.TaskID)
	case hint && a.Rejected > 0:
		fmt.Fprintf(w, "the rejected rows and why: minipush task audience %d --rejects FILE\n", a.TaskID)
	}
}

// upload streams a file into a task; the bar counts bytes, because the number of rows is known only at the end.
func (c *cli) upload(ctx context.Context, s *session, id int64, path string, up dispatch.Upload) error {
	in, size, err := c.open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	b := c.bar(size, "uploading")
	defer b.finish()
	up.Body, up.Filename = &meter{r: in, bar: b}, filepath.Base(path)
	_, err = s.dispatch.UploadAudience(ctx, s.actor, id, up)
	return err
}

// open opens a file, or standard input for "-". The size is -1 where it is not known.
func (c *cli) open(path string) (io.ReadCloser, int64, error) {
	if path == "-" {
		return io.NopCloser(c.stdin), -1, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("open the file: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("look at the file: %w", err), f.Close())
	}
	return f, info.Size(), nil
}

// meter moves a bar as bytes are read.
type meter struct {
	r   io.Reader
	bar *bar
	n   int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	m.bar.set(m.n)
	return n, err //nolint:wrapcheck // io.EOF must stay itself
}

// writeRejects writes the refused rows as the API's rejects.csv has them.
func writeRejects(ctx context.Context, s *session, audienceID int64, path string) error {
	return writeFile(path, func(w io.Writer) error {
		return s.dispatch.WriteRejects(ctx, w, audienceID, nil)
	})
}

// writeFile writes a file as a whole: it appears under its name only when it is complete.
func writeFile(path string, write func(w io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	if err := errors.Join(write(tmp), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
