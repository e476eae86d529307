//go:build cgo

package imagecodec

/*
#cgo pkg-config: libopenjp2
#include <stdlib.h>
#include "j2k.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"
)

// encodeCodestream returns a JPEG 2000 codestream of p. A ratio of 0 sets no
// limit to its length.
func encodeCodestream(p pixels, reversible bool, ratio float64, levels, threads int) ([]byte, error) {
	params := p.params(threads)
	params.ratio = C.float(ratio)
	params.levels = C.int(levels)
	if reversible {
		params.reversible = 1
	}
	var r C.j2k_result
	if C.j2k_encode(&params, (*C.uint8_t)(unsafe.SliceData(p.pix)), &r) != 0 {
		return nil, complaint(&r)
	}
	defer C.free(unsafe.Pointer(r.data))
	return C.GoBytes(unsafe.Pointer(r.data), C.int(r.len)), nil
}

// decodeCodestream fills p with the codestream b, whose header promised a
// picture of that shape.
func decodeCodestream(b []byte, p pixels, threads int) error {
	params := p.params(threads)
	var r C.j2k_result
	if C.j2k_decode(&params, (*C.uint8_t)(unsafe.SliceData(b)), C.size_t(len(b)),
		(*C.uint8_t)(unsafe.SliceData(p.pix)), &r) != 0 {
		return complaint(&r)
	}
	return nil
}

func (p pixels) params(threads int) C.j2k_params {
	return C.j2k_params{
		width:      C.uint32_t(p.width),
		height:     C.uint32_t(p.height),
		components: C.uint32_t(p.components),
		stride:     C.size_t(p.stride),
		threads:    C.int(threads),
	}
}

func complaint(r *C.j2k_result) error {
	if msg := strings.TrimSpace(C.GoString(&r.message[0])); msg != "" {
		return fmt.Errorf("openjpeg: %s", msg)
	}
	return errors.New("openjpeg gave no reason")
}
