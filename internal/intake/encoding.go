package intake

import (
	"bufio"
	"bytes"
	"io"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

const textBuffer = 64 << 10

// utf8Reader reads text of any encoding that Open knows as valid UTF-8, or fails with bad_encoding at the place.
func utf8Reader(src *bufio.Reader) io.Reader {
	head, _ := src.Peek(3) // an error comes again at the next read
	switch {
	case bytes.Equal(head, []byte{0xEF, 0xBB, 0xBF}):
		_, _ = src.Discard(3)
		return &checkedText{src: src}
	case bytes.HasPrefix(head, []byte{0xFF, 0xFE}), bytes.HasPrefix(head, []byte{0xFE, 0xFF}):
		return &checkedText{src: unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Reader(src), decoded: true}
	}
	c := &checkedText{}
	c.src = &undecidedText{src: src, decideFor: func(e encoding.Encoding) { c.decoded = e != encoding.Nop }}
	return c
}

// undecidedText passes ASCII through, which is the same in UTF-8 and GB18030. The first other byte decides, with up to 64 KiB
// that follow it.
type undecidedText struct {
	src       *bufio.Reader
	decided   io.Reader
	decideFor func(encoding.Encoding)
}

func (u *undecidedText) Read(p []byte) (int, error) {
	if u.decided != nil {
		return u.decided.Read(p)
	}
	if _, err := u.src.Peek(1); err != nil {
		return 0, err
	}
	have, _ := u.src.Peek(u.src.Buffered())
	ascii := 0
	for ascii < len(have) && have[ascii] < utf8.RuneSelf {
		ascii++
	}
	if ascii > 0 {
		n := copy(p, have[:ascii])
		_, err := u.src.Discard(n)
		return n, err
	}
	window, _ := u.src.Peek(u.src.Size())
	u.decided = u.src
	if validStart(window) {
		u.decideFor(encoding.Nop)
	} else {
		u.decided = simplifiedchinese.GB18030.NewDecoder().Reader(u.src)
		u.decideFor(simplifiedchinese.GB18030)
	}
	return u.decided.Read(p)
}

// validStart says whether text is valid UTF-8 but for a character that its end cuts.
func validStart(text []byte) bool {
	whole, _ := cutPartial(text)
	return utf8.Valid(whole)
}

// cutPartial splits off a character that is not complete at the end of text.
func cutPartial(text []byte) (whole, partial []byte) {
	for i := len(text) - 1; i >= 0 && i >= len(text)-utf8.UTFMax; i-- {
		if utf8.RuneStart(text[i]) {
			if utf8.FullRune(text[i:]) {
				break
			}
			return text[:i], text[i:]
		}
	}
	return text, nil
}

// checkedText lets valid UTF-8 through and keeps count of lines and characters to name the place of a bad one.
type checkedText struct {
	src     io.Reader
	decoded bool // src was converted: a bad sequence has become U+FFFD

	buf     []byte // read from src, not checked
	ready   []byte // checked, not returned
	err     error  // for when ready is empty
	line    int    // complete lines before ready's end
	inLine  int    // characters of the line in which it ends
	storage [textBuffer]byte
}

func (c *checkedText) Read(p []byte) (int, error) {
	for len(c.ready) == 0 {
		if c.err != nil {
			return 0, c.err
		}
		c.fill()
	}
	n := copy(p, c.ready)
	c.ready = c.ready[n:]
	return n, nil
}

// fill reads one buffer, behind the partial character that the last one ended with.
func (c *checkedText) fill() {
	kept := copy(c.storage[:], c.buf)
	n, err := c.src.Read(c.storage[kept:])
	text := c.storage[:kept+n]
	c.buf = nil
	if err == nil {
		text, c.buf = cutPartial(text)
	}
	if bad := c.firstBad(text); bad >= 0 {
		text = text[:bad]
		c.count(text)
		c.err = &FileError{Code: BadEncoding, Line: c.line + 1, Column: c.inLine + 1}
		c.ready = text
		return
	}
	c.count(text)
	c.ready, c.err = text, err
}

func (c *checkedText) firstBad(text []byte) int {
	if c.decoded {
		return bytes.Index(text, []byte("\uFFFD"))
	}
	if utf8.Valid(text) {
		return -1
	}
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

func (c *checkedText) count(text []byte) {
	c.line += bytes.Count(text, []byte{'\n'})
	if last := bytes.LastIndexByte(text, '\n'); last >= 0 {
		c.inLine, text = 0, text[last+1:]
	}
	c.inLine += utf8.RuneCount(text)
}
