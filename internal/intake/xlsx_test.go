package intake_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/xuri/excelize/v2"

	"minipush/internal/intake"
)

// workbook makes an XLSX file with excelize, which writes shared texts as Excel does.
func workbook(t *testing.T, fill func(f *excelize.File)) []byte {
	t.Helper()
	f := excelize.NewFile()
	defer func() { require.NoError(t, f.Close()) }()
	fill(f)
	var out bytes.Buffer
	require.NoError(t, f.Write(&out))
	return out.Bytes()
}

func set(t *testing.T, f *excelize.File, cells map[string]any) {
	t.Helper()
	for place, value := range cells {
		require.NoError(t, f.SetCellValue("Sheet1", place, value))
	}
}

func readXLSX(t *testing.T, file []byte, opts intake.Options) (*intake.Reader, []string, error) {
	t.Helper()
	r, err := intake.Open(bytes.NewReader(file), opts)
	if err != nil {
		return nil, nil, err
	}
	rows, err := readAll(t, r)
	return r, rows, err
}

func fileCode(t *testing.T, err error) intake.Code {
	t.Helper()
	bad, ok := errors.AsType[*intake.FileError](err)
	require.True(t, ok, "%v", err)
	return bad.Code
}

// parts makes a zip of an XLSX file's parts, so that they can be wrong. Those not given are those of a small valid file.
func parts(t *testing.T, given map[string]string) []byte {
	t.Helper()
	all := map[string]string{
		"xl/workbook.xml":            `<workbook xmlns:r="r"><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="rId1" Target="worksheets/sheet1.xml"/></Relationships>`,
		"xl/worksheets/sheet1.xml":   sheet(`<row r="1"><c r="A1"><v>42</v></c></row>`),
	}
	for name, text := range given {
		all[name] = text
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for name, text := range all {
		if text == "" {
			continue
		}
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = io.WriteString(w, text)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return out.Bytes()
}

func sheet(rows string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><worksheet><sheetData>` + rows + `</sheetData></worksheet>`
}

func TestXLSXCellsComeOutAsTheyAreSeen(t *testing.T) {
	t.Parallel()
	style := func(f *excelize.File, place string, s *excelize.Style) {
		id, err := f.NewStyle(s)
		require.NoError(t, err)
		require.NoError(t, f.SetCellStyle("Sheet1", place, place, id))
	}
	zeros, euros, chinese := "000000", `#,##0.00 "days"`, `yyyy"年"m"月"d"日"`
	file := workbook(t, func(f *excelize.File) {
		set(t, f, map[string]any{
			"A1": "用户ID", "B1": "值", "A2": 42, "B2": 0.1 + 0.2, "A3": "0043", "B3": 1.23457e+15, "A4": 123456789012345, "B4": true,
			"A5": 44, "B5": time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), "A6": 45, "B6": time.Date(2026, 12, 1, 10, 30, 0, 0, time.UTC),
			"A7": 46, "B7": 46357, "A8": 47, "B8": 12345.5, "A9": 48, "B9": 0.5, "A11": "  49 ", "B11": "a<b>&\"c\" 张三", "A12": 50, "C12": "",
		})
		style(f, "A2", &excelize.Style{CustomNumFmt: &zeros})
		style(f, "B5", &excelize.Style{NumFmt: 14})
		style(f, "B6", &excelize.Style{NumFmt: 22})
		style(f, "B7", &excelize.Style{CustomNumFmt: &chinese})
		style(f, "B8", &excelize.Style{CustomNumFmt: &euros})
		style(f, "B9", &excelize.Style{NumFmt: 20})
		require.NoError(t, f.SetCellRichText("Sheet1", "B10", []excelize.RichTextRun{{Text: "rich"}, {Text: "text"}}))
		require.NoError(t, f.SetCellValue("Sheet1", "A10", 51))
	})
	r, rows, err := readXLSX(t, file, intake.Options{Filename: "名单.xlsx"})
	require.Equal(t, io.EOF, err)
	require.Equal(t, []string{"值"}, r.Columns())
	require.Equal(t, []string{
		"2 000042|0.3", "3 0043|1234570000000000", "4 123456789012345|TRUE", "5 44|2026-12-01", "6 45|2026-12-01 10:30:00",
		"7 46|2026-12-01", "8 47|12345.5", "9 48|12:00:00", "10 51|richtext", "11 49|a<b>&\"c\" 张三", "12 50|",
	}, rows)
}

func TestXLSXBadRowIsRefusedAndReadingGoesOn(t *testing.T) {
	t.Parallel()
	rows := `<row r="1"><c r="A1" t="inlineStr"><is><t>user_id</t></is></c><c r="B1" t="str"><v>b</v></c></row>
		<row r="2"><c r="A2"><v>1234567890123450</v></c></row>
		<row r="3"><c r="A3"><v>1.23456789012345E+15</v></c><c r="B3"><v>x</v></c></row>
		<row r="4"><c r="A4"><v>123456789012345</v></c><c r="B4"><v>1234567890123456</v></c></row>
		<row r="5"><c r="A5" t="e"><f>VLOOKUP()</f><v>#N/A</v></c></row>
		<row r="6"><c r="A6"><v>6</v></c><c r="B6" t="e"><v>#REF!</v></c></row>
		<row r="7"><c r="B7"><v>7</v></c></row>
		<row r="8"><c r="A8"><v>8</v></c><c r="C8"><v>1</v></c></row>
		<row r="10"><c t="inlineStr"><is><t>10</t><rPh><t>ten</t></rPh></is></c><c t="str"><f>A1&amp;"x"</f><v>x</v></c></row>
		<row><c><v>11</v></c></row><row r="12" spans="1:2"/>
		<row r="13"><c r="A13"><v>4E1</v></c><c r="XFD13" s="3"/></row>`
	_, got, err := readXLSX(t, parts(t, map[string]string{"xl/worksheets/sheet1.xml": sheet(rows)}), intake.Options{})
	require.Equal(t, io.EOF, err)
	require.Equal(t, []string{
		"2:1 digits_lost 1234567890123450", "3:1 digits_lost 1234567890123450", "4 123456789012345|1234567890123456", "5:1 cell_error #N/A",
		"6:2 cell_error 6", "7:1 blank ", "8:0 column_count 8", "10 10|x", "11 11|", "13 40|",
	}, got)
}

func TestXLSXFirstVisibleSheetIsRead(t *testing.T) {
	t.Parallel()
	file := parts(t, map[string]string{
		"xl/workbook.xml": `<workbook xmlns:r="r"><workbookPr date1904="1"/><sheets><sheet name="H" state="hidden" r:id="rId1"/>
			<sheet name="V" r:id="rId2"/><sheet name="W" r:id="rId1"/></sheets></workbook>`,
		"xl/_rels/workbook.xml.rels": `<Relationships><Relationship Id="rId2" Target="/xl/other/Two.xml"/><Relationship Id="rId1" Target="x.xml"/></Relationships>`,
		`xl\Other\two.xml`:           sheet(`<row><c s="1"><v>1</v></c></row>`),
		"xl/styles.xml":              `<styleSheet><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>`,
	})
	_, rows, err := readXLSX(t, file, intake.Options{})
	require.Equal(t, io.EOF, err)
	require.Equal(t, []string{"1 1904-01-02"}, rows)
}

func TestXLSXThatIsDamagedNeverEndsEarly(t *testing.T) {
	t.Parallel()
	row := `<row r="1"><c r="A1"><v>42</v></c></row>`
	for name, test := range map[string]struct {
		parts map[string]string
		want  intake.Code
	}{
		"sheet cut between rows":   {map[string]string{"xl/worksheets/sheet1.xml": `<worksheet><sheetData>` + row}, intake.DamagedXLSX},
		"sheet cut within a row":   {map[string]string{"xl/worksheets/sheet1.xml": `<worksheet><sheetData>` + row[:20]}, intake.DamagedXLSX},
		"broken behind the rows":   {map[string]string{"xl/worksheets/sheet1.xml": `<worksheet><sheetData>` + row + `</sheetData><x`}, intake.DamagedXLSX},
		"tags that do not match":   {map[string]string{"xl/worksheets/sheet1.xml": `<worksheet><sheetData>` + row + `</row></sheetData></worksheet>`}, intake.DamagedXLSX},
		"no such shared text":      {map[string]string{"xl/worksheets/sheet1.xml": sheet(`<row><c t="s"><v>0</v></c></row>`)}, intake.DamagedXLSX},
		"cells out of order":       {map[string]string{"xl/worksheets/sheet1.xml": sheet(`<row><c r="B1"><v>1</v></c><c r="A1"><v>2</v></c></row>`)}, intake.DamagedXLSX},
		"no rows":                  {map[string]string{"xl/worksheets/sheet1.xml": sheet("")}, intake.EmptyFile},
		"a document, not a sheet":  {map[string]string{"xl/workbook.xml": ""}, intake.NotXLSX},
		"no visible sheet":         {map[string]string{"xl/workbook.xml": `<workbook><sheets/></workbook>`}, intake.NotXLSX},
		"sheet missing":            {map[string]string{"xl/worksheets/sheet1.xml": ""}, intake.NotXLSX},
		"too many columns":         {map[string]string{"xl/worksheets/sheet1.xml": sheet(`<row><c r="GS1"><v>1</v></c></row>`)}, intake.TooManyColumns},
		"a reference that is none": {map[string]string{"xl/worksheets/sheet1.xml": sheet(`<row><c r="1"><v>1</v></c></row>`)}, intake.TooManyColumns},
	} {
		_, _, err := readXLSX(t, parts(t, test.parts), intake.Options{})
		require.Equal(t, test.want, fileCode(t, err), name)
	}
	_, rows, err := readXLSX(t, parts(t, map[string]string{"xl/worksheets/sheet1.xml": sheet(`<row><c r="GR1"><v>1</v></c></row>`)}), intake.Options{IDColumn: "200"})
	require.Equal(t, io.EOF, err, "200 columns are allowed")
	require.Len(t, rows, 1)

	whole := parts(t, nil)
	for n := 8; n < len(whole); n += 7 {
		_, _, err := readXLSX(t, whole[:n], intake.Options{})
		require.Equal(t, intake.DamagedXLSX, fileCode(t, err), "cut to %d bytes", n)
	}
	flipped := bytes.Replace(whole, []byte("worksheets/sheet1.xml"), []byte("worksheets/sheet9.xml"), 1)
	_, _, err = readXLSX(t, flipped, intake.Options{})
	require.Error(t, err)
}

func TestXLSXBombIsRefused(t *testing.T) {
	t.Parallel()
	limits := intake.Limits{MaxUnpackedBytes: 1_000_000}
	row := `<row><c><v>42</v></c></row>`
	for name, test := range map[string]struct {
		parts map[string]string
		want  intake.Code
	}{
		"many rows":           {map[string]string{"xl/worksheets/sheet1.xml": sheet(strings.Repeat(row, 100_000))}, intake.UnpackedTooLarge},
		"many texts":          {map[string]string{"xl/sharedStrings.xml": `<sst>` + strings.Repeat(`<si/>`, 300_000) + `</sst>`}, intake.UnpackedTooLarge},
		"blanks":              {map[string]string{"xl/worksheets/sheet1.xml": sheet(row + strings.Repeat(" ", 2_000_000))}, intake.UnpackedTooLarge},
		"parts together":      {map[string]string{"xl/styles.xml": `<a>` + strings.Repeat(" ", 600_000) + `</a>`, "xl/worksheets/sheet1.xml": sheet(strings.Repeat(row, 20_000))}, intake.UnpackedTooLarge},
		"entities do nothing": {map[string]string{"xl/worksheets/sheet1.xml": `<!DOCTYPE x [<!ENTITY a "aaaa">]>` + sheet(`<row><c><v>&a;</v></c></row>`)}, intake.DamagedXLSX},
	} {
		_, _, err := readXLSX(t, parts(t, test.parts), intake.Options{Limits: limits})
		require.Equal(t, test.want, fileCode(t, err), name)
	}
	// Nothing of one part may fill the memory, though the file as a whole is within its limit.
	huge := strings.Repeat("x", 5_000_000)
	for name, p := range map[string]map[string]string{
		"a cell":       {"xl/worksheets/sheet1.xml": sheet(`<row><c t="str"><v>` + huge + `</v></c></row>`)},
		"an attribute": {"xl/worksheets/sheet1.xml": sheet(`<row><c t="` + huge + `"><v>1</v></c></row>`)},
		"a text":       {"xl/sharedStrings.xml": `<sst><si><t>` + huge + `</t></si></sst>`},
	} {
		_, _, err := readXLSX(t, parts(t, p), intake.Options{})
		require.Contains(t, []intake.Code{intake.RowTooLarge, intake.DamagedXLSX}, fileCode(t, err), name)
	}
	var many bytes.Buffer
	z := zip.NewWriter(&many)
	for i := range 30_000 {
		_, err := z.Create(fmt.Sprintf("xl/%d.xml", i))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	_, _, err := readXLSX(t, many.Bytes(), intake.Options{})
	require.ErrorContains(t, err, "the list of its files is too long")
}

func TestXLSXAtItsLimits(t *testing.T) {
	t.Parallel()
	file := parts(t, nil)
	unpacked := int64(0)
	z, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	require.NoError(t, err)
	for _, f := range z.File {
		unpacked += int64(f.UncompressedSize64) //nolint:gosec // small
	}
	_, rows, err := readXLSX(t, file, intake.Options{Limits: intake.Limits{MaxUnpackedBytes: unpacked, MaxFileBytes: int64(len(file))}})
	require.Equal(t, io.EOF, err)
	require.Len(t, rows, 1)
	_, _, err = readXLSX(t, file, intake.Options{Limits: intake.Limits{MaxUnpackedBytes: unpacked - 1}})
	require.Equal(t, intake.UnpackedTooLarge, fileCode(t, err))
	_, _, err = readXLSX(t, file, intake.Options{Limits: intake.Limits{MaxFileBytes: int64(len(file)) - 1}})
	require.Equal(t, intake.FileTooLarge, fileCode(t, err))

	long := parts(t, map[string]string{
		"xl/sharedStrings.xml":     `<sst><si><t>` + strings.Repeat("x", 100) + `</t></si><si><t>` + strings.Repeat("y", 101) + `</t></si></sst>`,
		"xl/worksheets/sheet1.xml": sheet(`<row><c><v>1</v></c><c t="s"><v>0</v></c></row><row><c><v>2</v></c><c t="s"><v>1</v></c></row>`),
	})
	_, rows, err = readXLSX(t, long, intake.Options{Limits: intake.Limits{MaxCellBytes: 100}})
	require.Equal(t, io.EOF, err)
	require.Equal(t, []string{"1 1|" + strings.Repeat("x", 100), "2:2 cell_too_long 2"}, rows)
}

func TestXLSXLeavesNoFileBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := workbook(t, func(f *excelize.File) { set(t, f, map[string]any{"A1": "user_id", "A2": "x"}) })
	r, err := intake.Open(bytes.NewReader(file), intake.Options{TempDir: dir})
	require.NoError(t, err)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries, "not even while it is read: a killed process leaves none")
	require.NoError(t, r.Close())
}

func BenchmarkXLSX(b *testing.B) {
	const rows = 100_000
	f := excelize.NewFile()
	w, err := f.NewStreamWriter("Sheet1")
	require.NoError(b, err)
	for i := range rows {
		require.NoError(b, w.SetRow(fmt.Sprintf("A%d", i+1), []any{fmt.Sprintf("u%d", i), "张三"}))
	}
	require.NoError(b, w.Flush())
	var file bytes.Buffer
	require.NoError(b, f.Write(&file))
	b.ReportAllocs()
	for b.Loop() {
		r, err := intake.Open(bytes.NewReader(file.Bytes()), intake.Options{})
		require.NoError(b, err)
		for err == nil {
			_, err = r.Next()
		}
		require.Equal(b, io.EOF, err)
		require.NoError(b, r.Close())
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
