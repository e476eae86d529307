package iso19794

// An ExtendedBlock follows the image of a finger record: *[Segmentation],
// *[Annotation], *[Comment] or *[VendorBlock]. MOSIP's reader takes at most one
// of each of the first three, in this order, and no vendor block.
type ExtendedBlock interface {
	blockType() uint16
	bodyLength() int
	appendBody([]byte) []byte
	standard(*report)
}

// Segmentation tells where fingers are in the image.
type Segmentation struct {
	Vendor, Algorithm               uint16 // of the segmentation
	Score                           byte   // of the segmentation, 0 to 100 or QualityFailed
	QualityVendor, QualityAlgorithm uint16 // of the quality in each segment
	Segments                        []Segment
}

// A Segment is the outline of one finger.
type Segment struct {
	Position FingerPosition
	Quality  byte    // 0 to 100, or QualityFailed
	Outline  []Point // at least two; two are opposite corners of an upright rectangle
	// Orientation is believed to count in 1/256 of a full turn. It is not
	// interpreted here.
	Orientation byte
}

// A Point is a place in an image in pixels from its top left corner.
type Point struct{ X, Y uint16 }

// Annotation lists fingers that are missing from the image, and why.
type Annotation struct {
	Fingers []AnnotatedFinger // at most 255
}

// AnnotatedFinger is a missing finger.
type AnnotatedFinger struct {
	Position FingerPosition
	Reason   AnnotationReason
}

// AnnotationReason is why a finger is missing.
type AnnotationReason byte

const (
	Amputated AnnotationReason = 1
	Unusable  AnnotationReason = 2 // bandaged, for example
)

// A Comment is free ASCII text.
type Comment struct {
	Type uint16 // 3, as CommentType, to 255
	Text string
}

// CommentType is the type of comment that MOSIP's reader knows.
const CommentType = 3

// A VendorBlock is data of a vendor's own kind. Data of a decoded record is a
// sub-slice of the input.
type VendorBlock struct {
	Type uint16 // 256 and above
	Data []byte
}

const (
	typeSegmentation = 1
	typeAnnotation   = 2
	typeVendor       = 0x100 // and above
	extendedHeader   = 4     // type and length; the length counts both
)

// readExtended reads blocks to the end of the record.
func readExtended(r *reader) []ExtendedBlock {
	var blocks []ExtendedBlock
	for r.err == nil && r.off < len(r.buf) {
		blocks = append(blocks, readExtendedBlock(r))
	}
	return blocks
}

func readExtendedBlock(r *reader) ExtendedBlock {
	at := r.off
	code, length := r.u16(), r.u16()
	if r.err == nil && length < extendedHeader {
		r.fail("extended block at offset %d: length %d is shorter than its own header", at, length)
	}
	if r.err != nil {
		return nil
	}
	body := &reader{buf: r.take(int(length) - extendedHeader)}
	if r.err != nil {
		return nil
	}
	var block ExtendedBlock
	switch {
	case code == typeSegmentation:
		block = readSegmentation(body)
	case code == typeAnnotation:
		block = readAnnotation(body)
	case code >= typeVendor:
		block = &VendorBlock{Type: code, Data: body.take(len(body.buf))}
	case code >= CommentType:
		block = &Comment{Type: code, Text: string(body.take(len(body.buf)))}
	default:
		body.fail("type 0 is reserved")
	}
	if body.err == nil && body.off != len(body.buf) {
		body.fail("%d bytes too long for its contents", len(body.buf)-body.off)
	}
	if body.err != nil {
		r.fail("extended block at offset %d: %w", at, body.err)
	}
	return block
}

func readSegmentation(r *reader) *Segmentation {
	s := &Segmentation{
		Vendor: r.u16(), Algorithm: r.u16(),
		Score:         r.u8(),
		QualityVendor: r.u16(), QualityAlgorithm: r.u16(),
	}
	for range r.u8() {
		seg := Segment{Position: FingerPosition(r.u8()), Quality: r.u8()}
		for range r.u8() {
			seg.Outline = append(seg.Outline, Point{X: r.u16(), Y: r.u16()})
		}
		seg.Orientation = r.u8()
		if r.err != nil {
			break
		}
		s.Segments = append(s.Segments, seg)
	}
	return s
}

func readAnnotation(r *reader) *Annotation {
	a := new(Annotation)
	for range r.u8() {
		a.Fingers = append(a.Fingers,
			AnnotatedFinger{Position: FingerPosition(r.u8()), Reason: AnnotationReason(r.u8())})
	}
	return a
}

func appendExtended(b []byte, e ExtendedBlock) []byte {
	b = be.AppendUint16(b, e.blockType())
	b = be.AppendUint16(b, uint16(extendedHeader+e.bodyLength()))
	return e.appendBody(b)
}

func (s *Segmentation) blockType() uint16 { return typeSegmentation }
func (a *Annotation) blockType() uint16   { return typeAnnotation }
func (c *Comment) blockType() uint16      { return c.Type }
func (v *VendorBlock) blockType() uint16  { return v.Type }

func (s *Segmentation) bodyLength() int {
	n := 10
	for _, seg := range s.Segments {
		n += 4 + 4*len(seg.Outline)
	}
	return n
}
func (a *Annotation) bodyLength() int  { return 1 + 2*len(a.Fingers) }
func (c *Comment) bodyLength() int     { return len(c.Text) }
func (v *VendorBlock) bodyLength() int { return len(v.Data) }

func (s *Segmentation) appendBody(b []byte) []byte {
	b = be.AppendUint16(b, s.Vendor)
	b = be.AppendUint16(b, s.Algorithm)
	b = append(b, s.Score)
	b = be.AppendUint16(b, s.QualityVendor)
	b = be.AppendUint16(b, s.QualityAlgorithm)
	b = append(b, byte(len(s.Segments)))
	for _, seg := range s.Segments {
		b = append(b, byte(seg.Position), seg.Quality, byte(len(seg.Outline)))
		for _, p := range seg.Outline {
			b = be.AppendUint16(b, p.X)
			b = be.AppendUint16(b, p.Y)
		}
		b = append(b, seg.Orientation)
	}
	return b
}

func (a *Annotation) appendBody(b []byte) []byte {
	b = append(b, byte(len(a.Fingers)))
	for _, f := range a.Fingers {
		b = append(b, byte(f.Position), byte(f.Reason))
	}
	return b
}

func (c *Comment) appendBody(b []byte) []byte     { return append(b, c.Text...) }
func (v *VendorBlock) appendBody(b []byte) []byte { return append(b, v.Data...) }

func (s *Segmentation) standard(rep *report) {
	if s.Score > 100 && s.Score != QualityFailed {
		rep.refuse("segmentation score %d: must be 0 to 100, or 255 for none", s.Score)
	}
	if n := len(s.Segments); n > 255 {
		rep.refuse("%d segments: at most 255", n)
	}
	for i, seg := range s.Segments {
		if !seg.Position.defined() {
			rep.refuse("segment %d: finger position %d is not defined", i+1, seg.Position)
		}
		if seg.Quality > 100 && seg.Quality != QualityFailed {
			rep.refuse("segment %d: quality %d: must be 0 to 100, or 255 for none", i+1, seg.Quality)
		}
		if n := len(seg.Outline); n < 2 || n > 255 {
			rep.refuse("segment %d: outline of %d points: must be 2 to 255", i+1, n)
		}
	}
}

func (a *Annotation) standard(rep *report) {
	if n := len(a.Fingers); n > 255 {
		rep.refuse("%d annotated fingers: at most 255", n)
	}
	for i, f := range a.Fingers {
		if !f.Position.defined() {
			rep.refuse("annotation %d: finger position %d is not defined", i+1, f.Position)
		}
		if f.Reason != Amputated && f.Reason != Unusable {
			rep.refuse("annotation %d: reason %d: must be 1, amputated, or 2, unusable", i+1, f.Reason)
		}
	}
}

func (c *Comment) standard(rep *report) {
	if c.Type < CommentType || c.Type >= typeVendor {
		rep.refuse("type %d of a comment: must be 3 to 255", c.Type)
	}
	for i := range len(c.Text) {
		if c.Text[i] >= 0x80 {
			rep.refuse("the comment is not ASCII")
			break
		}
	}
}

func (v *VendorBlock) standard(rep *report) {
	if v.Type < typeVendor {
		rep.refuse("type %d of a vendor block: must be 256 or above", v.Type)
	}
}

// profileExtended refuses what makes MOSIP's reader lose its way.
func profileExtended(rep *report, blocks []ExtendedBlock) {
	last := uint16(0)
	for i, e := range blocks {
		kind := min(e.blockType(), CommentType) // all comments are of one kind here
		switch {
		case e.blockType() >= typeVendor:
			rep.refuse("extended block %d is a vendor block of type %#x: none may be there", i+1, e.blockType())
		case kind <= last:
			rep.refuse("extended block %d: there may be one segmentation, one annotation and one comment, in this order",
				i+1)
		}
		last = kind
	}
}
