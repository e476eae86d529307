package zfm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"sbid/driver"
	"sbid/driver/internal/serialport"
)

const (
	silence = 50 * time.Millisecond // after it, a damaged answer is over
	repeats = 2                     // of a command whose answer was damaged or missing
	greet   = 500 * time.Millisecond
)

// A module is the conversation with one module on an open line.
type module struct {
	line    *serialport.Line
	address uint32
	patient time.Duration // for an answer
	baud    int
	packet  int // payload bytes of a data packet

	// late is until when bytes of an answer that nobody waited for may come;
	// zero: none will.
	late time.Time
	buf  buffer
}

// parsePacketSize reads the 16 bytes of readSysPara: status, system id, library
// size, security level, address (4), packet size code, baud rate over 9600;
// words, big endian. It returns the payload bytes of a data packet.
func parsePacketSize(b []byte) (int, error) {
	if len(b) != 16 {
		return 0, fmt.Errorf("%w: %d bytes of parameters, not 16", errFraming, len(b))
	}
	code := binary.BigEndian.Uint16(b[12:])
	if code > 3 {
		return 0, fmt.Errorf("%w: packet size code %d", errFraming, code)
	}
	return 32 << code, nil
}

// A product is what of the answer to readProdInfo is of use.
type product struct {
	model, serial string
	width, height int // pixels
}

// parseProduct reads the 46 bytes: model 16, batch 4, serial 8, hardware version
// 2, sensor 8, width 2, height 2, template size 2, library size 2.
func parseProduct(b []byte) (product, error) {
	if len(b) != 46 {
		return product{}, fmt.Errorf("%w: %d bytes of product information, not 46", errFraming, len(b))
	}
	return product{
		model:  text(b[:16]),
		serial: text(b[20:28]),
		width:  int(binary.BigEndian.Uint16(b[38:])),
		height: int(binary.BigEndian.Uint16(b[40:])),
	}, nil
}

// text returns the printable ASCII of a field padded with zeros: what a foreign
// device says ends in logs and on screens.
func text(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b)))
}

// command sends a command until an answer comes, and returns what follows the
// code. An answer other than codeOK is the error. The bytes are valid until the
// next command.
func (m *module) command(ctx context.Context, payload ...byte) ([]byte, error) {
	return m.ask(ctx, m.patient, repeats, payload)
}

func (m *module) ask(ctx context.Context, patient time.Duration, repeats int, payload []byte) ([]byte, error) {
	for try := 0; ; try++ {
		rest, err := m.exchange(ctx, patient, payload)
		if err == nil || try == repeats || !mend(err) {
			return rest, err
		}
		if err := m.drain(ctx, patient); err != nil {
			return nil, err
		}
	}
}

// drain drops the rest of a damaged answer.
func (m *module) drain(ctx context.Context, limit time.Duration) error {
	end := time.Now().Add(limit)
	err := m.line.Drain(ctx, silence, limit)
	if ctx.Err() != nil {
		m.late = end
	}
	return err
}

// mend reports whether repeating a command may help.
func mend(err error) bool {
	return errors.Is(err, errFraming) || errors.Is(err, serialport.ErrSilent) || errors.Is(err, codeNotReceived)
}

func (m *module) exchange(ctx context.Context, patient time.Duration, payload []byte) ([]byte, error) {
	if err := m.line.Send(encode(m.address, kindCommand, payload)); err != nil {
		return nil, err
	}
	by := time.Now().Add(patient)
	p, err := readPacket(m.line.Reader(ctx, by), m.address, &m.buf)
	if err != nil {
		if ctx.Err() != nil {
			m.late = by
		}
		return nil, fmt.Errorf("command %02X: %w", payload[0], err)
	}
	if p.kind != kindAnswer {
		return nil, fmt.Errorf("command %02X: %w: kind %02X, not an answer", payload[0], errFraming, p.kind)
	}
	if c := code(p.payload[0]); c != codeOK {
		return nil, fmt.Errorf("command %02X: %w", payload[0], c)
	}
	return p.payload[1:], nil
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

func (m *module) verifyPassword(ctx context.Context, password uint32, patient time.Duration, repeats int) error {
	_, err := m.ask(ctx, patient, repeats, binary.BigEndian.AppendUint32([]byte{vfyPwd}, password))
	return err
}

func (m *module) packetSize(ctx context.Context) (int, error) {
	b, err := m.command(ctx, readSysPara)
	if err != nil {
		return 0, err
	}
	return parsePacketSize(b)
}

func (m *module) product(ctx context.Context) (product, error) {
	b, err := m.ask(ctx, greet, 0, []byte{readProdInfo})
	if err != nil {
		return product{}, err
	}
	return parseProduct(b)
}

// firmware returns the version of the module's own software.
func (m *module) firmware(ctx context.Context) (string, error) {
	b, err := m.ask(ctx, greet, 0, []byte{getFwVer})
	return text(b), err
}

// setPacketSize makes the module send size payload bytes a data packet.
func (m *module) setPacketSize(ctx context.Context, size int) error {
	var code byte
	for 32<<code < size {
		code++
	}
	if _, err := m.command(ctx, setSysPara, registerPacketSize, code); err != nil {
		return err
	}
	m.packet = size
	return nil
}

// setBaud changes the rate of the module and of the line. When the module does
// not answer at the new rate, both stay at the old one.
func (m *module) setBaud(ctx context.Context, baud int, password uint32) error {
	old := m.baud
	_, refused := m.ask(ctx, m.patient, 0, []byte{setSysPara, registerBaud, byte(baud / 9600)})
	var c code
	if errors.As(refused, &c) || errors.Is(refused, driver.ErrRemoved) || ctx.Err() != nil {
		return refused
	}
	// The module answers at the old rate and then changes. Whether it did is
	// seen by asking, even where the answer was lost.
	for _, rate := range []int{baud, old} {
		if err := m.line.SetBaud(rate); err != nil {
			return err
		}
		err := m.verifyPassword(ctx, password, greet, repeats)
		if err == nil {
			m.baud = rate
			return nil
		}
		if !mend(err) {
			return err
		}
	}
	return fmt.Errorf("change to %d baud: %w", baud, serialport.ErrSilent)
}

// upload reads the image buffer: packed pixels, as many as the module sends.
func (m *module) upload(ctx context.Context) ([]byte, error) {
	for try := 0; ; try++ {
		pixels, err := m.uploadOnce(ctx)
		if err == nil || try == repeats || !mend(err) {
			return pixels, err
		}
		// The rest of the image still comes.
		if err := m.drain(ctx, m.uploadTime()); err != nil {
			return nil, err
		}
	}
}

func (m *module) uploadOnce(ctx context.Context) ([]byte, error) {
	if _, err := m.ask(ctx, m.patient, 0, []byte{upImage}); err != nil {
		if ctx.Err() != nil {
			m.late = time.Now().Add(m.uploadTime())
		}
		return nil, err
	}
	end := time.Now().Add(m.uploadTime())
	pixels := make([]byte, 0, geometries[0].bytes())
	for {
		by := time.Now().Add(m.patient)
		if by.After(end) {
			by = end
		}
		p, err := readPacket(m.line.Reader(ctx, by), m.address, &m.buf)
		switch {
		case err != nil && ctx.Err() != nil:
			m.late = end
			return nil, err
		case err != nil:
			return nil, fmt.Errorf("image after %d bytes: %w", len(pixels), err)
		case p.kind != kindData && p.kind != kindLast:
			return nil, fmt.Errorf("image after %d bytes: %w: kind %02X", len(pixels), errFraming, p.kind)
		case len(pixels)+len(p.payload) > maxImage:
			return nil, fmt.Errorf("image of more than %d bytes", maxImage)
		}
		pixels = append(pixels, p.payload...)
		if p.kind == kindLast {
			return pixels, nil
		}
	}
}

// uploadTime bounds the transfer of the largest image at the module's rate.
func (m *module) uploadTime() time.Duration {
	packets := maxImage / m.packet
	n := packets * (m.packet + 11)
	return serialport.TransferTime(n, m.baud)*12/10 + m.patient
}

// isNoAnswer reports whether err leaves open that the module is there at
// another rate.
func isNoAnswer(err error) bool {
	return errors.Is(err, serialport.ErrSilent) || errors.Is(err, errFraming) ||
		errors.Is(err, serialport.ErrNoise)
}
