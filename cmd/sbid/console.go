package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"unicode"

	"sbid/sbi/client"
)

// A console is where a command says what it has to say: results on stdout,
// progress and failures on stderr.
type console struct {
	out, err io.Writer
	live     bool // somebody watches stderr, so progress is welcome

	json bool // the result is one JSON document
	said bool // the result is out
}

func newConsole(stdout, stderr *os.File) *console {
	info, err := stderr.Stat()
	return &console{out: plain{stdout}, err: plain{stderr}, live: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// plain replaces control characters: texts of other programs must not drive the
// terminal.
type plain struct{ w io.Writer }

func (p plain) Write(b []byte) (int, error) {
	clean := bytes.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, b)
	if _, err := p.w.Write(clean); err != nil {
		return 0, err
	}
	return len(b), nil
}

// progress tells a person at a terminal what is going on.
func (c *console) progress(format string, args ...any) {
	if c.live {
		fmt.Fprintf(c.err, format+"\n", args...)
	}
}

// result prints what a command found out: doc as JSON or, for people, what text
// writes. Columns are separated by tabs.
func (c *console) result(doc any, text func(w io.Writer)) error {
	c.said = true
	if c.json {
		e := json.NewEncoder(c.out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(doc)
	}
	w := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	text(w)
	return w.Flush()
}

// fail says what went wrong and what to do, and returns the exit code.
func (c *console) fail(err error) int {
	code, hint := judge(err)
	if c.json && !c.said {
		doc := struct {
			Error problem `json:"error"`
		}{describe(err)}
		if err := c.result(doc, nil); err != nil {
			fmt.Fprintln(c.err, "sbid:", err)
		}
	}
	fmt.Fprintln(c.err, "sbid:", err)
	if hint != "" {
		fmt.Fprintln(c.err, hint)
	}
	return code
}

// A problem is an error in a JSON document.
type problem struct {
	Exit int    `json:"exit"`           // the exit code that it would lead to
	Code int    `json:"code,omitempty"` // of SBI
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

func describe(err error) problem {
	exit, hint := judge(err)
	p := problem{Exit: exit, Text: err.Error(), Hint: hint}
	if e, ok := errors.AsType[*client.Error](err); ok {
		p.Code = e.Code
	}
	return p
}
