package pages

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/gif" // what DecodeConfig and Decode know
	_ "image/jpeg"
	"image/png"
	"io"
	"net/http"

	"github.com/latch-linux/latch/pkg/server/store"
)

// Limits of an uploaded picture.
const (
	maxPicture     = 512 << 10 // bytes of the whole form
	maxPictureSide = 2048      // pixels: what decoding may take, some 16 MiB
	pictureSide    = 256       // what is kept is no larger
)

// errPicture is an upload that is no picture of a kind and size that is taken.
var errPicture = errors.New("not a picture that is taken")

// normalPicture makes a picture anew: PNG, pictureSide at most. Nothing else of what was uploaded is kept or served.
func normalPicture(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	conf, _, err := image.DecodeConfig(bytes.NewReader(text))
	if err != nil || conf.Width < 1 || conf.Height < 1 || conf.Width > maxPictureSide || conf.Height > maxPictureSide {
		return nil, errPicture
	}
	picture, _, err := image.Decode(bytes.NewReader(text))
	if err != nil {
		return nil, errPicture
	}
	var out bytes.Buffer
	if err := png.Encode(&out, shrink(picture)); err != nil {
		return nil, fmt.Errorf("picture: %w", err)
	}
	return out.Bytes(), nil
}

// shrink scales a picture down until its longer side is pictureSide; each pixel is the mean of those that it stands for.
func shrink(from image.Image) image.Image {
	b := from.Bounds()
	longer := max(b.Dx(), b.Dy())
	if longer <= pictureSide {
		return from
	}
	to := image.NewNRGBA64(image.Rect(0, 0, max(1, b.Dx()*pictureSide/longer), max(1, b.Dy()*pictureSide/longer)))
	w, h := to.Bounds().Dx(), to.Bounds().Dy()
	for y := range h {
		for x := range w {
			to.Set(x, y, mean(from, image.Rect(b.Min.X+x*b.Dx()/w, b.Min.Y+y*b.Dy()/h, b.Min.X+(x+1)*b.Dx()/w, b.Min.Y+(y+1)*b.Dy()/h)))
		}
	}
	return to
}

func mean(from image.Image, area image.Rectangle) color.Color {
	var r, g, b, a, n uint64
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			pr, pg, pb, pa := from.At(x, y).RGBA()
			r, g, b, a, n = r+uint64(pr), g+uint64(pg), b+uint64(pb), a+uint64(pa), n+1
		}
	}
	return color.RGBA64{uint16(r / n), uint16(g / n), uint16(b / n), uint16(a / n)}
}

// servePicture is for everybody: a notice shows it where nobody is signed in. Its address changes with it.
func (s *Site) servePicture(x *exchange) error {
	text, err := s.store.Picture(x.r.PathValue("app"), x.r.PathValue("file"))
	if errors.Is(err, store.ErrNoPicture) {
		return statusError(http.StatusNotFound)
	}
	if err != nil {
		return err
	}
	h := x.w.Header()
	h.Set("Content-Type", "image/png")
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	x.w.Write(text) // an error means that the browser has gone
	return nil
}
