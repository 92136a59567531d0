package intake

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"strings"
)

// sniffSeparator looks at the first line that is not blank: the separator that occurs most often outside quotes, or a comma.
func sniffSeparator(text *bufio.Reader) rune {
	head, _ := text.Peek(textBuffer) // an error comes again at the next read
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, " \r\n"), []byte{'\n'})
	counts := map[byte]int{}
	quoted := false
	for _, c := range line {
		if c == '"' {
			quoted = !quoted
		}
		if !quoted {
			counts[c]++
		}
	}
	best := byte(',')
	for _, c := range []byte{';', '\t'} {
		if counts[c] > counts[best] {
			best = c
		}
	}
	return rune(best)
}

// csvSource reads CSV by encoding/csv in its strict form: RFC 4180, with LF or CRLF.
type csvSource struct {
	csv    *csv.Reader
	budget *budgetReader
	row    []string
}

func openCSV(text io.Reader, separator rune, limits Limits) *csvSource {
	budget := &budgetReader{src: text, budget: limits.rowBudget()}
	c := csv.NewReader(bufio.NewReaderSize(budget, textBuffer))
	c.Comma = separator
	c.FieldsPerRecord = -1
	c.ReuseRecord = true
	return &csvSource{csv: c, budget: budget}
}

func (s *csvSource) next() (cells, error) {
	s.budget.renew()
	record, err := s.csv.Read()
	if err != nil {
		return cells{}, s.explain(err, len(record))
	}
	line, _ := s.csv.FieldPos(0)
	// The copy makes room for two rows read ahead; the texts are not copied.
	s.row = append(s.row[:0], record...)
	return cells{line: line, text: s.row}, nil
}

// explain turns an error of encoding/csv into ours. whole is the number of cells read before it.
func (s *csvSource) explain(err error, whole int) error {
	if s.budget.failed != nil {
		err = s.budget.failed // the row was cut there: what is wrong with its form says nothing
	}
	if broken, ok := errors.AsType[*csv.ParseError](err); ok {
		return &FileError{Code: BrokenQuote, Line: broken.StartLine, Column: whole + 1}
	}
	if errors.Is(err, errBudget) {
		line := 1
		if whole > 0 {
			line, _ = s.csv.FieldPos(0)
		}
		return &FileError{Code: RowTooLarge, Line: line}
	}
	return err
}

func (s *csvSource) close() error { return nil }

// textSource reads one id a line.
type textSource struct {
	text   *bufio.Reader
	budget *budgetReader
	line   int
	row    [1]string
}

// openText reads TXT. A first line with tabs is a table all the same: Excel calls its export of one "Unicode text".
func openText(in *bufio.Reader, limits Limits) source {
	text := bufio.NewReaderSize(utf8Reader(in), textBuffer)
	if sniffSeparator(text) == '\t' {
		return openCSV(text, '\t', limits)
	}
	budget := &budgetReader{src: text, budget: limits.rowBudget()}
	return &textSource{text: bufio.NewReaderSize(budget, textBuffer), budget: budget}
}

func (s *textSource) next() (cells, error) {
	s.budget.renew()
	s.line++
	line, err := s.text.ReadString('\n')
	if errors.Is(err, errBudget) {
		return cells{}, &FileError{Code: RowTooLarge, Line: s.line}
	}
	if err != nil && (!errors.Is(err, io.EOF) || line == "") {
		return cells{}, err
	}
	s.row[0] = strings.TrimRight(line, "\r\n")
	return cells{line: s.line, text: s.row[:]}, nil
}

func (s *textSource) close() error { return nil }
