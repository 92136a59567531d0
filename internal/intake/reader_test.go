package intake_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"

	"minipush/internal/intake"
)

// readAll returns every row as "line id|var|var" and every refusal as "line:column code raw".
func readAll(t *testing.T, r *intake.Reader) (rows []string, end error) {
	t.Helper()
	for {
		row, err := r.Next()
		if bad, ok := errors.AsType[*intake.RowError](err); ok {
			rows = append(rows, fmt.Sprintf("%d:%d %s %s", bad.Line, bad.Column, bad.Code, bad.Raw))
			continue
		}
		if err != nil {
			require.NoError(t, r.Close())
			return rows, err
		}
		rows = append(rows, fmt.Sprintf("%d %s", row.Line, strings.Join(append([]string{row.ID}, row.Vars...), "|")))
	}
}

func openCSV(t *testing.T, text string, opts intake.Options) *intake.Reader {
	t.Helper()
	if opts.Filename == "" {
		opts.Filename = "a.csv"
	}
	r, err := intake.Open(strings.NewReader(text), opts)
	require.NoError(t, err)
	return r
}

func encode(t *testing.T, e encoding.Encoding, text string) string {
	t.Helper()
	encoded, err := e.NewEncoder().String(text)
	require.NoError(t, err)
	return encoded
}

func TestEveryFormatAndEncodingYieldsTheSameRows(t *testing.T) {
	t.Parallel()
	const table = "用户ID,姓名\n42,张三\n43,李四\n"
	tabs, semicolons := strings.ReplaceAll(table, ",", "\t"), strings.ReplaceAll(table, ",", ";")
	utf16 := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM)
	for name, file := range map[string]struct{ name, mediaType, text string }{
		"CSV":                        {"a.csv", "", table},
		"CSV with BOM and CRLF":      {"A.CSV", "", "\ufeff" + strings.ReplaceAll(table, "\n", "\r\n")},
		"CSV without a last newline": {"a.csv", "", strings.TrimSuffix(table, "\n")},
		"CSV with quotes":            {"a.csv", "", "\"用户ID\",\"姓名\"\n\"42\",张三\n43,\"李四\""},
		"CSV in GB18030":             {"a.csv", "", encode(t, simplifiedchinese.GB18030, table)},
		"CSV in GBK":                 {"a.csv", "", encode(t, simplifiedchinese.GBK, table)},
		"CSV in UTF-16 LE":           {"a.csv", "", encode(t, utf16, table)},
		"CSV in UTF-16 BE":           {"a.csv", "", encode(t, unicode.UTF16(unicode.BigEndian, unicode.UseBOM), table)},
		"CSV with semicolons":        {"a.csv", "", semicolons},
		"CSV with tabs":              {"a.csv", "", tabs},
		"TSV":                        {"a.tsv", "", tabs},
		"Excel's Unicode text":       {"a.txt", "", encode(t, utf16, tabs)},
		"by media type":              {"", "text/csv; charset=utf-8", table},
		"by nothing":                 {"", "", table},
		"tabs by media type":         {"", "text/tab-separated-values", tabs},
		"name before media type":     {"a.csv", "text/plain", table},
	} {
		opts := intake.Options{Filename: file.name, ContentType: file.mediaType}
		for _, in := range []io.Reader{strings.NewReader(file.text), iotest.OneByteReader(strings.NewReader(file.text)), iotest.DataErrReader(strings.NewReader(file.text))} {
			r, err := intake.Open(in, opts)
			require.NoError(t, err, name)
			require.Equal(t, []string{"姓名"}, r.Columns(), name)
			require.Equal(t, intake.UserIDs, r.IDKind(), name)
			rows, err := readAll(t, r)
			require.Equal(t, io.EOF, err, name)
			require.Equal(t, []string{"2 42|张三", "3 43|李四"}, rows, name)
		}
	}
}

func TestTextIsOneIDALine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"42\n43\n":               {"1 42", "2 43"},
		"42\r\n\r\n  43  \r\n\n": {"1 42", "3 43"},
		"user_id\n42":            {"2 42"},
		"用户ID\r\n42":             {"2 42"},
		"42":                     {"1 42"},
		"4,2\n\"43\n":            {"1 4,2", "2 \"43"}, // neither separators nor quotes
		"42\n4 3\n\x00\n44\n":    {"1 42", "2:1 bad_characters 4 3", "3:1 bad_characters \x00", "4 44"},
		"42\n张三\n":               {"1 42", "2 张三"},
		encode(t, simplifiedchinese.GB18030, "42\n张三\n"): {"1 42", "2 张三"},
	} {
		r := openCSV(t, text, intake.Options{Filename: "a.txt"})
		require.Empty(t, r.Columns())
		rows, err := readAll(t, r)
		require.Equal(t, io.EOF, err)
		require.Equal(t, want, rows, "%q", text)
	}
}

func TestHeaderAndIDColumn(t *testing.T) {
	t.Parallel()
	const openID = "oABCDEFGHIJKLMNOPQRSTUVWXYZ0"
	for name, test := range map[string]struct {
		text, idColumn string
		columns        []string
		kind           intake.IDKind
		first          string
	}{
		"known name":                     {"name,User ID\nLi,42\n", "", []string{"name"}, intake.UserIDs, "2 42|Li"},
		"known name in Chinese":          {"城市 , 用户id \n北京,42\n", "", []string{"城市"}, intake.UserIDs, "2 42|北京"},
		"known openid":                   {"OpenID,name\nx,Li\n", "", []string{"name"}, intake.OpenIDs, "2 x|Li"},
		"user id before openid":          {"openid,uid\nx,42\n", "", []string{"openid"}, intake.UserIDs, "2 42|x"},
		"openid by parameter":            {"uid,open_id\n42,x\n", "OPENID", []string{"uid"}, intake.OpenIDs, "2 x|42"},
		"name by parameter":              {"name,customer\nLi,42\n", "customer", []string{"name"}, intake.UserIDs, "2 42|Li"},
		"exact name before similar":      {"Code,code\n1,2\n", "code", []string{"Code"}, intake.UserIDs, "2 2|1"},
		"number by parameter":            {"name,user_id\nLi,42\n", "2", []string{"name"}, intake.UserIDs, "2 42|Li"},
		"number beside a known name":     {"user_id,card\n42,77\n", "2", []string{"user_id"}, intake.UserIDs, "2 77|42"},
		"number without a header":        {"Li,42\nXu,43\n", "2", []string{"column_1"}, intake.UserIDs, "1 42|Li"},
		"a name that is a number":        {"1,2\n42,Li\n", "2", []string{"1"}, intake.UserIDs, "2 Li|42"},
		"no header":                      {"42,Li\n43,Xu\n", "", []string{"column_2"}, intake.UserIDs, "1 42|Li"},
		"no header, one row":             {"42,Li", "", []string{"column_2"}, intake.UserIDs, "1 42|Li"},
		"no header, openids":             {openID + ",Li\n", "", []string{"column_2"}, intake.OpenIDs, "1 " + openID + "|Li"},
		"unknown Chinese header":         {"编码,城市\n42,北京\n", "", []string{"城市"}, intake.UserIDs, "2 42|北京"},
		"unknown header, openids":        {"编码\n" + openID + "\n", "", nil, intake.OpenIDs, "2 " + openID},
		"header with a space":            {"customer code,b\n42,x\n", "", []string{"b"}, intake.UserIDs, "2 42|x"},
		"Chinese ids are no header":      {"张三\n李四\n", "", nil, intake.UserIDs, "1 张三"},
		"a lone Chinese row is data":     {"张三\n", "", nil, intake.UserIDs, "1 张三"},
		"an unknown ASCII word is data":  {"customer\n42\n", "", nil, intake.UserIDs, "1 customer"},
		"a mere id":                      {"ID,b\n42,x\n", "", []string{"b"}, intake.UserIDs, "2 42|x"},
		"a mere id that is a value":      {"42,ID\n43,CN\n", "", []string{"column_2"}, intake.UserIDs, "1 42|ID"},
		"blank rows before":              {"\n,\n\nuser_id,b\n42,x\n", "", []string{"b"}, intake.UserIDs, "5 42|x"},
		"blank header cells at the end":  {"user_id,b,, \n42,x,,\n", "", []string{"b"}, intake.UserIDs, "2 42|x"},
		"white space of other alphabets": {"\u3000user_id\u00a0,b\n\u300042\u00a0,x\n", "", []string{"b"}, intake.UserIDs, "2 42|x"},
	} {
		r := openCSV(t, test.text, intake.Options{IDColumn: test.idColumn})
		require.Equal(t, test.columns, r.Columns(), name)
		require.Equal(t, test.kind, r.IDKind(), name)
		rows, err := readAll(t, r)
		require.Equal(t, io.EOF, err, name)
		require.Equal(t, test.first, rows[0], name)
	}
}

func TestBadRowIsRefusedAndReadingGoesOn(t *testing.T) {
	t.Parallel()
	const limit = 200
	for row, want := range map[string]string{
		",x":                             "3:1 blank ",
		"  ,x":                           "3:1 blank ",
		strings.Repeat("u", 64) + ",x":   "3 " + strings.Repeat("u", 64) + "|x",
		strings.Repeat("户", 64) + ",x":   "3 " + strings.Repeat("户", 64) + "|x",
		strings.Repeat("u", 65) + ",x":   "3:1 too_long " + strings.Repeat("u", 64) + "…",
		"4 2,x":                          "3:1 bad_characters 4 2",
		"4\u200b2,x":                     "3:1 bad_characters 4\u200b2",
		"\"4\n2\",x":                     "3:1 bad_characters 4\n2",
		"42," + strings.Repeat("x", 200): "3 42|" + strings.Repeat("x", limit),
		"42," + strings.Repeat("x", 201): "3:2 cell_too_long 42",
		"42,\"a\nb\"":                    "3:2 control_character 42",
		"42,a\tb":                        "3:2 control_character 42",
		"42,a\u0085b":                    "3:2 control_character 42",
		"42":                             "3:0 column_count 42",
		"42,x,y":                         "3:0 column_count 42",
		"42,x,,":                         "3 42|x", // Excel writes blank cells at the end
		"42,":                            "3 42|",
		"'=42,'@x":                       "3 =42|@x", // SafeCSV put the apostrophes there
		"42,'x":                          "3 42|'x",
	} {
		text := "user_id,b\n1,x\n" + row + "\n2,x\n"
		rows, err := readAll(t, openCSV(t, text, intake.Options{Limits: intake.Limits{MaxCellBytes: limit}}))
		require.Equal(t, io.EOF, err)
		require.Len(t, rows, 3, "%q", row)
		require.Equal(t, want, rows[1], "%q", row)
		require.True(t, strings.HasSuffix(rows[2], " 2|x"), "%q", row)
	}
}

func TestBadFileIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel()
	gb := encode(t, simplifiedchinese.GB18030, "用户ID,姓名\n42,张三\n43,李") + "\xff\xff\n"
	for name, test := range map[string]struct {
		text string
		opts intake.Options
		want string
	}{
		"empty":                   {"", intake.Options{}, "empty_file 0:0"},
		"blank":                   {"\n , \n\n", intake.Options{}, "empty_file 0:0"},
		"only a byte order mark":  {"\ufeff", intake.Options{}, "empty_file 0:0"},
		"only a header":           {"user_id,b\n", intake.Options{}, "empty_file 1:0"},
		"quote not closed":        {"user_id,b\n42,\"x\n43,y\n", intake.Options{}, "broken_quote 2:2"},
		"quote within a cell":     {"user_id,b\n42,y\n43,x\"y\n", intake.Options{}, "broken_quote 3:2"},
		"text behind a quote":     {"user_id,b\n42,y\n\"43\"x,y\n", intake.Options{}, "broken_quote 3:1"},
		"bad byte in UTF-8":       {"用户ID\n42\n4\xff3\n", intake.Options{}, "bad_encoding 3:2"},
		"cut character at end":    {"用户ID\n42\n43张"[:len("用户ID\n42\n43张")-1], intake.Options{}, "bad_encoding 3:3"},
		"bad byte in a quote":     {"用户ID,b\n42,\"x\ny\xff\"\n", intake.Options{}, "bad_encoding 3:2"},
		"bad sequence in GB18030": {gb, intake.Options{}, "bad_encoding 3:5"},
		"bad UTF-16":              {"\xff\xfe4\x00\x00\xd8\n\x00", intake.Options{}, "bad_encoding 1:2"},
		"too large":               {"42\n43\n44\n", intake.Options{Limits: intake.Limits{MaxFileBytes: 8}}, "file_too_large 0:0"},
		"too many columns":        {"42\n1,2,3,4\n", intake.Options{Limits: intake.Limits{MaxColumns: 3}}, "too_many_columns 2:4"},
		"row without end":         {"42\n\"" + strings.Repeat("x\n", 300_000) + "\"\n", intake.Options{Limits: intake.Limits{MaxColumns: 2}}, "row_too_large 2:0"},
		"line without end":        {"42\n" + strings.Repeat("x", 600_000), intake.Options{Limits: intake.Limits{MaxColumns: 2}}, "row_too_large 2:0"},
		"text line without end":   {"42\n" + strings.Repeat("x", 600_000), intake.Options{Filename: "a.txt", Limits: intake.Limits{MaxColumns: 2}}, "row_too_large 2:0"},
		"no such column":          {"user_id,b\n42,x\n", intake.Options{IDColumn: "c"}, "no_id_column 1:0"},
		"no column 3":             {"user_id,b\n42,x\n", intake.Options{IDColumn: "3"}, "no_id_column 1:0"},
		"no column 0":             {"user_id,b\n42,x\n", intake.Options{IDColumn: "0"}, "no_id_column 1:0"},
		"blank header":            {"user_id,,b\n42,x,y\n", intake.Options{}, "blank_header 1:2"},
		"duplicate header":        {"user_id,b, b\n42,x,y\n", intake.Options{}, "duplicate_header 1:3"},
		"brace in header":         {"user_id,{b\n42,x\n", intake.Options{}, "bad_header 1:2"},
		"over-long header":        {"user_id," + strings.Repeat("名", 65) + "\n42,x\n", intake.Options{}, "bad_header 1:2"},
		"line break in header":    {"user_id,\"a\nb\"\n42,x\n", intake.Options{}, "bad_header 1:2"},
		"old Excel":               {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", intake.Options{Filename: "a.xls"}, "old_excel 0:0"},
		"not a zip":               {"user_id\n42\n", intake.Options{Filename: "a.xlsx"}, "not_xlsx 0:0"},
		"cut zip":                 {"PK\x03\x04 and no more", intake.Options{}, "damaged_xlsx 0:0"},
	} {
		r, err := intake.Open(strings.NewReader(test.text), test.opts)
		if err == nil {
			_, err = readAll(t, r)
		}
		bad, ok := errors.AsType[*intake.FileError](err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, test.want, fmt.Sprintf("%s %d:%d", bad.Code, bad.Line, bad.Column), name)
	}
}

func TestFileAtItsLimitsIsRead(t *testing.T) {
	t.Parallel()
	text := "1,2,3\n4,5,6\n"
	rows, err := readAll(t, openCSV(t, text, intake.Options{Limits: intake.Limits{MaxFileBytes: int64(len(text)), MaxColumns: 3}}))
	require.Equal(t, io.EOF, err)
	require.Equal(t, []string{"1 1|2|3", "2 4|5|6"}, rows)
	rows, err = readAll(t, openCSV(t, "用户ID\n"+strings.Repeat("名", 64)+"\n", intake.Options{}))
	require.Equal(t, io.EOF, err)
	require.Len(t, rows, 1)
}

func TestEncodingIsDecidedWhereItShows(t *testing.T) {
	t.Parallel()
	ascii := "user_id,b\n" + strings.Repeat("42,x\n", 50_000) // longer than any buffer
	for _, e := range []encoding.Encoding{encoding.Nop, simplifiedchinese.GB18030} {
		text := encode(t, e, "43,张三😀\n44,李四\n")
		rows, err := readAll(t, openCSV(t, ascii+text, intake.Options{}))
		require.Equal(t, io.EOF, err)
		require.Len(t, rows, 50_002)
		require.Equal(t, []string{"50002 43|张三😀", "50003 44|李四"}, rows[50_000:])
	}
	for shift := range 8 { // characters lie across the ends of buffers
		text := "user_id,b\n" + strings.Repeat("1", shift) + ",x\n" + strings.Repeat("42,张三李四\n", 20_000)
		rows, err := readAll(t, openCSV(t, text, intake.Options{}))
		require.Equal(t, io.EOF, err)
		require.Equal(t, "20002 42|张三李四", rows[len(rows)-1])
	}
}

func TestErrorOfTheUploadIsPassedOn(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for _, name := range []string{"a.csv", "a.txt"} {
		r, err := intake.Open(io.MultiReader(strings.NewReader("1\n2\n3\n4\"x"), iotest.ErrReader(broken)), intake.Options{Filename: name})
		require.NoError(t, err)
		rows, err := readAll(t, r)
		require.ErrorIs(t, err, broken, name)
		require.Equal(t, []string{"1 1", "2 2", "3 3"}, rows, "half a row is no row")
	}
	_, err := intake.Open(iotest.ErrReader(broken), intake.Options{})
	require.ErrorIs(t, err, broken)
	_, err = intake.Open(io.MultiReader(strings.NewReader("PK\x03\x04xxxxx"), iotest.ErrReader(broken)), intake.Options{})
	require.ErrorIs(t, err, broken)
}

func TestEveryCodeHasItsTexts(t *testing.T) {
	t.Parallel()
	seen := map[intake.Code]bool{}
	for _, c := range intake.Codes() {
		require.False(t, seen[c.Code], c.Code)
		seen[c.Code] = true
		require.Equal(t, c.ZH, c.Code.ZH())
		require.Equal(t, c.EN, c.Code.EN())
		require.NotEmpty(t, c.ZH)
		require.NotEmpty(t, c.EN)
		require.Regexp(t, `^[a-z_]+$`, string(c.Code))
	}
	require.Equal(t, "line 3, column 2: two columns have the same name: b",
		(&intake.FileError{Code: intake.DuplicateHeader, Line: 3, Column: 2, Detail: "b"}).Error())
	require.Equal(t, "line 3: the text is not valid in its encoding; save it as UTF-8", (&intake.FileError{Code: intake.BadEncoding, Line: 3}).Error())
	require.Equal(t, "line 3, column 1: is blank", (&intake.RowError{Code: intake.Blank, Line: 3, Column: 1}).Error())
	require.Equal(t, "no_such", intake.Code("no_such").ZH())
}

func ExampleOpen() {
	upload := "用户ID,城市\n42,北京\n,上海\n43,广州\n"
	r, err := intake.Open(strings.NewReader(upload), intake.Options{Filename: "名单.csv"})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	fmt.Println(r.IDKind(), r.Columns())
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if bad, ok := errors.AsType[*intake.RowError](err); ok {
			fmt.Println("refused:", bad, bad.Code.ZH())
			continue
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(row.Line, row.ID, row.Vars)
	}
	// Output:
	// user_id [城市]
	// 2 42 [北京]
	// refused: line 3, column 1: is blank 内容为空
	// 4 43 [广州]
}

func BenchmarkCSV(b *testing.B) {
	var file bytes.Buffer
	file.WriteString("user_id,name,city\n")
	const rows = 1_000_000
	for i := range rows {
		fmt.Fprintf(&file, "%d,张三,北京\n", 10_000_000+i)
	}
	b.ReportAllocs()
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		r, err := intake.Open(bytes.NewReader(file.Bytes()), intake.Options{Filename: "a.csv"})
		require.NoError(b, err)
		n := 0
		for ; err == nil; n++ {
			_, err = r.Next()
		}
		require.Equal(b, io.EOF, err)
		require.Equal(b, rows+1, n)
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
