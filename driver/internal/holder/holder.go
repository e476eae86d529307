// Package holder finds out which program has a device node open, so that "held
// by another program" can name it.
package holder

import (
	"fmt"
	"strings"
	"unicode"
)

// Of names the other processes that have the device node at path open, like
// "fprintd (pid 712)". It is "" where there is none or where that cannot be
// found out: without root, only processes of the same user can be looked into.
func Of(path string) string {
	var names []string
	for _, p := range find(path) {
		names = append(names, p.String())
	}
	return strings.Join(names, ", ")
}

// A process has the node open.
type process struct {
	pid  int
	name string
}

// String leaves out what a process may have put into its name to disturb a log.
func (p process) String() string {
	name := strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, p.name)
	if name = strings.TrimSpace(name); name == "" {
		name = "a program"
	}
	return fmt.Sprintf("%s (pid %d)", name, p.pid)
}
