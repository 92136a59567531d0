package intake_test

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"minipush/internal/intake"
)

// liveMemory reads rows and returns by how much the memory in use has grown while the reader stands at its last row.
func liveMemory(t *testing.T, in io.Reader, rows int) int64 {
	t.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r, err := intake.Open(in, intake.Options{})
	require.NoError(t, err)
	for range rows {
		_, err := r.Next()
		require.NoError(t, err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	_, err = r.Next()
	require.Equal(t, io.EOF, err)
	require.NoError(t, r.Close())
	return int64(after.HeapAlloc) - int64(before.HeapAlloc) //nolint:gosec // far from the limit
}

// generated is a text that exists only as it is read.
func generated(rows int, line func(i int) string) io.Reader {
	r, w := io.Pipe()
	go func() {
		var b bytes.Buffer
		for i := range rows {
			b.WriteString(line(i))
			if b.Len() > 32<<10 {
				if _, err := b.WriteTo(w); err != nil {
					return
				}
			}
		}
		_, err := b.WriteTo(w)
		_ = w.CloseWithError(err) // nil is the end
	}()
	return r
}

// Invariant 2 of the package.
//
//nolint:paralleltest // other tests would be measured with it
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	const rows = 1_000_000
	grown := liveMemory(t, generated(rows, func(i int) string { return fmt.Sprintf("%d,张三\n", 10_000_000+i) }), rows)
	require.Less(t, grown, int64(2<<20), "CSV")

	const sheetRows = 100_000
	var texts, cells bytes.Buffer
	for i := range sheetRows {
		fmt.Fprintf(&texts, "<si><t>oABCDEFGHIJKLMNOPQRST%07d</t></si>", i)
		fmt.Fprintf(&cells, `<row r="%d"><c r="A%d" t="s"><v>%d</v></c></row>`, i+1, i+1, i)
	}
	file := parts(t, map[string]string{
		"xl/sharedStrings.xml":     "<sst>" + texts.String() + "</sst>",
		"xl/worksheets/sheet1.xml": sheet(cells.String()),
	})
	texts, cells = bytes.Buffer{}, bytes.Buffer{}
	require.Less(t, liveMemory(t, bytes.NewReader(file), sheetRows), int64(3<<20), "XLSX: 4 bytes for each different text")
}
