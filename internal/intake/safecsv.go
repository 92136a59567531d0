package intake

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// SafeCSV writes CSV that a spreadsheet program opens as it was meant: with a byte order mark, so that Chinese is read as
// UTF-8, with CRLF, and with an apostrophe before a cell that would be taken for a formula. [Open] takes the apostrophe off again.
// It is not safe for concurrent use.
type SafeCSV struct {
	out   io.Writer
	csv   *csv.Writer
	begun bool
	cells []string // reused
}

// NewSafeCSV returns a writer to w. Nothing is written before the first row or Flush.
func NewSafeCSV(w io.Writer) *SafeCSV {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	return &SafeCSV{out: w, csv: c}
}

// Write writes one row. It is buffered: an error may come as late as Flush.
func (s *SafeCSV) Write(cells ...string) error {
	if err := s.begin(); err != nil {
		return err
	}
	s.cells = s.cells[:0]
	for _, cell := range cells {
		if isFormula(cell) {
			cell = "'" + cell
		}
		s.cells = append(s.cells, cell)
	}
	if err := s.csv.Write(s.cells); err != nil {
		return fmt.Errorf("write CSV row: %w", err)
	}
	return nil
}

// Flush writes what is buffered and returns the first error of any write.
func (s *SafeCSV) Flush() error {
	if err := s.begin(); err != nil {
		return err
	}
	s.csv.Flush()
	if err := s.csv.Error(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

func (s *SafeCSV) begin() error {
	if s.begun {
		return nil
	}
	s.begun = true
	if _, err := io.WriteString(s.out, "\ufeff"); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

// isFormula says whether a spreadsheet program would calculate a cell. Tab and carriage return are skipped by some before they look.
func isFormula(cell string) bool {
	return cell != "" && strings.IndexByte("=+-@\t\r", cell[0]) >= 0
}

// unguard takes off the apostrophe that SafeCSV put before a formula.
func unguard(cell string) string {
	if len(cell) > 1 && cell[0] == '\'' && isFormula(cell[1:]) {
		return cell[1:]
	}
	return cell
}

// RejectWriter writes the reject file: one row for every row that was refused.
type RejectWriter struct{ csv *SafeCSV }

// NewRejectWriter returns a writer to w.
func NewRejectWriter(w io.Writer) *RejectWriter { return &RejectWriter{NewSafeCSV(w)} }

// Header writes the line of column names. Call it once, first.
func (w *RejectWriter) Header() error {
	return w.csv.Write("line", "column", "id", "code", "原因", "message", "field", "rule")
}

// Write writes one refused row. The columns are those of Header; column is empty where the whole row is meant.
func (w *RejectWriter) Write(e *RowError) error {
	column := ""
	if e.Column > 0 {
		column = strconv.Itoa(e.Column)
	}
	return w.csv.Write(strconv.Itoa(e.Line), column, e.Raw, string(e.Code), e.ZH(), e.EN(), e.Field, e.Rule)
}

// Flush writes what is buffered.
func (w *RejectWriter) Flush() error { return w.csv.Flush() }
