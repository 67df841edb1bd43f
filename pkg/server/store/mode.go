package store

import "fmt"

// Mode says whether a node has a second factor, or closes after use: never, as the person chooses,
// or always.
type Mode int8

// The three modes, as stored.
const (
	Disabled Mode = iota
	OptIn
	Mandatory
)

// String returns the API's word.
func (m Mode) String() string {
	switch m {
	case OptIn:
		return "OPT_IN"
	case Mandatory:
		return "MANDATORY"
	}
	return "DISABLED"
}

// ParseMode reads the API's word; the empty string is DISABLED.
func ParseMode(word string) (Mode, error) {
	switch word {
	case "", "DISABLED":
		return Disabled, nil
	case "OPT_IN":
		return OptIn, nil
	case "MANDATORY":
		return Mandatory, nil
	}
	return Disabled, fmt.Errorf("mode %q is none of DISABLED, OPT_IN, MANDATORY", word)
}

// applies tells whether a mode is in force for a person who chose so or not.
func (m Mode) applies(chosen bool) bool { return m == Mandatory || m == OptIn && chosen }
