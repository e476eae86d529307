package iso19794

import "time"

// Capture is how an image came about: the part of the representation header
// that finger, iris and face records have in common.
type Capture struct {
	Captured   DateTime
	Technology Technology // the codes differ from format to format
	// DeviceVendor is the organisation identifier that IBIA gave the scanner's
	// maker, DeviceType the maker's number for the product. MOSIP wants both to
	// be zero, not reported, or neither.
	DeviceVendor, DeviceType uint16
	QualityBlocks            []QualityBlock // at most 255
}

// A QualityBlock is a quality score and the algorithm it is from (ISO/IEC
// 29794-1). A vendor or algorithm of 0 is not reported.
type QualityBlock struct {
	Score     byte   // 0 to 100, or QualityFailed
	Vendor    uint16 // IBIA organisation identifier of the algorithm's maker
	Algorithm uint16 // the maker's number for the algorithm
}

// QualityFailed is the score of a computation that failed or was not tried.
const QualityFailed = 255

// Identifiers of NFIQ 2, for QualityBlock.
const (
	VendorSC37 = 0x0101 // ISO/IEC JTC 1/SC 37
	NFIQ2_0    = 0x0021
	NFIQ2_1    = 0x0037
	NFIQ2_2    = 0x0038
	NFIQ2_3    = 0x0039
)

const (
	captureLength      = 15 // date-time to the number of quality blocks
	qualityBlockLength = 5
)

// Quality returns the score of the first quality block: see [Record].
func (c *Capture) Quality() (score byte, ok bool) {
	if len(c.QualityBlocks) == 0 || c.QualityBlocks[0].Score > 100 {
		return 0, false
	}
	return c.QualityBlocks[0].Score, true
}

// CapturedAt returns the moment of capture: see [Record].
func (c *Capture) CapturedAt() (time.Time, bool) { return c.Captured.Time() }

func (c *Capture) length() uint64 {
	return captureLength + qualityBlockLength*uint64(len(c.QualityBlocks))
}

func readCapture(r *reader) Capture {
	c := Capture{
		Captured:     readDateTime(r),
		Technology:   Technology(r.u8()),
		DeviceVendor: r.u16(),
		DeviceType:   r.u16(),
	}
	for range r.u8() {
		c.QualityBlocks = append(c.QualityBlocks, QualityBlock{Score: r.u8(), Vendor: r.u16(), Algorithm: r.u16()})
	}
	return c
}

func (c *Capture) append(b []byte) []byte {
	b = c.Captured.append(b)
	b = append(b, byte(c.Technology))
	b = be.AppendUint16(b, c.DeviceVendor)
	b = be.AppendUint16(b, c.DeviceType)
	b = append(b, byte(len(c.QualityBlocks)))
	for _, q := range c.QualityBlocks {
		b = append(b, q.Score)
		b = be.AppendUint16(b, q.Vendor)
		b = be.AppendUint16(b, q.Algorithm)
	}
	return b
}

func (c *Capture) standard(rep *report) {
	if !c.Captured.valid() {
		rep.refuse("capture date-time %v: date and time of day must each be in range or wholly unknown", c.Captured)
	}
	if n := len(c.QualityBlocks); n > 255 {
		rep.refuse("%d quality blocks: at most 255", n)
	}
	for i, q := range c.QualityBlocks {
		if q.Score > 100 && q.Score != QualityFailed {
			rep.refuse("quality block %d: score %d: must be 0 to 100, or 255 for none", i+1, q.Score)
		}
	}
}

func (c *Capture) profile(rep *report) {
	if (c.DeviceVendor == 0) != (c.DeviceType == 0) {
		rep.refuse("device vendor %d with device type %d: both must be zero, or neither", c.DeviceVendor, c.DeviceType)
	}
	if len(c.QualityBlocks) == 0 {
		rep.warn("no quality block")
	}
}
