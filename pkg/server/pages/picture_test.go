package pages

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/latch-linux/latch/pkg/server/store"
)

// upload sends a file to an application's form.
func (c *client) upload(a store.Application, file []byte) *http.Response {
	c.b.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("picture", "x.png")
	c.b.must(err)
	part.Write(file)
	form.Close()
	r := httptest.NewRequest("POST", testURL+appAddress(a)+"/picture", &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range c.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	c.b.site.ServeHTTP(w, r)
	return w.Result()
}

func TestPictures(t *testing.T) {
	b := newBed(t)
	c, _ := b.staff("root", store.RoleAdmin)
	a := b.app("servers")
	wide := image.NewPaletted(image.Rect(0, 0, 1024, 300), color.Palette{color.White, color.RGBA{200, 0, 0, 255}})
	var gifFile, pngFile bytes.Buffer
	b.must(gif.Encode(&gifFile, wide, nil))
	gifFile.WriteString("<script>alert(1)</script>") // what follows a picture
	if resp := c.upload(a, gifFile.Bytes()); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("%s", resp.Status)
	}
	a, err := b.store.Application(a.ID)
	b.must(err)
	says(t, c.get(appAddress(a)), `src="`+a.ImageURL+`"`)
	resp := b.client().do("GET", a.ImageURL, nil) // whoever asks
	picture, err := png.Decode(resp.Body)
	if err != nil || picture.Bounds().Dx() != pictureSide || picture.Bounds().Dy() != 75 || resp.Header.Get("Content-Type") != "image/png" {
		t.Errorf("%v, %v", resp, err)
	}
	b.must(png.Encode(&pngFile, image.NewGray(image.Rect(0, 0, maxPictureSide+1, 1))))
	for name, file := range map[string][]byte{"too wide": pngFile.Bytes(), "no picture": []byte("<svg onload='x'/>"), "empty": nil} {
		c.upload(a, file)
		if again, err := b.store.Application(a.ID); err != nil || again.ImageURL != a.ImageURL {
			t.Errorf("%s: %q, %v", name, again.ImageURL, err)
		}
	}
	if resp := c.upload(a, make([]byte, maxPicture)); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a large one: %s", resp.Status)
	}
	if resp := b.client().do("GET", store.PicturePath+a.ID+"/x.png", nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("another address: %s", resp.Status)
	}
}
