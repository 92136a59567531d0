package intake

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Options say what is known of an upload.
type Options struct {
	// Filename tells the format by its ending: .csv, .tsv, .txt or .xlsx. It is not opened.
	Filename string
	// ContentType tells the format where the name does not. Where neither does, the content is looked at.
	ContentType string
	// IDColumn names the id column: its header, or its number from 1. Empty: see the package documentation.
	IDColumn string
	// Header says that the first row is a header, whatever it looks like.
	Header bool
	// TempDir is where XLSX files are unpacked. Empty: the system's directory.
	TempDir string
	Limits  Limits
}

// IDKind says what the ids of an audience are.
type IDKind string

// The kinds of id.
const (
	UserIDs IDKind = "user_id"
	OpenIDs IDKind = "openid"
)

// Row is one row of an audience. Vars holds the cells beside the id in the order of Columns; it is valid until the next row.
type Row struct {
	Line int
	ID   string
	Vars []string
}

// cells is one row as a source reads it. The slices are reused.
type cells struct {
	line int
	text []string
	// problem holds what is wrong with a cell, by its place; shorter than text or nil where nothing is.
	problem []Code
	// ragged says that the format leaves blank cells out, so that a short row is a whole one.
	ragged bool
}

// source reads rows of one format. next ends with io.EOF or a *FileError, or an error of the underlying reader.
type source interface {
	next() (cells, error)
	close() error
}

// Reader reads an audience row by row. It is not safe for concurrent use. Close it.
type Reader struct {
	src     source
	limits  Limits
	peeked  []cells // rows read ahead to see whether there is a header
	width   int     // columns of the file
	id      int     // index of the id column
	columns []string
	names   []string // the header with all its columns; nil where there is none
	sure    bool     // see Sure
	kind    IDKind
	vars    []string
}

// Open begins to read an audience. It reads as far as the second row; XLSX files it reads whole into a temporary file.
// The error is a [*FileError] if the file is at fault.
func Open(r io.Reader, opts Options) (*Reader, error) {
	limits := opts.Limits.orDefault()
	in := bufio.NewReaderSize(newLimitReader(r, limits.MaxFileBytes, FileTooLarge), textBuffer)
	src, err := openSource(in, opts, limits)
	if err != nil {
		return nil, err
	}
	rd := &Reader{src: src, limits: limits}
	if err := rd.begin(strings.TrimSpace(opts.IDColumn), opts.Header); err != nil {
		return nil, errors.Join(err, src.close())
	}
	return rd, nil
}

func openSource(in *bufio.Reader, opts Options, limits Limits) (source, error) {
	head, err := in.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	mediaType, _, _ := strings.Cut(strings.ToLower(opts.ContentType), ";")
	mediaType = strings.TrimSpace(mediaType)
	ending := strings.ToLower(path.Ext(opts.Filename))
	switch {
	case len(head) == 0:
		return nil, &FileError{Code: EmptyFile}
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return openXLSX(in, opts.TempDir, limits)
	case bytes.HasPrefix(head, []byte{0xD0, 0xCF, 0x11, 0xE0}): // an OLE container: Excel before 2007, or encrypted
		return nil, &FileError{Code: OldExcel}
	case ending == ".xlsx" || (ending == "" && strings.HasSuffix(mediaType, "spreadsheetml.sheet")):
		return nil, &FileError{Code: NotXLSX}
	case ending == ".txt" || (ending == "" && mediaType == "text/plain"):
		return openText(in, limits), nil
	case ending == ".tsv" || (ending == "" && mediaType == "text/tab-separated-values"):
		return openCSV(bufio.NewReaderSize(utf8Reader(in), textBuffer), '\t', limits), nil
	}
	text := bufio.NewReaderSize(utf8Reader(in), textBuffer)
	return openCSV(text, sniffSeparator(text), limits), nil
}

// Columns are the names of the columns beside the id, as Row.Vars holds them: recipient.<name> in a template.
func (r *Reader) Columns() []string { return r.columns }

// IDKind says what the ids are.
func (r *Reader) IDKind() IDKind { return r.kind }

// Close frees what the reader holds. It does not close the reader given to Open.
func (r *Reader) Close() error { return r.src.close() }

// Next returns the next row. At the end it returns [io.EOF]. A [*RowError] refuses one row and reading goes on; after any other
// error, a [*FileError] if the file is at fault, it does not.
func (r *Reader) Next() (Row, error) {
	row, err := r.read()
	if err != nil {
		return Row{}, err
	}
	return r.check(row)
}

// read returns the next row that is not blank, without its blank cells at the end.
func (r *Reader) read() (cells, error) {
	if len(r.peeked) > 0 {
		row := r.peeked[0]
		r.peeked = r.peeked[1:]
		return row, nil
	}
	for {
		row, err := r.src.next()
		if err != nil {
			return cells{}, err
		}
		used := 0
		for i, text := range row.text {
			row.text[i] = unguard(strings.TrimSpace(text))
			if row.text[i] != "" {
				used = i + 1
			}
		}
		if used > r.limits.MaxColumns {
			return cells{}, &FileError{Code: TooManyColumns, Line: row.line, Column: r.limits.MaxColumns + 1, Detail: fmt.Sprintf("at most %d", r.limits.MaxColumns)}
		}
		if used == 0 {
			continue
		}
		// A row of text keeps as many cells as it has, to be told from one that has too few.
		row.text = row.text[:max(used, min(len(row.text), r.width))]
		return row, nil
	}
}

// check makes a Row of cells.
func (r *Reader) check(row cells) (Row, error) {
	refuse := func(code Code, column int) (Row, error) {
		e := &RowError{Code: code, Line: row.line, Column: column + 1}
		if r.id < len(row.text) {
			e.Raw = short(row.text[r.id])
		}
		return Row{}, e
	}
	if len(row.text) > r.width || (len(row.text) < r.width && !row.ragged) {
		return refuse(ColumnCount, -1)
	}
	if r.id >= len(row.text) {
		return refuse(Blank, r.id)
	}
	for i, code := range row.problem {
		if code != "" && (i == r.id || code != DigitsLost) {
			return refuse(code, i)
		}
	}
	for i, text := range row.text {
		switch {
		case len(text) > r.limits.MaxCellBytes:
			return refuse(CellTooLong, i)
		case i != r.id && hasControl(text):
			return refuse(ControlCharacter, i)
		}
	}
	id := row.text[r.id]
	checkID := CheckUserID
	if r.kind == OpenIDs {
		checkID = CheckOpenID
	}
	if bad := checkID(id); bad != nil {
		return refuse(bad.Code, r.id)
	}
	r.vars = append(append(r.vars[:0], row.text[:r.id]...), row.text[r.id+1:]...)
	for len(r.vars) < len(r.columns) {
		r.vars = append(r.vars, "")
	}
	return Row{Line: row.line, ID: id, Vars: r.vars}, nil
}

// hasControl looks at bytes first: nearly every cell is done with then.
func hasControl(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == 0x7F {
			return true
		}
		if text[i] >= utf8.RuneSelf {
			return strings.ContainsFunc(text[i:], unicode.IsControl)
		}
	}
	return false
}

// short cuts a cell for a report.
func short(text string) string {
	const most = 64
	if n := 0; len(text) > most {
		for i := range text {
			if n == most {
				return text[:i] + "…"
			}
			n++
		}
	}
	return text
}
