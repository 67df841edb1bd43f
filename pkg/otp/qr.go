package otp

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image/png"
	"strings"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"
)

// qrSize is the width and height of a QR code's picture in pixels, unless the code needs more.
const qrSize = 256

// quiet is the margin around a QR code in modules. ISO 18004 wants four; phones read two, and the terminal has few lines.
const quiet = 2

// QR returns a URI as a QR code: a PNG in a data URI, which any browser opens.
func QR(uri string) (string, error) {
	picture, err := QRPNG(uri)
	if err != nil {
		return "", err
	}
	return "data:image/png;base64," + base64.StdEncoding.EncodeToString(picture), nil
}

// QRPNG returns a URI as a QR code in a PNG file. A URI that is too long for one is an error.
func QRPNG(uri string) ([]byte, error) {
	code, err := encode(uri)
	if err != nil {
		return nil, err
	}
	scaled, err := barcode.Scale(code, max(qrSize, code.Bounds().Dx()), max(qrSize, code.Bounds().Dy()))
	if err != nil {
		return nil, fmt.Errorf("qr code: %w", err)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, scaled); err != nil {
		return nil, fmt.Errorf("qr code: %w", err)
	}
	return out.Bytes(), nil
}

// QRText returns a URI (of an authenticator, or an https address) as a QR code for a terminal with light letters on a dark
// ground, as most are: two modules in one character, the lower one below the upper one. Its lines end with a newline.
func QRText(uri string) (string, error) {
	code, err := encode(uri)
	if err != nil {
		return "", err
	}
	size := code.Bounds().Dx()
	light := func(x, y int) bool {
		if x < 0 || y < 0 || x >= size || y >= size {
			return y < size+quiet // the last half line belongs to the terminal
		}
		r, _, _, _ := code.At(x, y).RGBA()
		return r > 0
	}
	// Both colours are set, so that the code is dark on light whatever the terminal's are.
	const begin, end = "\x1b[97;40m", "\x1b[0m\n"
	var b strings.Builder
	for y := -quiet; y < size+quiet; y += 2 {
		b.WriteString(begin)
		for x := -quiet; x < size+quiet; x++ {
			b.WriteString(map[[2]bool]string{{true, true}: "█", {true, false}: "▀", {false, true}: "▄", {false, false}: " "}[[2]bool{light(x, y), light(x, y+1)}])
		}
		b.WriteString(end)
	}
	return b.String(), nil
}

// encode takes the URI of an authenticator, or an address that a phone opens.
func encode(uri string) (barcode.Barcode, error) {
	if !strings.HasPrefix(uri, "https://") {
		if _, err := otp.NewKeyFromURL(uri); err != nil {
			return nil, fmt.Errorf("qr code: %w", err)
		}
	}
	code, err := qr.Encode(uri, qr.M, qr.Auto)
	if err != nil {
		return nil, fmt.Errorf("qr code: %w", err)
	}
	return code, nil
}
