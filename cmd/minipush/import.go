package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"minipush/internal/dispatch"
	"minipush/internal/intake"
)

// row is one line of an import file by the names of its columns.
type row struct {
	line   int
	fields map[string]string
}

// columnError says that a file has a column that is not one of its kind's.
type columnError struct {
	at    int // from 1
	name  string
	known []string
}

func (e *columnError) Error() string {
	return fmt.Sprintf("line 1, column %d: %q is not a column of this file; it has %s", e.at, e.name, strings.Join(e.known, ", "))
}

// readRows calls fn for each line of a CSV file (UTF-8) whose first line names the columns, and reject for each that is malformed; an
// error of either ends it. Columns that are required must be there; those that are not known are an error, because they are more often a
// misspelt name than something to leave out.
func readRows(r io.Reader, required, optional []string, fn func(row) error, reject func(*csv.ParseError) error) error {
	in := csv.NewReader(skipBOM(r))
	in.ReuseRecord, in.TrimLeadingSpace = true, true
	header, err := in.Read()
	if err != nil {
		return fmt.Errorf("read the first line, which names the columns: %w", err)
	}
	header = slices.Clone(header)
	for i, name := range header {
		header[i] = strings.ToLower(strings.TrimSpace(name))
		if !slices.Contains(required, header[i]) && !slices.Contains(optional, header[i]) {
			return &columnError{at: i + 1, name: name, known: append(slices.Clone(required), optional...)}
		}
	}
	for _, name := range required {
		if !slices.Contains(header, name) {
			return fmt.Errorf("line 1: the column %q is missing", name)
		}
	}
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			if err := reject(bad); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("read the file: %w", err)
		}
		line, _ := in.FieldPos(0)
		fields := make(map[string]string, len(header))
		for i, value := range record {
			fields[header[i]] = strings.TrimSpace(value)
		}
		if err := fn(row{line, fields}); err != nil {
			return err
		}
	}
}

// badRecord says what is wrong with a record that could not be read. The error is one that ends the reading: of a quote that is never
// closed nobody can say how much of the file belongs in it.
func badRecord(bad *csv.ParseError) (dispatch.Rejection, error) {
	code := intake.ColumnCount
	if !errors.Is(bad.Err, csv.ErrFieldCount) {
		code = intake.BrokenQuote
	}
	if code == intake.BrokenQuote && bad.Line > bad.StartLine {
		return dispatch.Rejection{}, &intake.FileError{Code: code, Line: bad.StartLine}
	}
	return dispatch.Rejection{Index: bad.StartLine, Code: string(code), Message: code.EN(), MessageZH: code.ZH()}, nil
}

// skipBOM drops the mark that spreadsheets put before UTF-8.
func skipBOM(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	if mark, err := b.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = b.Discard(3) // they have just been seen
	}
	return b
}

// imported is what became of a file. Index of a rejection is its line.
type imported struct {
	dispatch.Received

	begun bool // its first line was right
}

// importFile reports the rows of a file in batches as large as one call takes. A row that cannot be read is rejected like one that is
// refused. After an error, what it returns was accepted all the same.
func importFile[T any](ctx context.Context, c *cli, path string, required, optional []string, read func(row) (T, error),
	report func(context.Context, []T) (dispatch.Received, error),
) (all imported, err error) {
	in, size, err := c.open(path)
	if err != nil {
		return imported{}, err
	}
	defer in.Close()
	b := c.bar(size, "importing")
	defer b.finish()
	all.Rejected = []dispatch.Rejection{}
	var batch []T
	var lines []int
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		got, err := report(ctx, batch)
		all.Accepted += got.Accepted // of a batch that failed too: part of it may be in
		all.Duplicate += got.Duplicate
		for _, r := range got.Rejected {
			r.Index = lines[r.Index]
			all.Rejected = append(all.Rejected, r)
		}
		if err != nil {
			err = fmt.Errorf("lines %d to %d: %w", lines[0], lines[len(lines)-1], err)
			batch, lines = nil, nil // it is not tried again
			return err
		}
		batch, lines = batch[:0], lines[:0]
		return nil
	}
	err = readRows(&meter{r: in, bar: b}, required, optional, func(r row) error {
		all.begun = true
		item, err := read(r)
		if err != nil {
			all.Rejected = append(all.Rejected, dispatch.Rejection{Index: r.line, Code: "bad_item", Message: err.Error(), MessageZH: "格式不正确"})
			return nil //nolint:nilerr // the row is rejected; reading goes on
		}
		batch, lines = append(batch, item), append(lines, r.line)
		if len(batch) == dispatch.MaxBatch {
			return flush()
		}
		return nil
	}, func(bad *csv.ParseError) error {
		all.begun = true
		rejection, err := badRecord(bad)
		if err == nil {
			all.Rejected = append(all.Rejected, rejection)
		}
		return err
	})
	err = errors.Join(err, flush())
	slices.SortFunc(all.Rejected, func(a, b dispatch.Rejection) int { return a.Index - b.Index })
	return all, err
}

// answerImport says what became of a file, the first rejections by line, also where an error ended it. One of which nothing was taken has
// failed.
func (c *cli) answerImport(what string, got imported, failed error) error {
	if failed != nil && !got.begun {
		return failed
	}
	err := c.answer(got, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %d accepted, %d duplicate, %d rejected\n", what, got.Accepted, got.Duplicate, len(got.Rejected))
		for i, r := range got.Rejected {
			if i == 20 {
				fmt.Fprintf(w, "  … and %d more; all of them with --output json\n", len(got.Rejected)-i)
				return
			}
			fmt.Fprintf(w, "  line %d: %s · %s (%s)\n", r.Index, r.MessageZH, r.Message, r.Code)
		}
	})
	if failed == nil && len(got.Rejected) > 0 && got.Accepted+got.Duplicate == 0 {
		failed = errors.New("no line was accepted")
	}
	return errors.Join(failed, err)
}
