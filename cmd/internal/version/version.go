// Package version tells which build of the program is running.
package version

import "runtime/debug"

// Unknown is the version of a program that was built without a record of its
// source, as tests are.
const Unknown = "devel"

// String returns the version that the Go command stamped into the program: the
// tag that it was built from (v1.2.0), or a pseudo-version with time and commit,
// with +dirty behind it if files had been changed. It consists of ASCII letters,
// digits and the characters "-", "+" and ".".
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Unknown
	}
	return of(info)
}

func of(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	return Unknown
}
