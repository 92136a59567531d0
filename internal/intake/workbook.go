package intake

import (
	"archive/zip"
	"bufio"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxDirectory bounds what the list of a zip's files may take. A workbook has dozens of files; a list of millions is
	// made to fill the memory.
	maxDirectory = 1 << 20
	// maxTexts bounds the shared texts, of which the place of each is held in memory: 4 bytes and, for one in 64, 8 more.
	maxTexts = 8 << 20
	// maxStyles is the most formats that a workbook can have.
	maxStyles = 1 << 16
)

// workbook is what must be known of an XLSX file before a sheet is read.
type workbook struct {
	spool    *os.File
	files    map[string]*zip.File // by lower-case name
	limits   Limits
	unpacked int64 // bytes that may still be unpacked, over all parts
	sheet    string
	date1904 bool
	formats  []numberFormat // by style
	texts    *sharedTexts
}

func openWorkbook(spool *os.File, size int64, tempDir string, limits Limits) (*workbook, error) {
	directory := &limitReaderAt{src: spool, left: maxDirectory}
	z, err := zip.NewReader(directory, size)
	if err != nil {
		return nil, &FileError{Code: DamagedXLSX, Detail: err.Error()}
	}
	directory.left = -1 // read: from here on the parts have their own limit
	w := &workbook{spool: spool, files: map[string]*zip.File{}, limits: limits, unpacked: limits.MaxUnpackedBytes}
	for _, f := range z.File {
		w.files[strings.ToLower(strings.ReplaceAll(f.Name, `\`, "/"))] = f
	}
	steps := []func() error{w.readBook, w.readStyles, func() error { return w.readTexts(tempDir) }}
	for _, step := range steps {
		if err := step(); err != nil {
			if _, ok := errors.AsType[*FileError](err); !ok {
				err = &FileError{Code: DamagedXLSX, Detail: err.Error()}
			}
			return nil, errors.Join(err, w.closeTexts())
		}
	}
	return w, nil
}

// open unpacks a part. What it yields counts against the limit for the whole file.
func (w *workbook) open(name string) (io.ReadCloser, error) {
	f := w.files[strings.ToLower(name)]
	if f == nil {
		return nil, &FileError{Code: NotXLSX, Detail: "it has no " + name}
	}
	part, err := f.Open()
	if err != nil {
		return nil, &FileError{Code: DamagedXLSX, Detail: err.Error()}
	}
	return &partReader{book: w, part: part}, nil
}

// each calls visit for every element that begins in a part. visit may read the element to its end.
func (w *workbook) each(name string, visit func(*xml.Decoder, xml.StartElement) error) (err error) {
	part, err := w.open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, part.Close()) }()
	budget := &budgetReader{src: part, budget: w.limits.rowBudget()}
	d := xml.NewDecoder(bufio.NewReaderSize(budget, textBuffer))
	for {
		budget.renew()
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if start, ok := token.(xml.StartElement); ok {
			if err := visit(d, start); err != nil {
				return err
			}
		}
	}
}

// readBook finds the first sheet that is not hidden.
func (w *workbook) readBook() error {
	id := ""
	err := w.each("xl/workbook.xml", func(_ *xml.Decoder, e xml.StartElement) error {
		switch {
		case e.Name.Local == "workbookPr":
			date1904 := attr(e, "date1904")
			w.date1904 = date1904 == "1" || date1904 == "true"
		case e.Name.Local == "sheet" && id == "" && (attr(e, "state") == "" || attr(e, "state") == "visible"):
			id = attr(e, "id")
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = w.each("xl/_rels/workbook.xml.rels", func(_ *xml.Decoder, e xml.StartElement) error {
		if e.Name.Local == "Relationship" && attr(e, "Id") == id {
			w.sheet = strings.TrimPrefix(path.Join("/xl", attr(e, "Target")), "/")
			if strings.HasPrefix(attr(e, "Target"), "/") {
				w.sheet = strings.TrimPrefix(attr(e, "Target"), "/")
			}
		}
		return nil
	})
	if err == nil && w.sheet == "" {
		return &FileError{Code: NotXLSX, Detail: "it has no visible sheet"}
	}
	return err
}

// readStyles reads which styles show a number as a date or with leading zeros.
func (w *workbook) readStyles() error {
	const part = "xl/styles.xml"
	if w.files[part] == nil {
		return nil
	}
	codes := map[int]string{}
	inCells := false
	return w.each(part, func(_ *xml.Decoder, e xml.StartElement) error {
		switch e.Name.Local {
		case "numFmt":
			codes[attrInt(e, "numFmtId", 0)] = attr(e, "formatCode")
		case "cellXfs":
			inCells = true
		case "cellStyles", "dxfs":
			inCells = false
		case "xf":
			if inCells {
				w.formats = append(w.formats, newNumberFormat(attrInt(e, "numFmtId", 0), codes))
			}
		}
		if len(w.formats) > maxStyles || len(codes) > maxStyles {
			return errors.New("too many styles")
		}
		return nil
	})
}

func (w *workbook) readTexts(tempDir string) error {
	const part = "xl/sharedstrings.xml"
	if w.files[part] == nil {
		return nil
	}
	file, err := unnamedFile(tempDir)
	if err != nil {
		return err
	}
	w.texts = &sharedTexts{file: file}
	out := bufio.NewWriterSize(file, textBuffer)
	err = w.each(part, func(d *xml.Decoder, e xml.StartElement) error {
		if e.Name.Local != "si" {
			return nil
		}
		text, err := elementText(d, w.limits.MaxCellBytes+1, "t")
		if err != nil {
			return err
		}
		return w.texts.add(out, text)
	})
	return errors.Join(err, out.Flush())
}

func (w *workbook) closeTexts() error {
	if w.texts == nil {
		return nil
	}
	return w.texts.file.Close()
}

// sharedTexts are the texts of a workbook, which cells name by number, in a temporary file: a column of a million different
// ids is a million texts.
type sharedTexts struct {
	file    *os.File
	starts  []int64  // where every 64th text begins
	offsets []uint32 // where a text begins, from the start of its 64
	end     int64
	buf     []byte
}

const textBlock = 64

func (t *sharedTexts) add(out *bufio.Writer, text string) error {
	if len(t.offsets) == maxTexts {
		return &FileError{Code: UnpackedTooLarge, Detail: "at most " + strconv.Itoa(maxTexts) + " different texts"}
	}
	if len(t.offsets)%textBlock == 0 {
		t.starts = append(t.starts, t.end)
	}
	t.offsets = append(t.offsets, uint32(t.end-t.starts[len(t.starts)-1])) //nolint:gosec // 64 texts of at most 1 MB
	t.end += int64(len(text))
	_, err := out.WriteString(text)
	return err
}

// get reads the text with a number.
func (t *sharedTexts) get(number int) (string, error) {
	if t == nil || number < 0 || number >= len(t.offsets) {
		return "", errors.New("a cell names a text that is not there")
	}
	start := t.starts[number/textBlock] + int64(t.offsets[number])
	end := t.end
	if next := number + 1; next < len(t.offsets) {
		end = t.starts[next/textBlock] + int64(t.offsets[next])
	}
	t.buf = slices.Grow(t.buf[:0], int(end-start))[:end-start]
	if _, err := t.file.ReadAt(t.buf, start); err != nil {
		return "", err
	}
	return string(t.buf), nil
}

// partReader counts what is unpacked.
type partReader struct {
	book *workbook
	part io.ReadCloser
}

func (p *partReader) Read(b []byte) (int, error) {
	n, err := p.part.Read(b)
	if p.book.unpacked -= int64(n); p.book.unpacked < 0 {
		return 0, &FileError{Code: UnpackedTooLarge, Detail: sizeDetail(p.book.limits.MaxUnpackedBytes)}
	}
	return n, err
}

func (p *partReader) Close() error { return p.part.Close() }

// limitReaderAt reads at most left bytes in all; a negative number is no limit.
type limitReaderAt struct {
	src  io.ReaderAt
	left int64
}

func (l *limitReaderAt) ReadAt(b []byte, at int64) (int, error) {
	if l.left >= 0 {
		if l.left -= int64(len(b)); l.left < 0 {
			return 0, errors.New("the list of its files is too long")
		}
	}
	return l.src.ReadAt(b, at)
}
