package pages

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"testing"
)

var draw = flag.Bool("draw", false, "write the icons anew")

// icons are drawn here, in the shape of static/icons/icon.svg: at a size in pixels, with the corner's radius and the padlock's
// size as shares of the whole. A maskable one is cut by the phone, so its padlock is smaller.
var icons = []struct {
	name           string
	size           int
	corner, scaled float64
}{
	{"icon-192.png", 192, 0.23, 1},
	{"icon-512.png", 512, 0.23, 1},
	{"maskable-512.png", 512, 0, 0.8},
	{"apple-180.png", 180, 0, 0.95},
}

// TestIconsAreAsDrawn holds the files to the drawing: go test ./pkg/server/pages -run Icons -draw writes them.
func TestIconsAreAsDrawn(t *testing.T) {
	for _, i := range icons {
		want := icon(i.size, i.corner, i.scaled)
		file := "static/icons/" + i.name
		if *draw {
			var b bytes.Buffer
			if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, want); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, err := png.Decode(bytes.NewReader(text))
		if err != nil || got.Bounds() != want.Bounds() {
			t.Fatalf("%s: %v", file, err)
		}
		for _, p := range []image.Point{{0, 0}, {i.size / 2, i.size / 2}, {i.size / 2, i.size * 3 / 5}, {i.size * 3 / 10, i.size * 3 / 5}} {
			if got.At(p.X, p.Y) != want.At(p.X, p.Y) {
				t.Errorf("%s differs at %v", file, p)
			}
		}
	}
}

func icon(size int, corner, scaled float64) image.Image {
	blue, white := color.NRGBA{0x1d, 0x5f, 0xa8, 0xff}, color.NRGBA{0xff, 0xff, 0xff, 0xff}
	img := image.NewPaletted(image.Rect(0, 0, size, size), palette(blue, white))
	const fine = 4 // samples per pixel, each way
	for y := range size {
		for x := range size {
			var inside, lit int
			for k := range fine * fine {
				u := (float64(x) + (float64(k%fine)+.5)/fine) / float64(size)
				v := (float64(y) + (float64(k/fine)+.5)/fine) / float64(size)
				if box(u-.5, v-.5, .5, .5, corner) {
					inside++
				}
				if padlock((u-.5)/scaled*24+12, (v-.5)/scaled*24+12) {
					lit++
				}
			}
			img.SetColorIndex(x, y, shade(inside, lit))
		}
	}
	return img
}

// palette has 16 steps from blue to white, and 16 from nothing to blue.
func palette(blue, white color.NRGBA) color.Palette {
	var p color.Palette
	mix := func(a, b uint8, share int) uint8 { return uint8((int(a)*(16-share) + int(b)*share) / 16) }
	for i := range 17 {
		p = append(p, color.NRGBA{mix(blue.R, white.R, i), mix(blue.G, white.G, i), mix(blue.B, white.B, i), 0xff})
	}
	for i := range 16 {
		p = append(p, color.NRGBA{blue.R, blue.G, blue.B, uint8(i * 0xff / 16)})
	}
	return p
}

func shade(inside, lit int) uint8 {
	if inside == 16 {
		return uint8(lit)
	}
	return uint8(17 + inside)
}

// box tells whether a point lies in a rectangle around 0 with round corners.
func box(x, y, w, h, r float64) bool {
	dx, dy := math.Abs(x)-w+r, math.Abs(y)-h+r
	return dx <= 0 && dy <= r || dy <= 0 && dx <= r || math.Hypot(dx, dy) <= r
}

// padlock is the white of icon.svg, in its units.
func padlock(x, y float64) bool {
	body := box(x-12, y-14.9, 6.2, 4.3, 2)
	hole := math.Hypot(x-12, y-14.9) <= 1.5
	arch := y <= 8.8 && math.Abs(math.Hypot(x-12, y-8.8)-3.8) <= .9
	legs := y > 8.8 && y < 11 && math.Abs(math.Abs(x-12)-3.8) <= .9
	return body && !hole || arch || legs
}
