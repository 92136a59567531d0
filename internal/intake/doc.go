// Package intake turns bytes into rows, and says of everything it refuses where it stood and why.
//
// It reads audiences ([Open]) and checks what mini programs report ([CheckUserID], [CheckOpenID], [CheckFormID],
// [CheckSubmittedAt]). It knows neither database nor task: a row is an id and the texts of the other columns.
//
//	bytes ─► size limit ─► UTF-8 ─► CSV ─┐
//	                  │        └─► TXT ─┼─► header ─► Row or *RowError, …  ─► io.EOF or *FileError
//	                  └─► zip ────► XLSX ─┘
//
// Invariants:
//
//  1. Nothing is dropped in silence. Every row that is not blank comes out as a [Row] or as a [*RowError] with its line.
//     What cannot be told apart from a half-read file (a broken quote, a bad byte, a damaged zip) is a [*FileError].
//  2. Memory does not grow with the file: one row is held at a time, and a row that never ends is refused. The texts of an
//     XLSX file and the upload itself lie in temporary files that have no name, so that no crash leaves them behind.
//  3. Every limit counts bytes that were really read. What a header claims is not believed.
//  4. An id comes out as a person sees it, and never as another id: a number from which Excel has cut digits is refused.
//
// # Encoding
//
// A byte order mark decides: UTF-8 or UTF-16. Without one the first bytes outside ASCII decide: UTF-8 if they are valid UTF-8, else
// GB18030. From there on the text must be valid to the end.
//
// # Header
//
// The id column is the one that Options.IDColumn names (its header without regard to case, or its number from 1); else the
// first with a known name for a user id (user_id, 用户ID, …), else the first with a known name for an openid, else the
// first column, whose header may be a mere "id". The first row is a header if
//
//   - one of its cells is a known name, or the name in Options.IDColumn, or
//   - the cell in the id column has letters outside ASCII or a space, and that of the next row has not.
//
// In any other case it is data: a header taken for an id costs one recipient who does not exist, which the result shows;
// an id taken for a header would be lost. Without a header the columns beside the id are column_1, column_2 and so on, by
// their place.
//
// The ids are openids if the header says so, or if the header says nothing and the first id has the form of WeChat's openids
// (28 characters, the first an o).
//
// # Cells
//
// White space around a cell is cut. An apostrophe before = + - @ is taken off: [SafeCSV] puts it there, and a downloaded
// result can be uploaded again. Blank rows are skipped; blank cells at the end of a row count for nothing.
package intake
