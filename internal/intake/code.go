package intake

import (
	"cmp"
	"fmt"
)

// Code names a reason for refusing something. Codes are stable: programs read them.
type Code string

// Codes of rows, of ids and of formIds.
const (
	Blank            Code = "blank"
	TooLong          Code = "too_long"
	BadCharacters    Code = "bad_characters"
	MockFormID       Code = "mock_form_id"
	TrialFormID      Code = "trial_form_id"
	FailedFormID     Code = "failed_form_id"
	NullFormID       Code = "null_form_id"
	DeniedFormID     Code = "denied_form_id"
	UnknownSource    Code = "unknown_source"
	Expired          Code = "expired"
	InFuture         Code = "in_future"
	CellTooLong      Code = "cell_too_long"
	ControlCharacter Code = "control_character"
	ColumnCount      Code = "column_count"
	DigitsLost       Code = "digits_lost"
	CellError        Code = "cell_error"
	FieldInvalid     Code = "field_invalid"
)

// Codes of files.
const (
	EmptyFile        Code = "empty_file"
	FileTooLarge     Code = "file_too_large"
	UnpackedTooLarge Code = "unpacked_too_large"
	RowTooLarge      Code = "row_too_large"
	TooManyColumns   Code = "too_many_columns"
	BadEncoding      Code = "bad_encoding"
	BrokenQuote      Code = "broken_quote"
	NotXLSX          Code = "not_xlsx"
	OldExcel         Code = "old_excel"
	DamagedXLSX      Code = "damaged_xlsx"
	NoIDColumn       Code = "no_id_column"
	BlankHeader      Code = "blank_header"
	DuplicateHeader  Code = "duplicate_header"
	BadHeader        Code = "bad_header"
)

// CodeText is one line of the table of codes.
type CodeText struct {
	Code Code
	// ZH and EN are for the person who sent it: what is wrong, and what to do where that is not plain.
	ZH, EN string
}

// Codes is the table of every code with its texts.
func Codes() []CodeText {
	return []CodeText{
		{Blank, "内容为空", "is blank"},
		{TooLong, "内容过长", "is too long"},
		{BadCharacters, "含有空格或控制字符", "contains a space, a control character or a bad byte"},
		{MockFormID, "formId是开发者工具的模拟值", "is the mock formId of the developer tools"},
		{TrialFormID, "开发版或体验版小程序的formId不可用", "comes from a develop or trial version of the mini program, which gets no formIds"},
		{FailedFormID, "客户端获取formId失败", "is the error text of a client that got no formId"},
		{NullFormID, "formId是空值的文字(undefined、null等)", "is the text of an empty value (undefined, null and the like)"},
		{DeniedFormID, "formId在拒收名单中", "is on the deny list"},
		{UnknownSource, "未知的formId来源", "has an unknown source"},
		{Expired, "已过期", "has expired"},
		{InFuture, "提交时间在未来", "was submitted in the future"},
		{CellTooLong, "单元格内容过长", "a cell is too long"},
		{ControlCharacter, "单元格含有换行或控制字符", "a cell contains a line break or another control character"},
		{ColumnCount, "列数与表头不一致", "has another number of columns than the first row"},
		{DigitsLost, "ID以数字格式存储,超过15位的部分已被Excel丢失,请将该列设为文本格式", "the id is stored as a number, of which Excel keeps 15 digits; format the column as text"},
		{CellError, "单元格是公式错误", "a cell is the error of a formula"},
		{FieldInvalid, "内容不符合模板要求", "a value does not fit its field of the template"},

		{EmptyFile, "文件中没有数据", "the file has no rows"},
		{FileTooLarge, "文件过大", "the file is too large"},
		{UnpackedTooLarge, "文件解压后过大", "the file is too large when unpacked"},
		{RowTooLarge, "一行内容过大,可能缺少引号", "a row is too large; perhaps a quote is missing"},
		{TooManyColumns, "列数过多", "the file has too many columns"},
		{BadEncoding, "文件编码不正确,请保存为UTF-8", "the text is not valid in its encoding; save it as UTF-8"},
		{BrokenQuote, "引号不匹配", "a quote is not closed, or stands in the middle of a cell"},
		{NotXLSX, "不是XLSX文件", "is not an XLSX file"},
		{OldExcel, "旧版XLS或加密的文件,请另存为不加密的XLSX", "is an old XLS or an encrypted file; save it as XLSX without a password"},
		{DamagedXLSX, "XLSX文件已损坏", "the XLSX file is damaged"},
		{NoIDColumn, "找不到指定的ID列", "has no column of that name or number"},
		{BlankHeader, "表头有空列名", "a column has no name"},
		{DuplicateHeader, "表头有重复的列名", "two columns have the same name"},
		{BadHeader, "列名过长或含有不允许的字符", "a column name is too long or contains a control character or a brace"},
	}
}

// ZH is the text in Chinese.
func (c Code) ZH() string { return c.text().ZH }

// EN is the text in English.
func (c Code) EN() string { return c.text().EN }

func (c Code) text() CodeText {
	for _, t := range Codes() {
		if t.Code == c {
			return t
		}
	}
	return CodeText{Code: c, ZH: string(c), EN: string(c)}
}

// RowError says why a row was refused. The file goes on after it.
type RowError struct {
	Code Code
	// Line is the line of a text file on which the row begins, or the number of the row of a sheet, both from 1.
	Line int
	// Column is the number of the cell in its row, from 1; 0 if it is about the whole row.
	Column int
	// Raw is the cell, cut to 64 characters, for the reject file. It can be an openid: not for logs.
	Raw string
	// Field is the field of a template that a value of the row does not fit, and Rule the rule that it breaks; empty otherwise.
	Field, Rule string
	// FieldZH and FieldEN say so in words, in place of the text of Code.
	FieldZH, FieldEN string
}

// ZH is the text in Chinese.
func (e *RowError) ZH() string { return cmp.Or(e.FieldZH, e.Code.ZH()) }

// EN is the text in English.
func (e *RowError) EN() string { return cmp.Or(e.FieldEN, e.Code.EN()) }

func (e *RowError) Error() string {
	if e.Column == 0 {
		return fmt.Sprintf("line %d: %s", e.Line, e.EN())
	}
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.EN())
}

// FileError says why a file was refused. Nothing more can be read from it.
type FileError struct {
	Code Code
	// Line is as in RowError; 0 if it is about the whole file.
	Line int
	// Column is the number of the cell in its row, from 1; for bad_encoding that of the character in its line; or 0.
	Column int
	// Detail is what the text cannot know, such as the limit or the name; may be empty.
	Detail string
}

func (e *FileError) Error() string {
	text := e.Code.EN()
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	switch {
	case e.Line == 0:
		return text
	case e.Column == 0:
		return fmt.Sprintf("line %d: %s", e.Line, text)
	default:
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, text)
	}
}
