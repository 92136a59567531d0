package console

import (
	"fmt"
	"strings"

	"github.com/boombuler/barcode/qr"
)

// qrPicture is a QR code as a path of SVG, which the Content-Security-Policy allows in a page where it would not allow an image from elsewhere, and which
// nothing keeps: what it holds may be a secret.
type qrPicture struct {
	// Size is the width in modules, with the margin that readers need.
	Size int
	// Path draws the dark modules.
	Path string
}

// qrMargin is the white frame of a QR code, in modules.
const qrMargin = 4

// newQRPicture draws a text.
func newQRPicture(text string) (*qrPicture, error) {
	code, err := qr.Encode(text, qr.M, qr.Auto)
	if err != nil {
		return nil, fmt.Errorf("draw QR code: %w", err)
	}
	size := code.Bounds().Dx()
	dark := func(x, y int) bool {
		if x >= size {
			return false
		}
		r, _, _, _ := code.At(x, y).RGBA()
		return r == 0
	}
	var path strings.Builder
	for y := range size {
		for x := 0; x < size; x++ {
			from := x
			for dark(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+qrMargin, y+qrMargin, x-from, x-from)
			}
		}
	}
	return &qrPicture{Size: size + 2*qrMargin, Path: path.String()}, nil
}
