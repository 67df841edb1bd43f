// Package version holds the product's version, one for every program that is built together.
package version

// version is set at link time from the VERSION file; a plain `go build` leaves the default.
var version = "devel"

// String returns the version in the form "1.2.3", or "devel" for a build without one.
func String() string { return version }
