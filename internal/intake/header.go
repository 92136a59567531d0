package intake

import (
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxColumnName is the longest column name in characters.
const maxColumnName = 64

// userIDNames and openIDNames are the known headers of id columns, in the form of plainName.
func userIDNames() []string {
	return []string{
		"userid", "uid", "memberid", "customerid",
		"用户id", "用户编号", "用户号", "会员id", "会员编号", "会员号", "客户id", "客户编号", "指定用户id",
	}
}

// firstColumnNames are known in the first column only: elsewhere they are data, a role or the code of Indonesia.
func firstColumnNames() []string { return []string{"id", "user", "编号"} }

func openIDNames() []string { return []string{"openid", "wxopenid", "微信openid", "用户openid"} }

// plainName is a header without regard to case, spaces, underscores and hyphens: "User_ID", "user id" and "userId" are one.
func plainName(header string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, header)
}

// begin reads up to two rows, finds the id column, and decides whether the first row is a header. The rules stand in the
// package documentation.
func (r *Reader) begin(idColumn string, header bool) error {
	first, err := r.read()
	if errors.Is(err, io.EOF) {
		return &FileError{Code: EmptyFile}
	}
	if err != nil {
		return err
	}
	r.width = len(first.text)
	first.text, first.problem = slices.Clone(first.text), slices.Clone(first.problem) // a source reuses its row
	second, err := r.read()
	hasSecond := err == nil
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	named, err := r.findID(idColumn, first)
	if err != nil {
		return err
	}
	r.sure = named || idColumn != "" || r.width == 1
	data := second
	switch {
	case named || header || (hasSecond && r.looksLikeHeader(first, second)):
		if !hasSecond {
			return &FileError{Code: EmptyFile, Line: first.line}
		}
		if err := r.nameColumns(first); err != nil {
			return err
		}
		r.peeked = []cells{second}
	default:
		data = first
		r.numberColumns()
		r.peeked = []cells{first}
		if hasSecond {
			r.peeked = append(r.peeked, second)
		}
	}
	if r.kind == "" {
		r.kind = UserIDs
		if r.id < len(data.text) && isWeChatOpenID(data.text[r.id]) {
			r.kind = OpenIDs
		}
	}
	return nil
}

// findID sets the id column, and the kind of its ids where the header says it. named says that the first row is a header.
func (r *Reader) findID(idColumn string, first cells) (named bool, err error) {
	plain := make([]string, len(first.text))
	for i, text := range first.text {
		plain[i] = plainName(text)
	}
	anyOf := func(names []string) int {
		return slices.IndexFunc(plain, func(p string) bool { return slices.Contains(names, p) })
	}
	userID, openID := anyOf(userIDNames()), anyOf(openIDNames())
	if userID < 0 && openID < 0 && slices.Contains(firstColumnNames(), plain[0]) {
		userID = 0
	}
	named = userID >= 0 || openID >= 0
	switch {
	case idColumn == "" && userID >= 0:
		r.id = userID
	case idColumn == "":
		r.id = max(openID, 0)
	default:
		// The name as it stands goes before the name without regard to case, and both before a number.
		r.id = slices.Index(first.text, idColumn)
		if r.id < 0 {
			r.id = slices.Index(plain, plainName(idColumn))
		}
		if r.id >= 0 {
			named = true
			break
		}
		n, err := strconv.Atoi(idColumn)
		if err != nil || n < 1 || n > r.width {
			return false, &FileError{Code: NoIDColumn, Line: first.line, Detail: strconv.Quote(idColumn)}
		}
		r.id = n - 1
	}
	if named && slices.Contains(openIDNames(), plain[r.id]) {
		r.kind = OpenIDs
	}
	if named && slices.Contains(userIDNames(), plain[r.id]) {
		r.kind = UserIDs
	}
	return named, nil
}

// looksLikeHeader says whether the first row, which has no known name, is a header all the same.
func (r *Reader) looksLikeHeader(first, second cells) bool {
	if r.id >= len(first.text) || r.id >= len(second.text) {
		return false
	}
	odd := func(id string) bool {
		return strings.ContainsFunc(id, func(c rune) bool { return c >= utf8.RuneSelf || unicode.IsSpace(c) })
	}
	return odd(first.text[r.id]) && !odd(second.text[r.id])
}

func (r *Reader) nameColumns(header cells) error {
	seen := map[string]bool{}
	for i, name := range header.text {
		refuse := func(code Code) error {
			return &FileError{Code: code, Line: header.line, Column: i + 1, Detail: short(name)}
		}
		switch {
		case name == "":
			return refuse(BlankHeader)
		case seen[name]:
			return refuse(DuplicateHeader)
		case utf8.RuneCountInString(name) > maxColumnName, hasControl(name), strings.ContainsAny(name, "{}"):
			return refuse(BadHeader)
		}
		seen[name] = true
		r.names = append(r.names, name)
		if i != r.id {
			r.columns = append(r.columns, name)
		}
	}
	return nil
}

func (r *Reader) numberColumns() {
	for i := range r.width {
		if i != r.id {
			r.columns = append(r.columns, "column_"+strconv.Itoa(i+1))
		}
	}
}

func isWeChatOpenID(id string) bool {
	return len(id) == 28 && id[0] == 'o' && !strings.ContainsFunc(id, func(c rune) bool {
		return c >= utf8.RuneSelf || (!unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '_' && c != '-')
	})
}
