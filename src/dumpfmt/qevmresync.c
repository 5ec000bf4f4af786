/* qevmresync.c - see qevmresync.h */
#include "qevmresync.h"

#include <stdlib.h>
#include <string.h>

#include "qevmrecord.h"
#include "rd.h"

#define CHAIN      8u /* records behind each other that are no accident */
#define CHUNK      65536u
#define RECORD_MIN 9u /* a page of one byte */
#define RAM_LOOK   ((uint64_t)1 << 20)

struct place { /* of a record */
	const struct qevm_block *block;
	uint64_t off, next; /* in the block; file offset of the next record */
	bool end;           /* of a part */
};

/* Behind the last record of a part stands its footer, in old streams the next part. */
static bool ends_part(const struct qevm_stream *s, uint64_t at)
{
	uint8_t p[5];

	if (input_read_all(s->in, at, p, 5, NULL) < 0)
		return false;
	return (p[0] == QEVM_FOOTER || p[0] == QEVM_PART || p[0] == QEVM_END) && be32(p + 1) == s->ram_id;
}

static const struct qevm_block *named(const struct qevm_stream *s, uint64_t *at)
{
	char name[QEVM_NAME_MAX];
	uint8_t n;

	if (input_read_all(s->in, *at, &n, 1, NULL) < 0 || input_read_all(s->in, *at + 1, name, n, NULL) < 0)
		return NULL;
	name[n] = 0;
	*at += 1 + (uint64_t)n;
	return qevmblocks_named(s->blocks, name);
}

/* One record at `at`, behind one of `block` (NULL: not known). */
static bool record_at(const struct qevm_stream *s, uint64_t at, const struct qevm_block *block, struct place *p)
{
	uint64_t size = input_size(s->in);
	uint8_t b[8];
	unsigned flags, kind;

	if (input_read_all(s->in, at, b, 8, NULL) < 0)
		return false;
	flags = be64(b) & (s->page - 1);
	*p = (struct place){.block = block, .off = be64(b) & ~(uint64_t)(s->page - 1), .next = at + 8};
	if (be64(b) == QEVM_RAM_EOS) {
		p->end = true;
		return ends_part(s, at + 8);
	}
	if (be64(b) == QEVM_RAM_FLUSH)
		return true;
	kind = flags & ~(unsigned)QEVM_RAM_CONTINUE;
	if (kind != QEVM_RAM_ZERO && kind != QEVM_RAM_PAGE && kind != QEVM_RAM_PACKED && kind != QEVM_RAM_XBZRLE)
		return false;
	if (kind == flags)
		p->block = named(s, &p->next);
	if (!p->block || (p->off >= p->block->size && !s->blocks->doubt))
		return false;
	if (kind == QEVM_RAM_ZERO) {
		p->next += 1;
	} else if (kind == QEVM_RAM_PAGE) {
		p->next += s->page;
	} else if (kind == QEVM_RAM_PACKED) {
		if (input_read_all(s->in, p->next, b, 5, NULL) < 0 || be32(b) > 2 * s->page || b[4] != 0x78) /* zlib */
			return false;
		p->next += 4 + (uint64_t)be32(b);
	} else {
		if (input_read_all(s->in, p->next, b, 3, NULL) < 0 || be16(b + 1) > s->page)
			return false;
		p->next += 3 + (uint64_t)be16(b + 1);
	}
	return p->next <= size;
}

/* `gap`: bytes since the last record that made sense. */
static bool follows(const struct qevm_stream *s, const struct place *p, uint64_t gap)
{
	return p->off > s->last && (p->off - s->last) / s->page <= gap / RECORD_MIN + 1;
}

/* As it were, if only the record at s->here were damaged, one of a plain page. */
static bool expected(const struct qevm_stream *s, uint64_t at, const struct place *p)
{
	return at == s->here + 8 + s->page && p->off == s->last + 2 * (uint64_t)s->page;
}

static bool chain_at(const struct qevm_stream *s, uint64_t at)
{
	const struct qevm_block *block = s->now;
	struct place p;

	for (unsigned i = 0; i < CHAIN; i++, at = p.next, block = p.block) {
		uint8_t b[8] = {0};

		if (!record_at(s, at, block, &p))
			return false;
		if (p.end)
			return true;
		if (i || input_read_all(s->in, at, b, 8, NULL) < 0 || !(b[7] & QEVM_RAM_CONTINUE))
			continue;
		if (!follows(s, &p, at - s->here))
			return false;
		if (expected(s, at, &p))
			return true;
	}
	return true;
}

/* Nearly all bytes of memory are told from a record by the flags alone. */
static bool may_be(const struct qevm_stream *s, const uint8_t *p)
{
	unsigned flags = be16(p + 6) & (s->page - 1) & 0xffffu;

	return flags && !(flags & ~(unsigned)(QEVM_RAM_ZERO | QEVM_RAM_PAGE | QEVM_RAM_PACKED | QEVM_RAM_XBZRLE | QEVM_RAM_CONTINUE |
					      QEVM_RAM_EOS | QEVM_RAM_FLUSH));
}

bool qevmresync_find(const struct qevm_stream *s, uint64_t *found)
{
	const uint64_t from = s->here + 1;
	uint8_t *p = malloc(CHUNK);
	bool got = false;

	for (uint64_t at = from; p && !got && at - from < QEVM_RESYNC_LOOK; at += CHUNK - 7) {
		int64_t n = input_read(s->in, at, p, CHUNK, NULL);

		for (int64_t i = 0; !got && i + 8 <= n; i++)
			if (may_be(s, p + i) && chain_at(s, at + (uint64_t)i)) {
				*found = at + (uint64_t)i;
				got = true;
			}
		if (n < (int64_t)CHUNK)
			break;
	}
	free(p);
	return got;
}

bool qevmresync_ram(struct input *in, uint64_t from, uint64_t *found)
{
	/* behind the type and u32 id: the name, u32 instance 0, u32 version 4 (QEMU's migration/ram.c since 2009) */
	static const uint8_t want[] = {3, 'r', 'a', 'm', 0, 0, 0, 0, 0, 0, 0, 4};
	uint8_t *p = malloc(CHUNK);
	bool got = false;

	for (uint64_t at = from; p && !got && at - from < RAM_LOOK; at += CHUNK - 5 - sizeof(want)) {
		int64_t n = input_read(in, at, p, CHUNK, NULL);

		for (int64_t i = 0; !got && i + 5 + (int64_t)sizeof(want) <= n; i++)
			/* the length of the name may be what lies */
			if (p[i] == QEVM_START && memcmp(p + i + 6, want + 1, sizeof(want) - 1) == 0) {
				*found = at + (uint64_t)i;
				got = true;
			}
		if (n < (int64_t)CHUNK)
			break;
	}
	free(p);
	return got;
}
