package holder

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// asHolder makes this test program a process that has a node open.
const asHolder = "SBID_TEST_HOLDS"

func TestMain(m *testing.M) {
	if path := os.Getenv(asHolder); path != "" {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("open")
		_, _ = bufio.NewReader(os.Stdin).ReadByte() // until the test has seen it
		f.Close()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// terminal returns the path of a device node that nobody else can have open.
func terminal(t *testing.T) string {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/dev/pts/%d", n)
}

// The program that holds a node is named while it does, under each of the
// node's names; our own is not.
func TestOf(t *testing.T) {
	node := terminal(t)
	own, err := os.OpenFile(node, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if got := Of(node); got != "" {
		t.Errorf("nobody else has it open, and the holder is %q", got)
	}

	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(t.Context(), exe)
	other.Env = append(os.Environ(), asHolder+"="+node)
	other.Stderr = os.Stderr
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	if line != "open\n" {
		t.Fatalf("the other program says %q", line)
	}

	link := filepath.Join(t.TempDir(), "scanner")
	if err := os.Symlink(node, link); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("holder.test (pid %d)", other.Process.Pid)
	for _, path := range []string{node, link} {
		if got := Of(path); got != want {
			t.Errorf("holder of %s is %q, want %q", path, got, want)
		}
	}
	in.Close()
	if err := other.Wait(); err != nil {
		t.Fatal(err)
	}
	if got := Of(node); got != "" {
		t.Errorf("it has ended, and the holder is %q", got)
	}
}

// What is no device has no holder.
func TestNoDevice(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, "/dev/none", "", "/proc"} {
		if got := Of(path); got != "" {
			t.Errorf("holder of %q is %q", path, got)
		}
	}
}

// A process chooses its name; it cannot write lines into our log with it.
func TestName(t *testing.T) {
	for name, want := range map[string]string{
		"fprintd":           "fprintd (pid 7)",
		"a\nb\x1b[2J\xff c": "ab[2J c (pid 7)",
		"\n":                "a program (pid 7)",
	} {
		if got := (process{7, name}).String(); got != want {
			t.Errorf("%q is written %q, want %q", name, got, want)
		}
	}
}
