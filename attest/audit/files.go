package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sbid/attest/internal/statedir"
)

const (
	filePrefix = "audit-"
	fileSuffix = ".jsonl"
)

func fileName(number uint64) string { return fmt.Sprintf("%s%08d%s", filePrefix, number, fileSuffix) }

// list returns the numbers of the files in dir in ascending order.
func list(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		text := strings.TrimSuffix(strings.TrimPrefix(e.Name(), filePrefix), fileSuffix)
		n, err := strconv.ParseUint(text, 10, 64)
		if err == nil && n > 0 && e.Name() == fileName(n) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

var (
	errTorn = errors.New("the last line has no end")
	errLong = errors.New("a line is longer than any record")
)

// A lineReader reads lines of a bounded length.
type lineReader struct {
	r    *bufio.Reader
	line int   // number of the last line, from 1
	end  int64 // offset behind it
}

func newLineReader(r io.Reader) *lineReader { return &lineReader{r: bufio.NewReaderSize(r, maxLine)} }

// reset makes the reader read another file.
func (l *lineReader) reset(r io.Reader) {
	l.r.Reset(r)
	l.line, l.end = 0, 0
}

// next returns a line with its line end, valid until the next call; io.EOF
// after the last one, errTorn with what there is of a line without end, and
// errLong for what is no line of a log.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	switch {
	case err == nil:
		l.line++
		l.end += int64(len(line))
		return line, nil
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errLong
	case errors.Is(err, io.EOF) && len(line) > 0:
		return line, errTorn
	default:
		return nil, err
	}
}

// resume goes on where the newest file ends. Nobody else knows the log yet.
func (l *Log) resume() error {
	if err := statedir.Clean(l.opts.Dir); err != nil {
		return err
	}
	numbers, err := list(l.opts.Dir)
	if err != nil || len(numbers) == 0 {
		return err // the first record begins the first file
	}
	newest := numbers[len(numbers)-1]
	cutOff, damage := l.scan(newest)
	switch {
	case damage != nil:
		l.opts.Log.Error("the audit log is damaged, it goes on in a new file: export and report it", "file", fileName(newest), "error", damage)
		if err := l.leave(numbers); err != nil {
			return err
		}
		l.mind(fmt.Sprintf("%s is damaged: %v", fileName(newest), damage))
	case cutOff > 0:
		l.opts.Log.Warn("the audit log ended within a record, which was cut off", "file", fileName(newest), "bytes", cutOff)
		l.torn = true
		l.mind(fmt.Sprintf("%d bytes of a record that was not complete were cut off", cutOff))
	}
	if l.f != nil {
		l.forget()
	}
	return nil
}

// mind records a gap. A full disk is no reason not to start, and flush logs it.
func (l *Log) mind(detail string) {
	l.waiting = append(l.waiting, record{Time: l.now(), Kind: Gap, Detail: cut(detail)})
	_ = l.flush()
}

// leave leaves the newest file as it is: the log goes on in the next one, from
// the last line that holds, be it in an older file.
func (l *Log) leave(numbers []uint64) error {
	for _, n := range slices.Backward(numbers[:len(numbers)-1]) {
		if l.state.begun() {
			break
		}
		// Damage of that file, too, is found again by Verify.
		if _, err := l.scan(n); err != nil {
			continue
		}
	}
	l.state.file.Number = numbers[len(numbers)-1]
	err := l.f.Close()
	l.f, l.size = nil, 0
	return err
}

// scan opens a file and reads it up to its end or to the first line that does
// not hold. It returns how many bytes follow the last whole line.
func (l *Log) scan(number uint64) (cutOff int64, err error) {
	if l.f != nil {
		l.f.Close() // nothing was written
	}
	l.size = 0
	if l.f, err = os.OpenFile(filepath.Join(l.opts.Dir, fileName(number)), os.O_RDWR, 0); err != nil {
		return 0, err
	}
	lines := newLineReader(l.f)
	for {
		line, err := lines.next()
		switch {
		case errors.Is(err, io.EOF) && l.state.begun():
			return 0, nil
		case errors.Is(err, io.EOF):
			return 0, errors.New("it is empty")
		case errors.Is(err, errTorn) && l.state.begun():
			return int64(len(line)), nil
		case err != nil:
			return 0, err
		}
		// A checkpoint that does not agree is for Verify to report; the line
		// itself is in the chain.
		if _, err := l.state.take(line); err != nil && !errors.Is(err, errCheckpoint) {
			return 0, fmt.Errorf("line %d: %w", lines.line, err)
		}
		if l.state.file.Number != number {
			return 0, fmt.Errorf("it holds file %d", l.state.file.Number)
		}
		l.size = lines.end
	}
}
