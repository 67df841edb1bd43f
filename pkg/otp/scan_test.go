package otp

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os/exec"
	"strings"
	"testing"
)

// scan has zbar read a picture, as a phone would.
func scan(t *testing.T, picture []byte) string {
	t.Helper()
	cmd := exec.Command("zbarimg", "--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", "png:-")
	cmd.Stdin = bytes.NewReader(picture)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("zbarimg: %v", err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// TestQRIsScanned: what stands in the file and what shows on a dark terminal are the link, with the shortest and the longest text.
func TestQRIsScanned(t *testing.T) {
	for name, uri := range map[string]string{
		"usual": Standard().URI(Standard().NewSecret(), "Latch web1", "ana", 0),
		"long":  Parameters{HOTP, SHA512, 8, 0}.URI(Parameters{Algorithm: SHA512}.NewSecret(), strings.Repeat("Ñ", 32), strings.Repeat("x", 64), 1<<40),
	} {
		picture, err := QRPNG(uri)
		if err != nil {
			t.Fatal(err)
		}
		if got := scan(t, picture); got != uri {
			t.Errorf("%s: the file reads %q, want %q", name, got, uri)
		}
		text, err := QRText(uri)
		if err != nil {
			t.Fatal(err)
		}
		if got := scan(t, photograph(t, text)); got != uri {
			t.Errorf("%s: the terminal reads %q, want %q", name, got, uri)
		}
	}
}

// photograph is a dark terminal that shows a text of QRText, some pixels for each module.
func photograph(t *testing.T, text string) []byte {
	t.Helper()
	const side, margin = 4, 40
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	columns := len([]rune(lines[0]))
	shot := image.NewGray(image.Rect(0, 0, columns*side+2*margin, 2*len(lines)*side+2*margin)) // black all over
	light := func(x, y int) {
		for i := range side * side {
			shot.SetGray(margin+x*side+i%side, margin+y*side+i/side, color.Gray{Y: 255})
		}
	}
	for row, line := range lines {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[97;40m"), "\x1b[0m")
		for column, block := range []rune(line) {
			if block == '█' || block == '▀' {
				light(column, 2*row)
			}
			if block == '█' || block == '▄' {
				light(column, 2*row+1)
			}
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, shot); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
