package otpfile

import (
	"encoding/base32"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/latch-linux/latch/pkg/otp"
)

// Encoding is how the seeds of hardware tokens are written.
type Encoding string

// Encodings. Auto takes the one that fits, if only one does.
const (
	Auto   Encoding = "auto"
	Hex    Encoding = "hex"
	Base32 Encoding = "base32"
)

// Token is a hardware token of a file of seeds.
type Token struct {
	Serial string // "" where the file has none
	Secret string // Base32 without padding
	Period int    // seconds, 0 where the file does not say
	Place  string // "line 3"
	Err    error  // why it cannot be used
}

// columns are where the values of a token stand; -1 for nowhere.
type columns struct{ serial, seed, period int }

// titles are the names that vendors give the columns, in small letters without blanks and underscores. The first are those of the file that
// Microsoft Entra ID takes, which most vendors ship.
var titles = map[string]func(*columns) *int{
	"secretkey": seedColumn, "secret": seedColumn, "seed": seedColumn, "key": seedColumn, "tokenseed": seedColumn, "tokenkey": seedColumn,
	"seedhex": seedColumn, "hexseed": seedColumn, "seedbase32": seedColumn, "base32seed": seedColumn,
	"serialnumber": serialColumn, "serial": serialColumn, "serialno": serialColumn, "sn": serialColumn, "tokenserial": serialColumn, "tokenid": serialColumn,
	"timeinterval": periodColumn, "interval": periodColumn, "period": periodColumn, "timestep": periodColumn,
}

func seedColumn(c *columns) *int   { return &c.seed }
func serialColumn(c *columns) *int { return &c.serial }
func periodColumn(c *columns) *int { return &c.period }

// Seeds reads what vendors ship with hardware tokens: a seed, or lines of serial number and seed, separated by comma, semicolon,
// tab or blank, or under a line that names the columns. A token whose line is wrong says so in Err.
func Seeds(data []byte, encoding Encoding) ([]Token, error) {
	text := strings.TrimPrefix(string(data), "\ufeff")
	rows, places, err := rowsOf(text)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errors.New("there is no seed in it")
	}
	at, named, err := columnsOf(rows[0], places[0])
	if err != nil {
		return nil, err
	}
	if named {
		rows, places = rows[1:], places[1:]
	}
	var tokens []Token
	seen := map[string]string{}
	for i, row := range rows {
		t := tokenOf(row, at, encoding)
		t.Place = fmt.Sprintf("line %d", places[i])
		if first, twice := seen[t.Serial]; twice && t.Serial != "" && t.Err == nil {
			t.Err = fmt.Errorf("its serial number is in %s as well", first)
		}
		seen[t.Serial] = t.Place
		tokens = append(tokens, t)
	}
	if len(tokens) == 0 {
		return nil, errors.New("there is no seed below the names of the columns")
	}
	return tokens, nil
}

// rowsOf returns the cells of each line that is neither blank nor a comment, and the number of the line.
func rowsOf(text string) (rows [][]string, places []int, err error) {
	separator := separatorOf(text)
	if separator == ' ' {
		n := 0
		for line := range strings.Lines(text) {
			n++
			words := strings.Fields(line)
			if len(words) == 0 || strings.HasPrefix(words[0], "#") {
				continue
			}
			if len(words) > 2 { // a seed in groups, as people read it out
				words = []string{strings.Join(words, "")}
			}
			rows, places = append(rows, words), append(places, n)
		}
		return rows, places, nil
	}
	r := csv.NewReader(strings.NewReader(text))
	r.Comma, r.Comment, r.FieldsPerRecord, r.TrimLeadingSpace = separator, '#', -1, true
	for {
		row, err := r.Read()
		var broken *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return rows, places, nil
		case errors.As(err, &broken):
			return nil, nil, lineError(broken.Line, "the quotation marks are not as in CSV")
		case err != nil:
			return nil, nil, errors.New("not CSV")
		}
		line, _ := r.FieldPos(0)
		rows, places = append(rows, row), append(places, line)
	}
}

// separatorOf goes by the first line that has a value.
func separatorOf(text string) rune {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		for _, separator := range []rune{',', ';', '\t'} {
			if strings.ContainsRune(line, separator) {
				return separator
			}
		}
		break
	}
	return ' '
}

// columnsOf finds the columns by the names in the first line, or else by their number. named reports whether it has names.
func columnsOf(first []string, line int) (at columns, named bool, err error) {
	at = columns{-1, -1, -1}
	for i, title := range first {
		if column, known := titles[strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(strings.TrimSpace(title)))]; known {
			named = true
			if to := column(&at); *to < 0 {
				*to = i
			}
		}
	}
	switch {
	case named && at.seed < 0:
		return at, true, lineError(line, "no column is called secret key, secret or seed")
	case named:
		return at, true, nil
	case len(first) == 1:
		return columns{-1, 0, -1}, false, nil
	case len(first) == 2:
		return columns{0, 1, -1}, false, nil
	}
	return at, false, lineError(line, "more than a serial number and a seed, and no line above it names the columns (serial number, secret key, time interval)")
}

func tokenOf(row []string, at columns, encoding Encoding) (t Token) {
	cell := func(i int) string {
		if i < 0 || i >= len(row) {
			return ""
		}
		return strings.TrimSpace(row[i])
	}
	t.Serial = cell(at.serial)
	if t.Secret, t.Err = decode(cell(at.seed), encoding); t.Err != nil {
		return t
	}
	if period := cell(at.period); period != "" {
		if t.Period, t.Err = strconv.Atoi(period); t.Err != nil || t.Period < 1 || t.Period > 300 {
			t.Period, t.Err = 0, errors.New("the time interval is not a number of seconds from 1 to 300")
		}
	}
	return t
}

// decode returns a seed in Base32.
func decode(text string, encoding Encoding) (string, error) {
	if text == "" {
		return "", errors.New("the seed is missing")
	}
	secret := otp.NormalSecret(text)
	isBase32 := otp.CheckSecret(secret)
	raw, err := hex.DecodeString(strings.TrimPrefix(secret, "0X"))
	fromHex := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
	isHex := errors.Join(err, otp.CheckSecret(fromHex))
	switch {
	case encoding == Hex && err != nil:
		return "", errors.New("the seed is not hexadecimal")
	case encoding == Hex:
		return fromHex, isHex
	case encoding == Base32:
		return secret, isBase32
	case isHex == nil && isBase32 == nil:
		return "", errors.New("the seed can be read as hexadecimal and as Base32: say which")
	case isHex == nil:
		return fromHex, nil
	case err == nil && isBase32 != nil: // hexadecimal, and too short or too long
		return "", otp.CheckSecret(fromHex)
	case isBase32 != nil && !slices.ContainsFunc([]rune(secret), func(r rune) bool { return (r < 'A' || r > 'Z') && (r < '2' || r > '7') }):
		return "", isBase32
	case isBase32 != nil:
		return "", errors.New("the seed is neither hexadecimal nor Base32")
	}
	return secret, nil
}
