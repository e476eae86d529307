package verify

import (
	"errors"
	"fmt"
	"strings"

	"sbid/capture/imagecodec"
	"sbid/capture/iso19794"
	"sbid/driver"
)

// recordFile judges a record that stands alone: what it is for can only be told
// from itself.
func (v *verifier) recordFile(b []byte) Report {
	item := &Item{Name: "record", Record: b}
	if rec := decodeRecord(item); rec != nil {
		if p, ok := rec.Position(); ok {
			item.Name, item.Position = p.String(), p
		}
		profile := profileOf(rec)
		judgeHeader(item, rec, profile)
		judgeImage(item, rec, profile)
	}
	return Report{Kind: "ISO record", Items: []*Item{item}}
}

// judgeRecord judges a record that was sent as being of the item's position.
func judgeRecord(item *Item, profile iso19794.Profile) {
	rec := decodeRecord(item)
	if rec == nil {
		return
	}
	inside, known := rec.Position()
	switch p := item.Position; {
	case !known || inside.Modality() != p.Modality():
		item.fail("position", "sent as %v, but the record is of something else", p)
	case inside != p && p != driver.UnknownFinger && p != driver.UnknownIris:
		item.fail("position", "sent as %v, but the record says %v", p, inside)
	default:
		item.ok("position", "%v", inside)
	}
	judgeHeader(item, rec, profile)
	judgeImage(item, rec, profile)
}

// decodeRecord decodes the record of item and judges its structure. It returns
// nil if there is none to decode.
func decodeRecord(item *Item) iso19794.Record {
	rec, err := iso19794.Decode(item.Record)
	if err != nil {
		item.fail("record", "%v", err)
		return nil
	}
	item.ok("record", "%s of %d bytes, all lengths add up", recordName(rec), len(item.Record))
	return rec
}

func recordName(rec iso19794.Record) string {
	switch rec.(type) {
	case *iso19794.Finger:
		return "ISO/IEC 19794-4 finger record"
	case *iso19794.Iris:
		return "ISO/IEC 19794-6 iris record"
	}
	return "ISO/IEC 19794-5 face record"
}

// profileOf guesses from a record's header what it was made for.
func profileOf(rec iso19794.Record) iso19794.Profile {
	lossless := false
	switch r := rec.(type) {
	case *iso19794.Finger:
		lossless = r.Compression == iso19794.JPEG2000Lossless
	case *iso19794.Iris:
		lossless = r.Kind == iso19794.IrisCropped
	case *iso19794.Face:
		lossless = r.DataType == iso19794.FaceJPEG2000Lossless
	}
	if lossless {
		return iso19794.Registration
	}
	return iso19794.Auth
}

func judgeHeader(item *Item, rec iso19794.Record, profile iso19794.Profile) {
	judgeFindings(item, "header", iso19794.Check(rec, profile), fmt.Sprintf("as MOSIP wants it for %v", profile))
}

// judgeImage decodes the image, which is the only proof that it can be decoded,
// and compares it with the header.
func judgeImage(item *Item, rec iso19794.Record, profile iso19794.Profile) {
	img, info, err := imagecodec.Decode(rec.Image())
	if errors.Is(err, imagecodec.ErrNoOpenJPEG) {
		item.skip("image", "%v", err)
		return
	}
	if err != nil {
		item.fail("image", "%v", err)
		return
	}
	item.Image = img
	loss := "lossy"
	if info.Reversible {
		loss = "lossless"
	}
	findings := iso19794.CheckImage(rec, profile, iso19794.Decoded{
		Width: info.Width, Height: info.Height, Components: info.Components, Reversible: info.Reversible, DPI: info.DPI,
	})
	judgeFindings(item, "image", findings,
		fmt.Sprintf("%s, %s, %d x %d pixels, %d bytes", info.Codec, loss, info.Width, info.Height, info.BytesIn))
}

// judgeFindings fails for what MOSIP refuses; of the rest it only tells.
func judgeFindings(item *Item, name string, findings []iso19794.Finding, passed string) {
	var refused, remarks []string
	for _, f := range findings {
		if f.Refused {
			refused = append(refused, f.Text)
		} else {
			remarks = append(remarks, f.Text)
		}
	}
	if len(remarks) > 0 {
		passed += "; remarks: " + strings.Join(remarks, "; ")
	}
	item.judge(name, refused, passed)
}
