//go:build !linux

package remote

import "os/exec"

// dieWithParent has nothing to do here: the helper ends with its input.
func dieWithParent(*exec.Cmd) {}
