package gt511

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sbid/driver"
	"sbid/driver/internal/serialport"
)

const (
	silence = 100 * time.Millisecond // after it, a damaged answer is over
	repeats = 2                      // of a command whose answer was damaged or missing
	greet   = 500 * time.Millisecond // for an answer at a rate that may be wrong
	// captureTime is the module's budget for taking a good picture.
	captureTime = 10 * time.Second
)

// factoryRate is what a new module speaks, and what it is left at.
const factoryRate = 9600

// A module is the conversation with one module on an open line.
type module struct {
	line    *serialport.Line
	patient time.Duration // for an answer
	baud    int

	// late is until when bytes of an answer that nobody waited for may come;
	// zero: none will.
	late time.Time
}

// command sends a command until an answer comes, and returns its parameter.
func (m *module) command(ctx context.Context, command uint16, parameter uint32) (uint32, error) {
	return m.ask(ctx, request{command: command, parameter: parameter, patient: m.patient}, repeats)
}

// A request is a command and what to expect.
type request struct {
	command   uint16
	parameter uint32
	patient   time.Duration // for the answer
	data      []byte        // filled from the data packet behind the answer; nil: none comes
}

// ask repeats a request whose answer was damaged. Answers do not say what they
// answer, and data packets not how long they are: after damage the module is
// opened anew, which shows that both sides are in step.
func (m *module) ask(ctx context.Context, r request, repeats int) (uint32, error) {
	for try := 0; ; try++ {
		parameter, err := m.exchange(ctx, r)
		if err == nil || try == repeats || !mend(err) {
			return parameter, err
		}
		if err := m.drain(ctx, r.patient+m.transferTime(len(r.data))); err != nil {
			return 0, err
		}
		if r.command == cmdOpen {
			continue
		}
		if _, err := m.open(ctx, m.patient, 0); err != nil && !mend(err) {
			return 0, err
		}
	}
}

// mend reports whether repeating a command may help.
func mend(err error) bool {
	return errors.Is(err, errFraming) || errors.Is(err, serialport.ErrSilent) || errors.Is(err, faultCommunication)
}

func (m *module) exchange(ctx context.Context, r request) (uint32, error) {
	if err := m.line.Send(encode(r.parameter, r.command)); err != nil {
		return 0, err
	}
	by := time.Now().Add(r.patient)
	end := by.Add(m.transferTime(len(r.data)))
	parameter, err := readAnswer(m.line.Reader(ctx, by))
	if err == nil && r.data != nil {
		err = m.receive(ctx, r, end)
	}
	if err == nil {
		return parameter, nil
	}
	if ctx.Err() != nil {
		m.late = end
	}
	return 0, fmt.Errorf("command %02X: %w", r.command, err)
}

// receive reads the data packet of a request, piece by piece: a gap longer than
// the patience ends it before the whole time is over.
func (m *module) receive(ctx context.Context, r request, end time.Time) error {
	return readData(readerFunc(func(p []byte) (int, error) {
		by := time.Now().Add(m.patient)
		if by.After(end) {
			by = end
		}
		return m.line.Reader(ctx, by).Read(p)
	}), r.data)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// drain drops the rest of a damaged answer.
func (m *module) drain(ctx context.Context, limit time.Duration) error {
	end := time.Now().Add(limit)
	err := m.line.Drain(ctx, silence, limit)
	if ctx.Err() != nil {
		m.late = end
	}
	return err
}

// settle waits until what was asked before has been answered, and drops it.
func (m *module) settle(ctx context.Context) error {
	if m.late.IsZero() {
		return nil
	}
	err := m.line.Await(ctx, m.late)
	if err == nil {
		err = m.line.Drain(ctx, silence, max(time.Until(m.late), 0)+m.patient)
	}
	if err != nil && !errors.Is(err, serialport.ErrSilent) {
		return err
	}
	m.late = time.Time{}
	return nil
}

// open initialises the module and asks who it is.
func (m *module) open(ctx context.Context, patient time.Duration, repeats int) (identity, error) {
	b := make([]byte, identitySize)
	if _, err := m.ask(ctx, request{command: cmdOpen, parameter: 1, patient: patient, data: b}, repeats); err != nil {
		return identity{}, err
	}
	return parseIdentity(b)
}

// setBaud changes the rate of the module and of the line. When the module does
// not answer at the new rate, both stay at the old one.
func (m *module) setBaud(ctx context.Context, baud int) error {
	old := m.baud
	_, refused := m.ask(ctx, request{command: cmdChangeBaudrate, parameter: uint32(baud), patient: m.patient}, 0)
	var f fault
	if errors.As(refused, &f) || errors.Is(refused, driver.ErrRemoved) || ctx.Err() != nil {
		return refused
	}
	// The module answers at the old rate and then changes. Whether it did is
	// seen by asking, even where the answer was lost.
	for _, rate := range []int{baud, old} {
		if err := m.line.SetBaud(rate); err != nil {
			return err
		}
		m.baud = rate
		_, err := m.open(ctx, greet, repeats)
		if err == nil || !mend(err) {
			return err
		}
	}
	return fmt.Errorf("change to %d baud: %w", baud, serialport.ErrSilent)
}

// transferTime bounds how long n bytes of data take.
func (m *module) transferTime(n int) time.Duration {
	if n == 0 {
		return 0
	}
	return serialport.TransferTime(n+6, m.baud)*12/10 + m.patient
}
