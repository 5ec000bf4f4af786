/* payload.c - see payload.h */
#include "payload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rd.h"

#define HDR             0x48u
#define MODE_COMPRESSED 0x4000000u

static bool next_buffer(struct payload *p)
{
	do {
		p->buffer += p->buffer_size;
		if (p->buffer + p->buffer_size > p->n)
			return false;
		p->off = HDR;
		p->end = le32(p->bytes + p->buffer + 0x30);
	} while (p->end <= HDR || p->end > p->buffer_size);
	return true;
}

struct payload *payload_open(const char *path)
{
	struct payload *p = calloc(1, sizeof(*p));
	FILE *f = fopen(path, "rb");
	long n = f && fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;

	if (p && n > 0x400 && (p->bytes = malloc((size_t)n)) && fseek(f, 0, SEEK_SET) == 0 &&
	    fread(p->bytes, 1, (size_t)n, f) == (size_t)n) {
		const uint8_t *h = p->bytes + 0x68; /* TRACE_LOGFILE_HEADER behind the record's own header */

		p->n = (size_t)n;
		p->buffer_size = le32(p->bytes);
		p->start_ts = le64(p->bytes + 0x58);
		p->start_time = (int64_t)le64(h + 0x108);
		p->clock = le32(h + 0x110);
		if (p->buffer_size >= 0x400 && !(le32(h + 0x20) & MODE_COMPRESSED) && le32(h + 0x2c) == 8 && p->clock >= 1 &&
		    p->clock <= 3 && next_buffer(p)) {
			fclose(f);
			return p;
		}
	}
	if (f)
		fclose(f);
	payload_free(p);
	return NULL;
}

void payload_free(struct payload *p)
{
	if (p)
		free(p->bytes);
	free(p);
}

/* Size, and where the time stands (0: nowhere), of the record at r, which has n bytes behind it. 0: no record. */
static uint32_t record_size(const uint8_t *r, uint32_t n, uint32_t *time_at)
{
	uint32_t size;

	*time_at = 0x10;
	if (n < 8 || (r[3] != 0xc0 && r[3] != 0x90))
		return 0;
	size = le16(r);
	if (r[3] == 0x90) {
		uint16_t flags = le16(r + 6);

		*time_at = flags & 8 ? 8u + (flags & 1 ? 4 : 0) + (flags & 4 ? 4 : flags & 2 ? 16 : 0) : 0;
	} else if ((r[2] >= 1 && r[2] <= 4) || r[2] == 0x10 || r[2] == 0x11) {
		size = le16(r + 4);
		if (r[2] >= 0x10)
			*time_at = 8;
	}
	return size >= 8 && size <= n && *time_at + 8 <= size ? size : 0;
}

uint32_t payload_next(struct payload *p, uint8_t *out, uint32_t room, uint64_t min_ts, uint64_t *ts, bool *has_ts)
{
	uint32_t size, at, step;
	const uint8_t *r;

	while (p->buffer + p->buffer_size <= p->n) {
		r = p->bytes + p->buffer + p->off;
		size = p->off < p->end ? record_size(r, p->end - p->off, &at) : 0;
		if (size)
			break;
		if (!next_buffer(p))
			return 0;
	}
	if (p->buffer + p->buffer_size > p->n)
		return 0;
	step = (size + 7) & ~7u;
	*has_ts = at != 0;
	if (step > room || (at && le64(r + at) < min_ts))
		return 0;
	if (at)
		*ts = le64(r + at);
	memset(out, 0, step);
	memcpy(out, r, size);
	p->off += step;
	return size;
}
