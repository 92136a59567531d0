package export

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/xuri/excelize/v2"
)

// MaxSheetRows is what one sheet of a workbook holds, without its header.
const MaxSheetRows = 1_048_576 - 1

// ErrTooManyRows says that the rows do not fit one sheet; CSV has no such limit, and one state may have fewer.
var ErrTooManyRows = errors.New("a sheet holds at most 1,048,575 rows; export as CSV, or one state")

// XLSX writes the rows as a workbook, and returns how many there were. The workbook is whole before its first byte is
// written; its rows wait in a temporary file. Every cell is text, so that nothing is run as a formula and no id is rounded.
func (r Results) XLSX(ctx context.Context, w io.Writer) (int, error) {
	own, err := r.uploadColumns(ctx)
	if err != nil {
		return 0, err
	}
	book := excelize.NewFile()
	defer func() { _ = book.Close() }() // removes the temporary file
	sheet, err := book.NewStreamWriter(book.GetSheetName(0))
	if err != nil {
		return 0, fmt.Errorf("begin workbook: %w", err)
	}
	if err := setRow(sheet, 1, header(own)); err != nil {
		return 0, err
	}
	n := 0
	for row, err := range r.rows(ctx, len(own)) {
		if err != nil {
			return 0, err
		}
		if n++; n > MaxSheetRows {
			return 0, ErrTooManyRows
		}
		if err := setRow(sheet, n+1, row); err != nil {
			return 0, err
		}
	}
	if err := sheet.Flush(); err != nil {
		return 0, fmt.Errorf("end workbook: %w", err)
	}
	if err := book.Write(w); err != nil {
		return 0, fmt.Errorf("write workbook: %w", err)
	}
	return n, nil
}

func setRow(sheet *excelize.StreamWriter, line int, row []string) error {
	cells := make([]any, len(row))
	for i, value := range row {
		cells[i] = value
	}
	if err := sheet.SetRow("A"+strconv.Itoa(line), cells); err != nil {
		return fmt.Errorf("write workbook: %w", err)
	}
	return nil
}
