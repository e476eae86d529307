package remote

import (
	"os/exec"
	"syscall"
)

// dieWithParent ends the helper when the daemon dies, however it does, and
// keeps a terminal's signals from it: the daemon ends it.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
