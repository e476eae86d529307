package holder

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// What a search may cost. The answer is for a line in a log or on a console,
// and is worth no more.
const (
	searchTime = 500 * time.Millisecond
	maxFound   = 4
)

// find looks through the descriptors that /proc shows.
func find(path string) []process {
	node, ok := device(path)
	if !ok {
		return nil
	}
	processes, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer processes.Close()
	names, err := processes.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var found []process
	enough := time.Now().Add(searchTime)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		if time.Now().After(enough) || len(found) == maxFound {
			break
		}
		if has(filepath.Join("/proc", name, "fd"), node, enough) {
			// A process that has ended meanwhile has no name any more.
			comm, _ := os.ReadFile(filepath.Join("/proc", name, "comm"))
			found = append(found, process{pid, strings.TrimSpace(string(comm))})
		}
	}
	return found
}

// has reports whether a directory of descriptors has the node among them.
func has(dir string, node uint64, enough time.Time) bool {
	fds, err := os.Open(dir)
	if err != nil {
		return false
	}
	defer fds.Close()
	for {
		names, err := fds.Readdirnames(128)
		for _, name := range names {
			fd := filepath.Join(dir, name)
			// Only what is a device by its name is looked at closer: to stat a file on a
			// dead network share takes for ever.
			if target, err := os.Readlink(fd); err != nil || !strings.HasPrefix(target, "/dev/") {
				continue
			}
			if got, ok := device(fd); ok && got == node {
				return true
			}
		}
		if err != nil || time.Now().After(enough) {
			return false
		}
	}
}

// device returns the number of the device that a path leads to. Links and
// further nodes of one device have the same.
func device(path string) (number uint64, ok bool) {
	info, err := os.Stat(path)
	if err != nil || info.Mode()&os.ModeDevice == 0 {
		return 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	number = stat.Rdev << 1 // block and character devices have numbers of their own
	if info.Mode()&os.ModeCharDevice != 0 {
		number |= 1
	}
	return number, true
}
