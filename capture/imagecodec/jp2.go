package imagecodec

import (
	"errors"
	"fmt"
	"image"
	"math/bits"
)

// JP2Options says how EncodeJP2 compresses.
type JP2Options struct {
	// Lossless keeps every bit, with the reversible 5/3 wavelet. Otherwise the
	// wavelet is the irreversible 9/7, and Ratio holds.
	Lossless bool
	// Ratio is the size of the pixels, one byte a component, over the size of
	// the file: from 1 to 15; 0 stands for 10. The file is not larger than that,
	// unless headers alone exceed it (pictures of a few thousand pixels). It is
	// smaller where the picture has nothing more to tell; but then comment fills
	// it up to 15:1, the limit for authentication in the MOSIP biometric image
	// specification.
	Ratio float64
	// DPI is what the resolution box says, in pixels per inch up to 1664. 0
	// leaves the box out.
	DPI int
	// Threads is how many threads OpenJPEG uses; 0 stands for 2.
	Threads int
}

const (
	maxRatio     = 15
	defaultRatio = 10
	// maxLevels is the number of wavelet decompositions of all but tiny pictures.
	maxLevels = 5
	// minCodestream is the least that lossy encoding aims at, as headers take half
	// of it. What is larger in spite of that is so small that nobody will mind.
	minCodestream = 512
)

// EncodeJP2 returns a JP2 file (ISO/IEC 15444-1 annex I) of an *image.Gray, as
// one grey component, or of an *image.RGBA, as three of sRGB.
func EncodeJP2(img image.Image, o JP2Options) ([]byte, error) {
	file, err := encodeJP2(img, o)
	if err != nil {
		return nil, fmt.Errorf("encode JP2: %w", err)
	}
	return file, nil
}

func encodeJP2(img image.Image, o JP2Options) ([]byte, error) {
	p, err := pixelsOf(img)
	if err != nil {
		return nil, err
	}
	if o.Threads == 0 {
		o.Threads = 2
	}
	if o.Ratio == 0 {
		o.Ratio = defaultRatio
	}
	switch {
	case o.Threads < 0 || o.Threads > 64:
		return nil, fmt.Errorf("%d threads: want 1 to 64", o.Threads)
	case !(o.Ratio >= 1 && o.Ratio <= maxRatio):
		return nil, fmt.Errorf("a ratio of %g: want 1 to %d", o.Ratio, maxRatio)
	}
	header, err := jp2Header(p, o.DPI)
	if err != nil {
		return nil, err
	}
	var codestream []byte
	if o.Lossless {
		codestream, err = encodeCodestream(p, true, 0, levelsFor(p), o.Threads)
	} else {
		codestream, err = encodeLossy(p, o, len(header)+boxHeader)
	}
	if err != nil {
		return nil, err
	}
	return appendBox(header, "jp2c", codestream), nil
}

// levelsFor returns how many times the shorter side can be halved, at most
// maxLevels.
func levelsFor(p pixels) int {
	return min(maxLevels, bits.Len(uint(min(p.width, p.height)))-1)
}

// encodeLossy returns a codestream that makes a file of the wanted ratio
// together with overhead bytes of boxes around it.
func encodeLossy(p pixels, o JP2Options, overhead int) ([]byte, error) {
	raw := p.width * p.height * p.components
	most := max(int(float64(raw)/o.Ratio)-overhead, minCodestream)
	// OpenJPEG forgets a few bytes of headers when it counts.
	aim := most - 16
	for range 5 {
		codestream, err := encodeCodestream(p, false, float64(raw)/float64(aim), levelsFor(p), o.Threads)
		if err != nil {
			return nil, err
		}
		n := len(codestream)
		switch {
		case raw/(overhead+n) > maxRatio: // in whole numbers, as MOSIP counts
			return padCodestream(codestream, raw/maxRatio-overhead-n), nil
		case n <= most || most == minCodestream:
			return codestream, nil
		}
		aim -= n - most
	}
	return nil, fmt.Errorf("openjpeg stays above the %d bytes that were allowed", most)
}

// DecodeJP2 reads a JP2 file whose codestream has one grey or three sRGB
// components of 8 bits: an *image.Gray or an *image.RGBA. OpenJPEG repairs what
// it can, so that success does not prove that the file is undamaged.
func DecodeJP2(b []byte) (image.Image, Info, error) {
	img, info, err := decodeJP2(b)
	if err != nil {
		return nil, Info{}, fmt.Errorf("decode JP2: %w", err)
	}
	return img, info, nil
}

func decodeJP2(b []byte) (image.Image, Info, error) {
	file, err := parseJP2(b)
	if err != nil {
		return nil, Info{}, err
	}
	cs, err := parseCodestream(file.codestream)
	if err != nil {
		return nil, Info{}, err
	}
	if cs.width != file.width || cs.height != file.height || cs.components != file.components {
		return nil, Info{}, errors.New("image header box and codestream disagree about the shape of the picture")
	}
	img, p := newImage(cs.width, cs.height, cs.components)
	if err := decodeCodestream(file.codestream, p, 2); err != nil {
		return nil, Info{}, err
	}
	return img, Info{
		Codec: "JP2", Width: cs.width, Height: cs.height, Components: cs.components,
		Reversible: cs.reversible, DPI: file.dpi, BytesIn: len(b),
	}, nil
}
