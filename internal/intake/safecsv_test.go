package intake_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/intake"
)

func TestSafeCSVHoldsNoFormula(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := intake.NewSafeCSV(&out)
	require.NoError(t, w.Write("user_id", "备注"))
	require.NoError(t, w.Write("=1+1", "+1"))
	require.NoError(t, w.Write("-1", "@SUM(A1)"))
	require.NoError(t, w.Write("\tx", "\rx"))
	require.NoError(t, w.Write("a,b", "say \"hi\""))
	require.NoError(t, w.Write("a=b", ""))
	require.NoError(t, w.Flush())
	require.Equal(t, "\ufeffuser_id,备注\r\n'=1+1,'+1\r\n'-1,'@SUM(A1)\r\n'\tx,\"'x\"\r\n\"a,b\",\"say \"\"hi\"\"\"\r\na=b,\r\n", out.String(),
		"encoding/csv leaves out a carriage return without a line feed")
}

func TestSafeCSVCanBeUploadedAgain(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := intake.NewSafeCSV(&out)
	require.NoError(t, w.Write("user_id", "b"))
	require.NoError(t, w.Write("-42", "=x"))
	require.NoError(t, w.Write("@43", "a,\"b\""))
	require.NoError(t, w.Flush())
	rows, err := readAll(t, openCSV(t, out.String(), intake.Options{}))
	require.Equal(t, io.EOF, err)
	require.Equal(t, []string{"2 -42|=x", "3 @43|a,\"b\""}, rows)
}

func TestEmptySafeCSVIsAByteOrderMark(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := intake.NewSafeCSV(&out)
	require.NoError(t, w.Flush())
	require.NoError(t, w.Flush())
	require.Equal(t, "\ufeff", out.String())
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestSafeCSVReportsAFailedWrite(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, intake.NewSafeCSV(full{}).Write("a"), "disk full")
	require.ErrorContains(t, intake.NewSafeCSV(full{}).Flush(), "disk full")
}

func TestRejectFileNamesLineAndReasonInBothLanguages(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	w := intake.NewRejectWriter(&out)
	require.NoError(t, w.Header())
	require.NoError(t, w.Write(&intake.RowError{Code: intake.Blank, Line: 3, Column: 1}))
	require.NoError(t, w.Write(&intake.RowError{Code: intake.ColumnCount, Line: 9, Raw: "=42"}))
	require.NoError(t, w.Write(&intake.RowError{Code: intake.FieldInvalid, Line: 10, Raw: "42", Field: "thing1", Rule: "too_long", FieldZH: "太长", FieldEN: "is long"}))
	require.NoError(t, w.Flush())
	require.Equal(t, "\ufeffline,column,id,code,原因,message,field,rule\r\n"+
		"3,1,,blank,内容为空,is blank,,\r\n"+
		"9,,'=42,column_count,列数与表头不一致,has another number of columns than the first row,,\r\n"+
		"10,,42,field_invalid,太长,is long,thing1,too_long\r\n", out.String())
}
