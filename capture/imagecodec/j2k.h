// JPEG 2000 codestreams (ISO/IEC 15444-1) in memory, by OpenJPEG. No function
// here keeps a pointer, prints or calls back into Go.

#ifndef IMAGECODEC_J2K_H
#define IMAGECODEC_J2K_H

#include <stddef.h>
#include <stdint.h>

enum { J2K_MESSAGE = 160 };

// The shape of interleaved 8-bit pixels and how to code them.
typedef struct {
	uint32_t width, height;
	uint32_t components; // 1, or 3 of which each pixel takes 4 bytes
	size_t stride;       // bytes from one row to the next
	int reversible;      // encode: 5/3 wavelet and every bit, else 9/7
	float ratio;         // encode: size of the pixels over that of the codestream, 0 for no limit
	int levels;          // encode: wavelet decompositions
	int threads;
} j2k_params;

typedef struct {
	uint8_t *data; // malloc'd by j2k_encode; the caller frees it
	size_t len;
	char message[J2K_MESSAGE]; // the first complaint of OpenJPEG, if any
} j2k_result;

// Both return 0, or -1 with nothing left to free.
int j2k_encode(const j2k_params *p, const uint8_t *pix, j2k_result *r);

// j2k_decode writes to pix, which p describes, the codestream src, which must
// have exactly that many pixels and components.
int j2k_decode(const j2k_params *p, const uint8_t *src, size_t len, uint8_t *pix, j2k_result *r);

#endif
