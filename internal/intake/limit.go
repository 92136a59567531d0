package intake

import (
	"cmp"
	"errors"
	"fmt"
	"io"
)

// Limits bound a file. A zero field takes the value of [DefaultLimits].
type Limits struct {
	// MaxFileBytes counts the file as it is uploaded.
	MaxFileBytes int64
	// MaxUnpackedBytes counts the parts of an XLSX file unpacked.
	MaxUnpackedBytes int64
	// MaxColumns counts the cells of a row.
	MaxColumns int
	// MaxCellBytes counts the UTF-8 of a cell. A row with a longer one is refused, the others go on.
	MaxCellBytes int
}

// DefaultLimits are 100 MB, 1 GB unpacked, 200 columns and 4 KiB a cell.
func DefaultLimits() Limits {
	return Limits{MaxFileBytes: 100_000_000, MaxUnpackedBytes: 1_000_000_000, MaxColumns: 200, MaxCellBytes: 4096}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	return Limits{
		MaxFileBytes:     cmp.Or(l.MaxFileBytes, d.MaxFileBytes),
		MaxUnpackedBytes: cmp.Or(l.MaxUnpackedBytes, d.MaxUnpackedBytes),
		MaxColumns:       cmp.Or(l.MaxColumns, d.MaxColumns),
		MaxCellBytes:     cmp.Or(l.MaxCellBytes, d.MaxCellBytes),
	}
}

// rowBudget is more than a good row takes, with its quotes or tags and what is read ahead.
func (l Limits) rowBudget() int64 {
	return int64(l.MaxColumns)*int64(l.MaxCellBytes+128) + 2*textBuffer
}

func sizeDetail(bytes int64) string { return fmt.Sprintf("at most %d bytes", bytes) }

// errBudget ends the reading of a row that is larger than any good row.
var errBudget = errors.New("row exceeds its budget")

// budgetReader fails when more than its budget was read since it was last renewed: no row can fill the memory.
type budgetReader struct {
	src          io.Reader
	budget, left int64
	failed       error // what ended the reading other than the end of the text
}

func (b *budgetReader) renew() { b.left = b.budget }

func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.failed = errBudget
		return 0, errBudget
	}
	n, err := b.src.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		b.failed = err
	}
	return n, err
}

// limitReader fails with a FileError of the code when more than its limit is read.
type limitReader struct {
	src   io.Reader
	left  int64
	limit int64
	code  Code
}

func newLimitReader(src io.Reader, limit int64, code Code) *limitReader {
	return &limitReader{src: src, left: limit, limit: limit, code: code}
}

func (l *limitReader) Read(p []byte) (int, error) {
	// One more byte than allowed tells a file at the limit from one over it.
	n, err := l.src.Read(p[:min(int64(len(p)), l.left+1)])
	if l.left -= int64(n); l.left < 0 {
		return 0, &FileError{Code: l.code, Detail: sizeDetail(l.limit)}
	}
	return n, err
}
