package doctor

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// clockSynchronised asks the kernel, whom every time service tells.
func clockSynchronised() (synchronised, known bool) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, false
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, true
}

// freeSpace returns the bytes that a folder's disk has for us.
func freeSpace(path string) (bytes uint64, known bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}

// owner returns the number of the user whom a file belongs to.
func owner(path string) (uid int, known bool) {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return 0, false
	}
	return int(s.Uid), true
}

// listener names the process that listens on a port of 127.0.0.1 or of all
// addresses, like "java (pid 99)"; "" if it cannot be told.
func listener(port int) string {
	socket := socketOf(port)
	if socket == "" {
		return ""
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != socket {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		name, err := os.ReadFile(filepath.Join(process, "comm"))
		if err != nil {
			return ""
		}
		return fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), filepath.Base(process))
	}
	return ""
}

// socketOf returns what /proc/PID/fd calls the listening socket of a port.
func socketOf(port int) string {
	return cmp.Or(socketIn("/proc/net/tcp", port), socketIn("/proc/net/tcp6", port))
}

// reached are the addresses, as this machine's byte order has them, on which a
// listener takes 127.0.0.1 from others: itself, any, and both as IPv6 has them.
var reached = []string{
	"0100007F", "00000000",
	"0000000000000000FFFF00000100007F", "00000000000000000000000000000000",
}

func socketIn(table string, port int) string {
	const listening = "0A"
	f, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[3] != listening {
			continue
		}
		address, number, _ := strings.Cut(fields[1], ":")
		if n, err := strconv.ParseUint(number, 16, 16); err != nil || int(n) != port {
			continue
		}
		if slices.Contains(reached, address) {
			return "socket:[" + fields[9] + "]"
		}
	}
	return ""
}
