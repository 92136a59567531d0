package intake

import (
	"bufio"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// xlsxSource streams the first visible sheet of an XLSX file.
//
// It reads the format itself. excelize, which writes our exports, takes broken XML for the end of the sheet: a damaged
// file would be an audience that is short of rows and no error. It also shows long numbers rounded.
type xlsxSource struct {
	book   *workbook
	part   io.Closer
	budget *budgetReader
	xml    *xml.Decoder
	line   int
	row    []string
	bad    []Code
	max    int // columns
	maxLen int // bytes of a cell that are kept, one more than allowed
}

// openXLSX spools the upload, because a zip is read from its end.
func openXLSX(in *bufio.Reader, tempDir string, limits Limits) (_ source, err error) {
	spool, err := unnamedFile(tempDir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, spool.Close())
		}
	}()
	size, err := io.Copy(spool, in)
	if err != nil {
		return nil, err
	}
	book, err := openWorkbook(spool, size, tempDir, limits)
	if err != nil {
		return nil, err
	}
	sheet, err := book.open(book.sheet)
	if err != nil {
		return nil, errors.Join(err, book.closeTexts())
	}
	budget := &budgetReader{src: sheet, budget: limits.rowBudget()}
	return &xlsxSource{
		book: book, part: sheet, budget: budget, xml: xml.NewDecoder(bufio.NewReaderSize(budget, textBuffer)),
		max: limits.MaxColumns, maxLen: limits.MaxCellBytes + 1,
	}, nil
}

// unnamedFile is a temporary file without a name: it goes when it is closed or the process ends, however it ends.
func unnamedFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "minipush-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (s *xlsxSource) close() error {
	return errors.Join(s.part.Close(), s.book.closeTexts(), s.book.spool.Close())
}

// next reads to the end of the next row. The tokens behind the last row are read too, so that damage there is found.
func (s *xlsxSource) next() (cells, error) {
	s.budget.renew()
	s.row, s.bad = s.row[:0], s.bad[:0]
	for {
		token, err := s.xml.Token()
		if errors.Is(err, io.EOF) {
			return cells{}, io.EOF // the decoder has seen every element closed
		}
		if err != nil {
			return cells{}, s.explain(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			switch t.Name.Local {
			case "row":
				s.line = attrInt(t, "r", s.line+1)
			case "c":
				if err := s.cell(t); err != nil {
					return cells{}, s.explain(err)
				}
			}
		case xml.EndElement:
			if t.Name.Local == "row" {
				return cells{line: s.line, text: s.row, problem: s.bad, ragged: true}, nil
			}
			s.budget.renew() // outside of rows: links, formats and the like may be many, but none is large
		}
	}
}

// explain makes a FileError of what the decoder or the zip reader found.
func (s *xlsxSource) explain(err error) error {
	if _, ok := errors.AsType[*FileError](err); ok {
		return err
	}
	if errors.Is(err, errBudget) {
		return &FileError{Code: RowTooLarge, Line: s.line}
	}
	return &FileError{Code: DamagedXLSX, Line: s.line, Detail: err.Error()}
}

// cell reads one cell to its end and puts it at its place in the row.
func (s *xlsxSource) cell(start xml.StartElement) error {
	place := len(s.row)
	if ref := attr(start, "r"); ref != "" {
		place = columnIndex(ref)
	}
	raw, err := elementText(s.xml, s.maxLen, "v", "t")
	if err != nil {
		return err
	}
	text, problem, err := s.book.show(raw, attr(start, "t"), attrInt(start, "s", 0))
	if err != nil {
		return err
	}
	if place < len(s.row) {
		return errors.New("cells out of order")
	}
	if strings.TrimSpace(text) == "" {
		return nil // a sheet may have formats in all its 16,384 columns
	}
	if place >= s.max {
		return &FileError{Code: TooManyColumns, Line: s.line, Column: s.max + 1, Detail: "at most " + strconv.Itoa(s.max)}
	}
	for len(s.row) < place {
		s.row, s.bad = append(s.row, ""), append(s.bad, "")
	}
	s.row, s.bad = append(s.row, text), append(s.bad, problem)
	return nil
}

// columnIndex is 27 for "AB3"; a reference that is none lies beyond every limit.
func columnIndex(ref string) int {
	n := 0
	for i := range len(ref) {
		c := ref[i] &^ 0x20 // upper case
		if c < 'A' || c > 'Z' {
			break
		}
		if n = n*26 + int(c-'A') + 1; n > 1<<20 {
			break
		}
	}
	if n == 0 {
		return 1 << 20
	}
	return n - 1
}

// elementText reads to the end of the element that has just begun and joins the text of the elements named within it, at most
// limit bytes. Phonetic readings (rPh) are left out.
func elementText(d *xml.Decoder, limit int, names ...string) (string, error) {
	var b strings.Builder
	inside, phonetic := 0, 0 // how deep in a named element, in rPh
	for depth := 1; depth > 0; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.StartElement:
			depth++
			switch {
			case t.Name.Local == "rPh" || phonetic > 0:
				phonetic++
			case inside > 0 || slices.Contains(names, t.Name.Local):
				inside++
			}
		case xml.EndElement:
			depth--
			switch {
			case phonetic > 0:
				phonetic--
			case inside > 0:
				inside--
			}
		case xml.CharData:
			if inside > 0 && phonetic == 0 && b.Len() < limit {
				b.Write(t[:min(len(t), limit-b.Len())])
			}
		}
	}
	return b.String(), nil
}

func attr(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func attrInt(e xml.StartElement, name string, otherwise int) int {
	if n, err := strconv.Atoi(attr(e, name)); err == nil && n >= 0 {
		return n
	}
	return otherwise
}
