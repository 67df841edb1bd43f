package pages

import "strings"

// Words by which a browser and its system are found in what the browser says of itself, the first that is there.
var (
	browserWords = [][2]string{{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser", "Samsung Internet"}, {"Firefox", "Firefox"}, {"FxiOS", "Firefox"},
		{"CriOS", "Chrome"}, {"Chrome", "Chrome"}, {"Safari", "Safari"}}
	systemWords = [][2]string{{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"CrOS", "ChromeOS"}, {"Windows", "Windows"},
		{"Mac OS X", "Mac"}, {"Linux", "Linux"}}
)

// device names a browser by its User-Agent, in the visitor's language: "Chrome, Android".
func (x *exchange) device(userAgent string) string {
	browser, system := firstWord(browserWords, userAgent), firstWord(systemWords, userAgent)
	switch {
	case browser != "" && system != "":
		return x.text("account.device", browser, system)
	case browser != "":
		return browser
	case system != "":
		return system
	}
	return x.text("account.device_unknown")
}

func firstWord(words [][2]string, text string) string {
	for _, w := range words {
		if strings.Contains(text, w[0]) {
			return w[1]
		}
	}
	return ""
}
