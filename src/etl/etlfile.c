/* etlfile.c - see etlfile.h */
#include "etlfile.h"

#include <string.h>

#include "etw.h"
#include "rd.h"

#define HEAD 0x60u /* a buffer's header and the first words of the first record */

/* A buffer header, and behind it the record of a log file's header: SYSTEM_TRACE_HEADER with HookId 0 (docs/etl-format.md). */
static bool is_trace(const uint8_t *p, size_t n)
{
	const uint8_t *r = p + ETW_BUFFER_HEADER_SIZE;

	return n >= HEAD && le32(p) >= 0x100 && le32(p) <= ETW_BUFFER_SIZE_MAX && r[3] == 0xc0 && (r[2] == 1 || r[2] == 2) &&
	       le16(r + 6) == 0;
}

int etlfile_open(struct etlfile *f, const char *path, struct err *e)
{
	const struct layer_codec *codec;
	uint8_t head[HEAD];
	int64_t n;
	int rc;

	memset(f, 0, sizeof(*f));
	rc = input_open(&f->in, path, e);
	if (rc < 0)
		return rc;
	if (layer_find(f->in, &codec, NULL, NULL) < 0)
		codec = NULL;
	n = codec ? layer_peek(codec, f->in, head, sizeof(head)) : 0;
	if (n <= 0 || !is_trace(head, (size_t)n))
		return 0;
	f->outer = f->in;
	f->in = NULL;
	rc = layer_open(&f->in, codec, f->outer, NULL, &f->packed, e);
	if (rc < 0)
		etlfile_close(f);
	return rc;
}

void etlfile_close(struct etlfile *f)
{
	input_close(f->in);
	input_close(f->outer);
	memset(f, 0, sizeof(*f));
}
