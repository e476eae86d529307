package remote

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	"sbid/driver"
)

// leaving is how long a helper may take to end after its input did.
const leaving = 2 * time.Second

// A process is the helper program, and the pipes to it.
type process struct {
	cmd  *exec.Cmd
	in   *os.File
	out  *os.File
	said *tail
	over chan struct{} // closed when it has ended
	err  error         // how; read after over is closed
	once sync.Once
}

// passedOn are the variables that the helper sees: what it needs to find its
// libraries, and nothing that may be secret.
var passedOn = []string{"PATH", "LD_LIBRARY_PATH", "LIBUSB_DEBUG", "SystemRoot", "TEMP"}

func startProcess(path string, args ...string) (io.ReadWriteCloser, error) {
	input, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer input.Close()
	out, output, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer output.Close()
	p := &process{
		cmd: exec.Command(path, args...), //nolint:gosec,noctx // the configuration names it; it lives as long as the daemon, and Close ends it
		in:  in, out: out, said: &tail{}, over: make(chan struct{}),
	}
	p.cmd.Env = []string{"LC_ALL=C"}
	for _, name := range passedOn {
		if value, ok := os.LookupEnv(name); ok {
			p.cmd.Env = append(p.cmd.Env, name+"="+value)
		}
	}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = input, output, p.said
	p.cmd.WaitDelay = leaving
	dieWithParent(p.cmd)
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		in.Close()
		out.Close()
		return nil, missing(path, err)
	}
	return p, nil
}

// run is the program's life. The kernel ends the program with the thread that
// started it, which must not end before.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.over)
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	if err = p.cmd.Wait(); err != nil {
		p.err = ending(p.cmd.ProcessState.ExitCode(), err, p.said.line())
	}
}

// notFound is the exit code of a program whose libraries are missing.
const notFound = 127

// ending says how the program ended.
func ending(code int, err error, said string) error {
	if code == notFound && strings.Contains(said, "libusb") {
		return fmt.Errorf("%w: libusb-1.0 is not installed (Debian: apt-get install libusb-1.0-0)", driver.ErrUnavailable)
	}
	if code == notFound {
		return fmt.Errorf("%w: %s", driver.ErrUnavailable, said)
	}
	return fmt.Errorf("%w: %s", err, said)
}

// missing says what to do about a program that cannot be started.
func missing(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is not there: install the package sbid-usb", driver.ErrUnavailable, path)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", driver.ErrUnavailable, err)
	}
	return err
}

func (p *process) Read(b []byte) (int, error)  { return p.out.Read(b) }
func (p *process) Write(b []byte) (int, error) { return p.in.Write(b) }

// Kill ends the helper at once.
func (p *process) Kill() { _ = p.cmd.Process.Kill() } // it may have ended

// Close ends the helper: by the end of its input, which it obeys, or else by
// force. It returns what its end means, the same every time.
func (p *process) Close() error {
	p.once.Do(func() {
		p.in.Close()
		late := time.AfterFunc(leaving, p.Kill)
		<-p.over
		late.Stop()
		p.out.Close()
	})
	<-p.over
	return p.err
}

// tail keeps the last of what a program said.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const maxTail = 2048

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if n := len(t.text); n > maxTail {
		t.text = append(t.text[:0], t.text[n-maxTail:]...)
	}
	return len(b), nil
}

// line is the last line, printable.
func (t *tail) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.text)), "\n")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, lines[len(lines)-1])
}
