//go:build cgo

#include "j2k.h"

#include <openjpeg.h>
#include <stdlib.h>
#include <string.h>

// note keeps the first message: the later ones only say that a step above
// failed, too.
static void note(const char *msg, void *client)
{
	j2k_result *r = client;
	if (r->message[0] == '\0')
		strncpy(r->message, msg, J2K_MESSAGE - 1);
}

// A memory is what a stream of OpenJPEG reads or grows.
typedef struct {
	uint8_t *out;      // grown by writing
	const uint8_t *in; // never written to
	size_t len, cap, pos;
} memory;

static int reserve(memory *m, size_t end)
{
	if (end <= m->cap)
		return 1;
	size_t cap = m->cap < 4096 ? 4096 : m->cap;
	while (cap < end) {
		if (cap > SIZE_MAX / 2)
			return 0;
		cap *= 2;
	}
	uint8_t *grown = realloc(m->out, cap);
	if (grown == NULL)
		return 0;
	// A seek may leave a gap, which must not hold what was on the heap.
	memset(grown + m->cap, 0, cap - m->cap);
	m->out = grown;
	m->cap = cap;
	return 1;
}

static OPJ_SIZE_T write_memory(void *from, OPJ_SIZE_T n, void *user)
{
	memory *m = user;
	if (n > SIZE_MAX - m->pos || !reserve(m, m->pos + n))
		return (OPJ_SIZE_T)-1;
	memcpy(m->out + m->pos, from, n);
	m->pos += n;
	if (m->pos > m->len)
		m->len = m->pos;
	return n;
}

static OPJ_SIZE_T read_memory(void *to, OPJ_SIZE_T n, void *user)
{
	memory *m = user;
	size_t left = m->len - m->pos;
	if (left == 0)
		return (OPJ_SIZE_T)-1;
	if (n > left)
		n = left;
	memcpy(to, m->in + m->pos, n);
	m->pos += n;
	return n;
}

static OPJ_BOOL seek_memory(OPJ_OFF_T pos, void *user)
{
	memory *m = user;
	if (pos < 0 || (uint64_t)pos > m->len)
		return OPJ_FALSE;
	m->pos = (size_t)pos;
	return OPJ_TRUE;
}

static OPJ_OFF_T skip_memory(OPJ_OFF_T n, void *user)
{
	memory *m = user;
	if (n < 0 || (uint64_t)n > m->len - m->pos)
		return -1;
	m->pos += (size_t)n;
	return n;
}

static opj_stream_t *open_memory(memory *m, OPJ_BOOL reading)
{
	opj_stream_t *s = opj_stream_default_create(reading);
	if (s == NULL)
		return NULL;
	opj_stream_set_user_data(s, m, NULL);
	opj_stream_set_user_data_length(s, m->len);
	opj_stream_set_read_function(s, read_memory);
	opj_stream_set_write_function(s, write_memory);
	opj_stream_set_seek_function(s, seek_memory);
	opj_stream_set_skip_function(s, skip_memory);
	return s;
}

static size_t bytes_per_pixel(const j2k_params *p)
{
	return p->components == 1 ? 1 : 4;
}

static opj_image_t *make_image(const j2k_params *p, const uint8_t *pix)
{
	opj_image_cmptparm_t planes[3];
	memset(planes, 0, sizeof planes);
	for (uint32_t c = 0; c < p->components; c++) {
		planes[c].dx = planes[c].dy = 1;
		planes[c].w = p->width;
		planes[c].h = p->height;
		planes[c].prec = 8;
	}
	opj_image_t *img = opj_image_create(p->components, planes,
		p->components == 1 ? OPJ_CLRSPC_GRAY : OPJ_CLRSPC_SRGB);
	if (img == NULL)
		return NULL;
	img->x1 = p->width;
	img->y1 = p->height;
	size_t step = bytes_per_pixel(p);
	for (uint32_t c = 0; c < p->components; c++) {
		OPJ_INT32 *to = img->comps[c].data;
		for (uint32_t y = 0; y < p->height; y++) {
			const uint8_t *from = pix + y * p->stride + c;
			for (uint32_t x = 0; x < p->width; x++, from += step)
				*to++ = *from;
		}
	}
	return img;
}

int j2k_encode(const j2k_params *p, const uint8_t *pix, j2k_result *r)
{
	memory m = {0};
	opj_stream_t *stream = NULL;
	opj_image_t *img = NULL;
	opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
	int ok = 0;

	if (codec == NULL)
		goto done;
	opj_set_error_handler(codec, note, r);
	if ((img = make_image(p, pix)) == NULL || (stream = open_memory(&m, OPJ_FALSE)) == NULL)
		goto done;

	opj_cparameters_t cp;
	opj_set_default_encoder_parameters(&cp);
	cp.irreversible = !p->reversible;
	cp.numresolution = p->levels + 1;
	cp.tcp_mct = p->components == 3;
	cp.cp_disto_alloc = 1;
	cp.tcp_numlayers = 1;
	cp.tcp_rates[0] = p->ratio;

	ok = opj_setup_encoder(codec, &cp, img)
		&& (p->threads < 2 || opj_codec_set_threads(codec, p->threads))
		&& opj_start_compress(codec, img, stream)
		&& opj_encode(codec, stream)
		&& opj_end_compress(codec, stream);
done:
	// Destroying the stream may still flush into m.
	opj_stream_destroy(stream);
	opj_destroy_codec(codec);
	opj_image_destroy(img);
	if (!ok) {
		free(m.out);
		return -1;
	}
	r->data = m.out;
	r->len = m.len;
	return 0;
}

static int matches(const opj_image_t *img, const j2k_params *p)
{
	if (img->numcomps != p->components)
		return 0;
	for (uint32_t c = 0; c < p->components; c++) {
		const opj_image_comp_t *k = &img->comps[c];
		if (k->data == NULL || k->w != p->width || k->h != p->height || k->prec != 8 || k->sgnd)
			return 0;
	}
	return 1;
}

static uint8_t clamp(OPJ_INT32 v)
{
	return v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v;
}

static void copy_pixels(const opj_image_t *img, const j2k_params *p, uint8_t *pix)
{
	size_t step = bytes_per_pixel(p);
	for (uint32_t c = 0; c < p->components; c++) {
		const OPJ_INT32 *from = img->comps[c].data;
		for (uint32_t y = 0; y < p->height; y++) {
			uint8_t *to = pix + y * p->stride + c;
			for (uint32_t x = 0; x < p->width; x++, to += step)
				*to = clamp(*from++);
		}
	}
}

int j2k_decode(const j2k_params *p, const uint8_t *src, size_t len, uint8_t *pix, j2k_result *r)
{
	memory m = {.in = src, .len = len};
	opj_stream_t *stream = NULL;
	opj_image_t *img = NULL;
	opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
	int ok = 0;

	if (codec == NULL)
		goto done;
	opj_set_error_handler(codec, note, r);
	if ((stream = open_memory(&m, OPJ_TRUE)) == NULL)
		goto done;

	opj_dparameters_t dp;
	opj_set_default_decoder_parameters(&dp);
	ok = opj_setup_decoder(codec, &dp)
		&& (p->threads < 2 || opj_codec_set_threads(codec, p->threads))
		&& opj_read_header(stream, codec, &img)
		&& opj_decode(codec, stream, img)
		&& opj_end_decompress(codec, stream);
	if (ok && !matches(img, p)) {
		note("the pixels are not those that the header announced", r);
		ok = 0;
	}
	if (ok)
		copy_pixels(img, p, pix);
done:
	opj_stream_destroy(stream);
	opj_destroy_codec(codec);
	opj_image_destroy(img);
	return ok ? 0 : -1;
}
