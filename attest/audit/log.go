package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"sbid/attest/internal/statedir"
)

// Bounds of a log when Options has none: 256 MiB are two years of a thousand
// captures a day.
const (
	defaultMaxFile  = 8 << 20
	defaultMaxFiles = 32
	// maxWaiting is how many records wait in memory for room on the disk.
	maxWaiting = 10000
)

// Options say where a log is and how large it may grow.
type Options struct {
	Dir          string           // made if there is none; the log's own
	Now          func() time.Time // time of the records; time.Now if nil
	Checkpointer Checkpointer     // nil for no checkpoints
	MaxFile      int64            // bytes after which a new file is begun; 8 MiB if 0
	MaxFiles     int              // files that are kept, 2 at least; 32 if 0
	Log          *slog.Logger     // slog.Default() if nil
}

// A Log is an audit log that is being written. It is safe for concurrent use.
type Log struct {
	opts Options
	lock *statedir.Lock

	checkpointing sync.Mutex // held for a checkpoint, outside mu

	mu     sync.Mutex
	closed bool
	f      *os.File // the newest file; nil before the first record
	size   int64    // bytes of it that are whole lines on the disk
	torn   bool     // there may be more bytes behind them
	state  state    // after those lines
	last   *Checkpoint
	// certifying keeps an intent and its checkpoint in one file.
	certifying bool
	waiting    []record // not on the disk yet
	lost       lost
	trouble    error // why records wait
}

// lost counts records for which memory had no room either.
type lost struct {
	records  int
	from, to string
}

// Open opens the log in a directory for writing, or begins one. Another Log
// that is open there, in this process or another one, is an error that wraps
// statedir's; reading and Verify go on beside it.
//
// A last line that was not written to its end is cut off; a newest file that
// does not hold is left as it is, and the log goes on in a new one. Both are
// recorded as Gap and logged, and neither is an error: whoever could stop a
// registration centre by damaging a file would do so.
func Open(o Options) (_ *Log, err error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.MaxFile == 0 {
		o.MaxFile = defaultMaxFile
	}
	if o.MaxFiles == 0 {
		o.MaxFiles = defaultMaxFiles
	}
	if o.MaxFile < 0 || o.MaxFiles < 2 {
		return nil, fmt.Errorf("open audit log: %d bytes a file and %d files, expected a positive size and two files", o.MaxFile, o.MaxFiles)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	lock, err := statedir.Acquire(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open audit log %s: %w", o.Dir, err)
	}
	l := &Log{opts: o, lock: lock}
	if err := l.resume(); err != nil {
		return nil, errors.Join(fmt.Errorf("open audit log: %w", err), l.Close())
	}
	return l, nil
}

// Close gives the directory back. Records that still wait in memory are tried
// once more, and are lost if that fails. A second Close does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	err := l.flush()
	if l.f != nil {
		err = errors.Join(err, l.f.Close())
	}
	return errors.Join(err, l.lock.Release())
}

// Append records events, in their order and with one time, and returns when
// they are on the disk. What belongs together is cheaper in one call.
//
// When the disk takes nothing, records wait in memory, up to ten thousand, and
// the error wraps ErrKept: whether to go on is the caller's decision. They are
// written, in their order, by the first call that can. An event that cannot be
// recorded at all is an error and not a record.
func (l *Log) Append(events ...Event) error {
	at := l.opts.Now()
	records := make([]record, len(events))
	for i, e := range events {
		var err error
		if records[i], err = e.record(at); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	room := max(0, maxWaiting-len(l.waiting))
	for i, r := range records {
		if i < room {
			l.waiting = append(l.waiting, r)
			continue
		}
		if l.lost.records == 0 {
			l.lost.from = r.Time
		}
		l.lost.records++
		l.lost.to = r.Time
	}
	return l.flush()
}

// Flush writes what waits in memory.
func (l *Log) Flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	return l.flush()
}

var errClosed = errors.New("audit: log is closed")

// A Status says how the log is doing.
type Status struct {
	Records uint64 // on the disk, those of deleted files included
	Head    Hash   // of the last of them
	Waiting int    // in memory
	Lost    int    // for which there was no room
	Trouble error  // why records wait, nil if none does
}

// Status returns the log's state without waiting for the TPM.
func (l *Log) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Status{l.state.Number, l.state.Head, len(l.waiting), l.lost.records, l.trouble}
}

func (l *Log) now() string { return stamp(l.opts.Now()) }

// write records something about the log itself. Unlike Append it does not let
// it wait.
func (l *Log) write(r record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	if err := l.flush(); err != nil {
		return err
	}
	return l.put([]record{r})
}
