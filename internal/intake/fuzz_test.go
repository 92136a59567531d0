package intake_test

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"minipush/internal/intake"
)

// FuzzCSV compares the reader with encoding/csv over the whole text: every row that is not blank comes out once, as a row
// or as a refusal, and a text that encoding/csv refuses is refused.
func FuzzCSV(f *testing.F) {
	f.Add("user_id,b\n42,x\n")
	f.Add("42\n\"4\"\"3\"\r\n\n44,,\n")
	f.Add("a,b\n\"c\nd\",e\n")
	f.Add("1,\"x\n")
	f.Add("\xd3\xc3\xbb\xa7ID\n42\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := intake.Open(strings.NewReader(text), intake.Options{Filename: "a.csv", IDColumn: "1"})
		n := 0
		if err == nil {
			for ; !errors.Is(err, io.EOF); n++ {
				_, err = r.Next()
				if _, ok := errors.AsType[*intake.RowError](err); err != nil && !ok && !errors.Is(err, io.EOF) {
					break
				}
			}
			require.NoError(t, r.Close())
			n-- // the last was the end
		}
		if err != nil && !errors.Is(err, io.EOF) {
			_, ok := errors.AsType[*intake.FileError](err)
			require.True(t, ok, "%v", err)
		}
		if !utf8.ValidString(text) || strings.ContainsAny(text, ";\t") || strings.HasPrefix(text, "\ufeff") || strings.HasPrefix(text, "PK\x03\x04") {
			return // another encoding, separator or format
		}
		c := csv.NewReader(strings.NewReader(text))
		c.FieldsPerRecord = -1
		want := 0
		for {
			record, csvErr := c.Read()
			if errors.Is(csvErr, io.EOF) {
				break
			}
			if csvErr != nil {
				require.Error(t, err)
				require.NotErrorIs(t, err, io.EOF, "encoding/csv says %v", csvErr)
				return
			}
			if strings.TrimSpace(strings.Join(record, "")) != "" {
				want++
			}
		}
		if errors.Is(err, io.EOF) && n != want {
			require.Equal(t, want, n+1, "all rows but a header")
		}
	})
}

func FuzzOpenNeverPanics(f *testing.F) {
	f.Add([]byte("PK\x03\x04"), "a.xlsx", "")
	f.Add([]byte("\xff\xfe4\x00"), "a.txt", "2")
	f.Fuzz(func(t *testing.T, file []byte, name, column string) {
		r, err := intake.Open(strings.NewReader(string(file)), intake.Options{Filename: name, IDColumn: column, TempDir: t.TempDir()})
		if err != nil {
			return
		}
		for range len(file) + 2 {
			if _, err = r.Next(); errors.Is(err, io.EOF) {
				break
			}
		}
		require.NoError(t, r.Close())
	})
}
