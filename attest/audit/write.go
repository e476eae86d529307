package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"sbid/attest/internal/statedir"
)

// flush writes what waits. It logs once when trouble begins and once when it is
// over. mu is held.
func (l *Log) flush() error {
	if len(l.waiting) == 0 && l.lost.records == 0 {
		return nil
	}
	records := l.waiting
	if n := l.lost.records; n > 0 {
		records = append(slices.Clip(records), record{
			Time: l.now(), Kind: Gap,
			Detail: cut(fmt.Sprintf("%d records from %s to %s are lost: %v", n, l.lost.from, l.lost.to, l.trouble)),
		})
	}
	if err := l.put(records); err != nil {
		if l.trouble == nil {
			l.opts.Log.Error("the audit log cannot be written, records are kept in memory: make room on the disk", "dir", l.opts.Dir, "error", err)
		}
		l.trouble = err
		return fmt.Errorf("audit: %w: %w", ErrKept, err)
	}
	if l.trouble != nil {
		l.opts.Log.Warn("the audit log can be written again", "dir", l.opts.Dir, "written", len(l.waiting), "lost", l.lost.records)
	}
	l.waiting, l.lost, l.trouble = nil, lost{}, nil
	return nil
}

// put writes records and brings them to the disk, all or none. mu is held.
func (l *Log) put(records []record) error {
	if err := l.mend(); err != nil {
		return err
	}
	if l.f == nil || l.size >= l.opts.MaxFile && !l.certifying {
		if err := l.rotate(); err != nil {
			return err
		}
	}
	next, lines := l.state, []byte(nil)
	for _, r := range records {
		var err error
		if lines, err = next.seal(lines, r); err != nil {
			return err
		}
		// A checkpoint that leaves out a count has its gap before it.
		if err := next.note(r); err != nil && !errors.Is(err, errCheckpoint) {
			return err
		}
	}
	if err := l.extend(lines); err != nil {
		return err
	}
	l.state = next
	for _, r := range records {
		if r.Checkpoint != nil {
			l.last = r.Checkpoint
		}
	}
	return nil
}

// extend writes lines behind the last good one. After an error nothing counts
// as written, not even what a failed fsync may have left in the file: it is cut
// off and written again.
func (l *Log) extend(lines []byte) error {
	l.torn = true
	_, err := l.f.WriteAt(lines, l.size)
	if err == nil {
		err = l.f.Sync()
	}
	if err != nil {
		return errors.Join(err, l.mend())
	}
	l.torn = false
	l.size += int64(len(lines))
	return nil
}

// mend cuts off what is not known to be on the disk.
func (l *Log) mend() error {
	if !l.torn {
		return nil
	}
	if err := l.f.Truncate(l.size); err != nil {
		return err
	}
	if err := l.f.Sync(); err != nil {
		return err
	}
	l.torn = false
	return nil
}

// rotate begins the next file, and removes the oldest when there are too many.
// The header says which files are kept before the others go, so that a file
// that is missing can be told from one that was removed.
func (l *Log) rotate() error {
	header := fileHeader{
		Number: l.state.file.Number + 1, First: max(l.state.file.First, 1),
		Previous: l.state.Head, Mark: l.state.mark,
	}
	if keep := uint64(l.opts.MaxFiles); header.Number > keep {
		header.First = max(header.First, header.Number-keep+1)
	}
	next := l.state
	line, err := next.seal(nil, record{Time: l.now(), Kind: kindFile, File: &header})
	if err != nil {
		return err
	}
	next.file = header
	path := filepath.Join(l.opts.Dir, fileName(header.Number))
	if err := statedir.WriteFile(path, line, 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if l.f != nil {
		l.f.Close() // all of it is on the disk
	}
	l.f, l.size, l.torn, l.state = f, int64(len(line)), false, next
	l.forget()
	return nil
}

// forget removes the files that the newest header does not keep. What cannot be
// removed now is tried again at the next rotation or start.
func (l *Log) forget() {
	numbers, err := list(l.opts.Dir)
	for _, n := range numbers {
		if err == nil && n < l.state.file.First {
			err = statedir.Remove(filepath.Join(l.opts.Dir, fileName(n)))
		}
	}
	if err != nil {
		l.opts.Log.Warn("old files of the audit log stay", "error", err)
	}
}
