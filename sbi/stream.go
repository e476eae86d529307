package sbi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"sbid/capture"
	"sbid/capture/preview"
	"sbid/driver"
)

const (
	boundary      = "frame"
	defaultStream = 5 * time.Minute
	firstFrame    = 8 * time.Second // some clients give up on a silent stream after ten
)

// stream answers STREAM with the preview of a sensor as M-JPEG: quality and
// segment marks drawn in, one write a frame. The answer ends with the
// connection, since a client that closes a chunked one would wait for its end.
func (s *Server) stream(c *call) {
	d, target, limit, err := s.parseStream(c.body)
	if err != nil {
		s.fail(c, err)
		return
	}
	c.log = c.log.With("device", d.ID)
	if err := s.sendStream(c, d, target, limit); err != nil {
		s.fail(c, err)
	}
}

// sendStream returns an error only while nothing has been sent.
func (s *Server) sendStream(c *call, d *Device, target driver.Target, limit time.Duration) error {
	ctx, cancel := context.WithCancel(c.r.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	latest := make(chan capture.View, 1) // a slow client misses frames; it never holds up a capture
	ended := make(chan error, 1)
	wg.Go(func() {
		ended <- s.try(func() error {
			return d.Scanner.Preview(ctx, target, func(v capture.View) {
				select {
				case <-latest:
				default:
				}
				latest <- v
			})
		})
	})

	language := c.r.Header.Get("Accept-Language")
	var out *streamWriter
	over := time.NewTimer(limit)
	defer over.Stop()
	for {
		patience := firstFrame
		if out != nil {
			patience = writeTime
		}
		select {
		case v := <-latest:
			if out == nil {
				out = newStreamWriter(c.w)
			}
			if err := out.frame(v, hintText(language, v.Hint)); err != nil {
				c.log.Debug("stream: client is gone", "err", err)
				return nil
			}
		case err := <-ended:
			if out == nil && err != nil {
				return err
			}
			if err != nil {
				code := CodeOf(err)
				c.log.Warn("stream ended", "code", int(code), "err", err)
				_ = out.message(code.Text(language))
			}
			return nil
		case <-time.After(patience):
			if out == nil {
				return fmt.Errorf("no frame within %v: %w", patience, driver.ErrNotReady)
			}
		case <-over.C:
			if out == nil {
				return fmt.Errorf("no frame within %v: %w", limit, driver.ErrNotReady)
			}
			// A capture that took the stream over ends it with its answer.
			if !d.Scanner.PreviewTaken() {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *Server) parseStream(body []byte) (*Device, driver.Target, time.Duration, error) {
	fail := func(err error) (*Device, driver.Target, time.Duration, error) {
		return nil, driver.Target{}, 0, err
	}
	var b struct {
		DeviceID    text `json:"deviceId"`
		DeviceSubID text `json:"deviceSubId"`
		Timeout     text `json:"timeout"`
	}
	if err := json.Unmarshal(body, &b); err != nil {
		return fail(failf(InvalidRequest, "body: %w", err))
	}
	d, err := s.device(b.DeviceID.value)
	if err != nil {
		return fail(err)
	}
	if d.Purpose != Registration {
		return fail(&Error{InvalidRequest, errors.New("only devices for registration have a stream")})
	}
	if _, err := d.ready(); err != nil {
		return fail(err)
	}
	sensor, err := sensorOf(d, b.DeviceSubID.value)
	if err != nil {
		return fail(err)
	}
	limit := defaultStream
	if b.Timeout.value != "" {
		if limit, err = parseTimeout(b.Timeout.value); err != nil {
			return fail(err)
		}
	}
	positions := d.Scanner.Info().Modality.Positions(sensor)
	return d, driver.Target{Sensor: sensor, Positions: positions}, limit, nil
}

// A streamWriter writes the parts of a multipart/x-mixed-replace body.
type streamWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	painter preview.Painter
	image   bytes.Buffer
	part    bytes.Buffer
}

func newStreamWriter(w http.ResponseWriter) *streamWriter {
	h := w.Header()
	h.Set("Content-Type", "multipart/x-mixed-replace; boundary="+boundary)
	h.Set("Transfer-Encoding", "identity") // close-delimited: no length, no chunks
	w.WriteHeader(http.StatusOK)
	out := &streamWriter{w: w, control: http.NewResponseController(w)}
	_ = out.control.Flush()
	return out
}

func (out *streamWriter) frame(v capture.View, advice string) error {
	return out.jpeg(func(b *bytes.Buffer) error { return out.painter.View(b, v, advice) })
}

func (out *streamWriter) message(text string) error {
	return out.jpeg(func(b *bytes.Buffer) error { return out.painter.Message(b, text) })
}

// jpeg sends one part with a single write: client code looks for the start of
// an image within one chunk, and shows it once a byte follows it.
func (out *streamWriter) jpeg(draw func(*bytes.Buffer) error) error {
	out.image.Reset()
	if err := draw(&out.image); err != nil {
		return err
	}
	out.part.Reset()
	fmt.Fprintf(&out.part, "--%s\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", boundary, out.image.Len())
	out.part.Write(out.image.Bytes())
	out.part.WriteString("\r\n")
	_ = out.control.SetWriteDeadline(time.Now().Add(writeTime))
	if _, err := out.w.Write(out.part.Bytes()); err != nil {
		return err
	}
	return out.control.Flush()
}
