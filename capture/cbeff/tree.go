package cbeff

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of a document that is read. A BIR of a face without compression losses
// takes some hundred kilobytes.
const (
	maxBytes    = 64 << 20
	maxDepth    = 16
	maxElements = 100_000
)

// namespace of every element: ISO/IEC 19785-3, second edition.
const namespace = "http://standards.iso.org/iso-iec/19785/-3/ed-2/"

const xsi = "http://www.w3.org/2001/XMLSchema-instance"

// An element has children or text; white space around children is text too.
type element struct {
	name     xml.Name
	attrs    []xml.Attr // without namespace declarations
	text     string
	children []*element
}

func branch(name string, children ...*element) *element {
	return &element{name: xml.Name{Space: namespace, Local: name}, children: children}
}

func leaf(name, text string) *element {
	return &element{name: xml.Name{Space: namespace, Local: name}, text: text}
}

// child returns the first child of that name, or an empty element.
func (e *element) child(name string) *element {
	for _, c := range e.children {
		if c.name.Local == name {
			return c
		}
	}
	return &element{}
}

func (e *element) has(name string) bool { return e.child(name).name.Local != "" }

func (e *element) attr(space, local string) (string, bool) {
	for _, a := range e.attrs {
		if a.Name.Space == space && a.Name.Local == local {
			return a.Value, true
		}
	}
	return "", false
}

// parseTree reads a document. There is no way to make it fetch or expand
// anything: document types, processing instructions and entities other than the
// five predefined ones are refused.
func parseTree(doc []byte) (*element, error) {
	if len(doc) > maxBytes {
		return nil, fmt.Errorf("%d bytes: at most %d are read", len(doc), maxBytes)
	}
	doc = bytes.TrimPrefix(doc, []byte("\uFEFF"))
	var (
		dec    = xml.NewDecoder(bytes.NewReader(doc))
		open   = []*element{{}} // from the document down to the innermost open element
		texts  = [][]byte{nil}  // the text of each
		count  int
		atHead = true // nothing came before
	)
	for ; ; atHead = false {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		inner := len(open) - 1
		switch token := token.(type) {
		case xml.StartElement:
			if count++; count > maxElements {
				return nil, fmt.Errorf("more than %d elements", maxElements)
			}
			if len(open) > maxDepth {
				return nil, fmt.Errorf("elements nested deeper than %d", maxDepth)
			}
			e, err := newElement(token)
			if err != nil {
				return nil, err
			}
			open[inner].children = append(open[inner].children, e)
			open, texts = append(open, e), append(texts, nil)
		case xml.EndElement:
			open[inner].text = string(texts[inner])
			open, texts = open[:inner], texts[:inner]
		case xml.CharData:
			texts[inner] = append(texts[inner], token...)
		case xml.Directive:
			return nil, errors.New("a document type declaration is not allowed")
		case xml.ProcInst:
			if token.Target != "xml" || !atHead {
				return nil, fmt.Errorf("processing instruction %.20q is not allowed", token.Target)
			}
		}
	}
	if len(open[0].children) != 1 || collapse(string(texts[0])) != "" {
		return nil, errors.New("the document is not one element")
	}
	return open[0].children[0], nil
}

func newElement(start xml.StartElement) (*element, error) {
	e := &element{name: start.Name}
	seen := map[xml.Name]bool{}
	for _, a := range start.Attr {
		if seen[a.Name] {
			return nil, fmt.Errorf("attribute %.40q of %s is there twice", a.Name.Local, start.Name.Local)
		}
		seen[a.Name] = true
		if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") {
			e.attrs = append(e.attrs, a)
		}
	}
	return e, nil
}

const header = `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>` + "\n"

var (
	// A carriage return would be read as a line feed, and PAYLOAD is signed.
	escapeText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")
	escapeAttr = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;",
		"\n", "&#xA;", "\t", "&#x9;", `"`, "&quot;")
)

// writeTree writes root, whose attributes and names are not in need of a prefix.
func writeTree(root *element) []byte {
	var b bytes.Buffer
	b.WriteString(header)
	writeElement(&b, root, 0)
	return b.Bytes()
}

func writeElement(b *bytes.Buffer, e *element, depth int) {
	indent := func() {
		for range depth {
			b.WriteString("  ")
		}
	}
	indent()
	b.WriteByte('<')
	b.WriteString(e.name.Local)
	if depth == 0 {
		b.WriteString(` xmlns="` + namespace + `"`)
	}
	for _, a := range e.attrs {
		b.WriteString(" " + a.Name.Local + `="` + escapeAttr.Replace(a.Value) + `"`)
	}
	b.WriteByte('>')
	if len(e.children) > 0 {
		b.WriteByte('\n')
		for _, c := range e.children {
			writeElement(b, c, depth+1)
		}
		indent()
	} else {
		b.WriteString(escapeText.Replace(e.text))
	}
	b.WriteString("</" + e.name.Local + ">\n")
}
