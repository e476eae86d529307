package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"strconv"
	"strings"
	"time"
)

// A StreamRequest asks for the preview of one sensor of a device.
type StreamRequest struct {
	DeviceID string
	SubID    string        // 0 to 3
	Timeout  time.Duration // 0: as long as the service streams by itself, five minutes
}

// defaultStream is how long a stream lasts that asks for no timeout.
const defaultStream = 5 * time.Minute

// Stream yields the JPEG frames of a device's preview (STREAM) until the service
// ends it, the consumer has enough or ctx ends. If it cannot go on, the last
// value carries the error: an *Error if the service sent one.
func (c *Client) Stream(ctx context.Context, port int, r StreamRequest) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for frame, err := range c.stream(ctx, port, r) {
			if err != nil {
				err = fmt.Errorf("%s on port %d: %w", verbStream, port, err)
			}
			if !yield(frame, err) {
				return
			}
		}
	}
}

func (c *Client) stream(ctx context.Context, port int, r StreamRequest) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		request := struct {
			DeviceID    string `json:"deviceId"`
			DeviceSubID string `json:"deviceSubId"`
			Timeout     string `json:"timeout,omitempty"`
		}{DeviceID: r.DeviceID, DeviceSubID: r.SubID}
		length := defaultStream
		if r.Timeout > 0 {
			length = r.Timeout
			request.Timeout = strconv.FormatInt(r.Timeout.Milliseconds(), 10)
		}
		ctx, cancel := context.WithTimeout(ctx, length+streamTime)
		defer cancel()
		resp, err := c.send(ctx, port, verbStream, pathStream, "*/*", request)
		if err != nil {
			yield(nil, err)
			return
		}
		defer resp.Body.Close()
		contentType := resp.Header.Get("Content-Type")
		if media, _, _ := mime.ParseMediaType(contentType); !strings.HasPrefix(media, "multipart/") &&
			!strings.HasPrefix(contentType, "multipart/") { // some boundaries in use do not parse
			yield(nil, notStream(resp.Body, contentType))
			return
		}
		readFrames(resp.Body)(yield)
	}
}

// notStream says why an answer is not a stream.
func notStream(body io.Reader, contentType string) error {
	answer, err := readBounded(body, listingSize)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if sbiErr := reportedError(answer); sbiErr != nil {
		return sbiErr
	}
	return fmt.Errorf("the service answered with %q, not with a stream", contentType)
}

// readFrames yields the bodies of the parts of a multipart stream. Any boundary
// will do, declared or not: a part begins at a line that starts with two
// hyphens, and its Content-Length says where it ends.
func readFrames(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		parts := partReader{in: bufio.NewReader(r)}
		for {
			frame, err := parts.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(frame, err) || err != nil {
				return
			}
		}
	}
}

type partReader struct {
	in       *bufio.Reader
	boundary string // the first delimiter line; "" before it came
}

// next returns the next image, and io.EOF at the end of the stream.
func (p *partReader) next() ([]byte, error) {
	if err := p.delimiter(); err != nil {
		return nil, err
	}
	size, err := p.header()
	if err != nil {
		return nil, err
	}
	// Memory grows with what arrives, not with what was announced.
	frame, err := io.ReadAll(io.LimitReader(p.in, size))
	if err != nil {
		return nil, err
	}
	if int64(len(frame)) < size {
		return nil, fmt.Errorf("the stream ends %d bytes into a frame of %d: %w", len(frame), size, io.ErrUnexpectedEOF)
	}
	if !bytes.HasPrefix(frame, []byte{0xFF, 0xD8}) {
		return nil, errors.New("a frame is not a JPEG image")
	}
	return frame, nil
}

// delimiter reads up to and including the line before a part's header. It
// returns io.EOF at the last delimiter or where the stream just ends.
func (p *partReader) delimiter() error {
	for range headerLines {
		line, err := p.line()
		if err != nil {
			return err
		}
		switch {
		case line == "":
		case p.boundary != "" && line == p.boundary+"--":
			return io.EOF
		case strings.HasPrefix(line, "--"):
			if p.boundary == "" {
				p.boundary = line
			}
			return nil
		case p.boundary == "":
			// Whatever stands before the first part is not for us.
		case strings.HasPrefix(line, "HTTP/"):
			// MOSIP's mock service ends a stream with a whole HTTP answer.
			return io.EOF
		default:
			return errors.New("a frame is not as long as its Content-Length says")
		}
	}
	return fmt.Errorf("%d lines without a frame", headerLines)
}

// headerLines bounds a part's header and what may stand between parts.
const headerLines = 64

// header reads a part's header to its blank line and returns the length of the
// body.
func (p *partReader) header() (int64, error) {
	size := int64(-1)
	for range headerLines {
		line, err := p.line()
		if errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("the stream ends in a frame's header: %w", io.ErrUnexpectedEOF)
		}
		if err != nil {
			return 0, err
		}
		if line == "" {
			if size < 0 {
				return 0, errors.New("a frame comes without Content-Length")
			}
			return size, nil
		}
		name, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(strings.TrimSpace(name), "Content-Length") {
			continue
		}
		size, err = strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil || size < 1 || size > frameSize {
			return 0, fmt.Errorf("a frame's Content-Length is %.20q", strings.TrimSpace(value))
		}
	}
	return 0, fmt.Errorf("a frame's header has more than %d lines", headerLines)
}

// line reads a line without its end, which is LF or CRLF. The last line may
// lack it; io.EOF stands for nothing left.
func (p *partReader) line() (string, error) {
	b, err := p.in.ReadSlice('\n') // at most the reader's buffer, 4096 bytes
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", errors.New("a line of the stream has no end")
	case errors.Is(err, io.EOF) && len(b) > 0:
	case err != nil:
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}
