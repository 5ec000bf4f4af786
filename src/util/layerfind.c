/* layerfind.c - which codec a file is packed with, its first bytes, and what may follow a member. See layer.h */
#include <stdlib.h>
#include <string.h>

#include "layer.h"
#include "libraries.h"
#include "rd.h"

#define LAYER(name)                             extern const struct layer_codec layer_##name;
#define LAYER_LIB(name, lib, library, magic, n) extern const struct layer_codec layer_##name;
#include "layers.def"
#undef LAYER
#undef LAYER_LIB

/* A codec whose library is missing probes nothing: its file defines a stub without probe. */
static const struct layer_codec *const codecs[] = {
#define LAYER(name)                             &layer_##name,
#define LAYER_LIB(name, lib, library, magic, n) &layer_##name,
#include "layers.def"
#undef LAYER
#undef LAYER_LIB
};

const struct layer_codec *layer_probe(const uint8_t *head, size_t n)
{
	for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
		if (codecs[i]->probe && codecs[i]->probe(head, n))
			return codecs[i];
	return NULL;
}

int64_t layer_peek(const struct layer_codec *codec, struct input *in, uint8_t *buf, size_t n)
{
	size_t have = 0;
	uint64_t size;
	void *state;
	int64_t got = codec->open(&state, in, NULL);

	if (got < 0)
		return got;
	if (codec->known && codec->known(state, &size))
		got = codec->seek(state, 0, NULL);
	while (got >= 0 && have < n) {
		got = codec->read(state, buf + have, n - have, NULL);
		if (got <= 0)
			break;
		have += (size_t)got;
	}
	codec->close(state);
	return have || got >= 0 ? (int64_t)have : got;
}

int layer_try(const struct layer_codec *codec, struct input *in, uint64_t most, struct err *e)
{
	uint8_t *waste = malloc(LAYER_CHUNK);
	uint64_t done = 0, next;
	void *state = NULL;
	int64_t got = waste ? codec->open(&state, in, e) : err_set(e, ERR_NOMEM, "out of memory");
	bool opened = got >= 0;

	if (opened && codec->known && codec->known(state, &next))
		got = next ? codec->seek(state, 0, e) : 0;
	while (got >= 0 && done < most) {
		got = codec->read(state, waste, LAYER_CHUNK, e);
		if (got <= 0)
			break;
		done += (uint64_t)got;
	}
	if (opened && got < 0 && codec->skip && codec->skip(state, done, &next, NULL) == 1)
		got = 0;
	if (opened)
		codec->close(state);
	free(waste);
	return got < 0 ? (int)got : done >= most;
}

const char *layer_missing(const uint8_t *head, size_t n)
{
#define LAYER(name)
#define LAYER_LIB(name, lib, library, magic, k)                                                                                            \
	if (!(lib) && n >= (k) && memcmp(head, magic, k) == 0)                                                                             \
		return library;
#include "layers.def"
#undef LAYER
#undef LAYER_LIB
	return NULL;
}

int layer_find(struct input *in, const struct layer_codec **codec, const char **missing, struct err *e)
{
	uint8_t head[LAYER_HEAD];
	int64_t n = input_read(in, 0, head, sizeof(head), e);
	unsigned skips = 0;
	uint64_t at = 0;

	*codec = NULL;
	if (missing)
		*missing = NULL;
	if (n < 0)
		return (int)n;
	/* a length that goes past the end is none of such a frame: then these are bytes of something else */
	while (n >= 8 && (le32(head) & 0xfffffff0) == 0x184d2a50 && skips++ < LAYER_SKIPS_MAX) {
		at += 8 + (uint64_t)le32(head + 4);
		n = input_read(in, at, head, sizeof(head), NULL);
	}
	if (n <= 0)
		return 0;
	*codec = layer_probe(head, (size_t)n);
	if (skips && *codec && !(*codec)->skips)
		*codec = NULL;
	else if (!*codec && missing)
		*missing = layer_missing(head, (size_t)n);
	return 0;
}

int layer_next_member(bool (*probe)(const uint8_t *head, size_t n), const char *name, struct input *in, uint64_t *at, struct err *e)
{
	uint8_t head[LAYER_HEAD];
	uint64_t off = *at, size = input_size(in);
	size_t zeros = sizeof(head);
	int64_t k = 1;

	while (off < size && zeros == sizeof(head)) {
		k = input_read(in, off, head, sizeof(head), e);
		if (k <= 0)
			break;
		for (zeros = 0; zeros < (size_t)k && head[zeros] == 0; zeros++)
			;
		off += zeros;
	}
	if (k > 0 && off < size)
		k = input_read(in, off, head, sizeof(head), e);
	if (k <= 0 || off >= size)
		return k < 0 ? (int)k : 0;
	if (!probe || !probe(head, (size_t)k))
		return err_set(e, ERR_FORMAT,
			       "%s: what stands at packed byte %llu goes on with nothing before it: %llu packed bytes are left unread",
			       name, (unsigned long long)off, (unsigned long long)(size - off));
	*at = off;
	return 1;
}
