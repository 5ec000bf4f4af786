/* qevm.c - QEMU's migration and suspend stream (QEVM): RAM pages one behind the other, each with its offset in a RAM block; later copies win. With
 * mapped-ram they stand at fixed places of the file (qevmmapped.c). Only the section "ram" is read. Facts: docs/formats/qevm.md. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "chunkcache.h"
#include "dumpfmt.h"
#include "qevmblocks.h"
#include "qevmpages.h"
#include "qevmrecord.h"
#include "qevmresync.h"
#include "rd.h"

#define PAGE_BITS     12u /* unless the configuration says otherwise: no machine that runs Windows has smaller ones */
#define PAGE_BITS_MAX 16u
#define PAGE_MAX      (1u << PAGE_BITS_MAX)
#define PACKED_MAX    (PAGE_MAX + PAGE_MAX / 1000 + 64) /* what zlib's compressBound() gives, and more */
#define RAM_MAX       (QEVMPAGES_MAX << PAGE_BITS)
#define FILL          (UINT64_C(1) << 63)
#define PACKED        (UINT64_C(1) << 62)
#define FOOTER_LOOK   ((uint64_t)64 << 20) /* a foreign section's end is looked for so far */
#define CONFIG_LOOK   65536u               /* ... and the end of a part of the configuration that is not known */
#define CAPS_MAX      1024u
#define SUBS_MAX      64u
#define RESYNCS_MAX   4096u /* damaged places that the stream is followed over */

struct qevm {
	struct input *in;
	struct dump *d;
	uint64_t at;
	char machine[QEVM_NAME_MAX];
	uint32_t page; /* bytes of one */
	bool has_ram_id;
	uint32_t ram_id;
	struct qevm_blocks blocks;
	const struct qevm_block *now;
	uint64_t last;           /* offset of the last page in it */
	uint64_t here;           /* file offset of the record or section that is read */
	uint64_t lost, lost_at;  /* stretches that make no sense; file offset of the first */
	uint64_t lost_bytes;     /* ... and how long they are together */
	struct qevm_pages pages; /* file offset, or FILL | byte, or PACKED | file offset of the length */
	uint64_t hole;           /* where memory goes on at 4 GiB */
	uint64_t start;          /* physical address of its first byte */
	bool xbzrle;
	uint64_t beyond, beyond_at; /* pages outside of their block; file offset at the first */
	uint64_t packed, broken;    /* packed pages that were kept; that do not unpack */
	uint64_t broken_at;         /* file offset of the first */
	struct chunkcache *cache;   /* of packed pages; NULL: none came */
	uint8_t *room;              /* PACKED_MAX + a page, while the stream is walked; NULL: no packed page came yet */
};

static bool probe(const uint8_t *head, size_t n)
{
	return n >= 8 && memcmp(head, "QEVM", 4) == 0 && be32(head + 4) == 3;
}

/* ---- the stream ---------------------------------------------------------------------------------------------------------------------------- */

static bool take(struct qevm *q, void *p, size_t n)
{
	if (input_read_all(q->in, q->at, p, n, NULL) < 0)
		return false;
	q->at += n;
	return true;
}

static bool take_name(struct qevm *q, char out[QEVM_NAME_MAX])
{
	uint8_t n;

	if (!take(q, &n, 1) || !take(q, out, n) || memchr(out, 0, n))
		return false;
	out[n] = 0;
	return true;
}

static bool take_u32(struct qevm *q, uint32_t *v)
{
	uint8_t p[4];

	if (!take(q, p, 4))
		return false;
	*v = be32(p);
	return true;
}

static int keep_page(struct qevm *q, uint64_t off, uint64_t what, struct err *e)
{
	uint64_t page = (q->now->base + off) / q->page;

	if (!q->now->memory)
		return 0;
	if ((off >= q->now->size && !q->blocks.doubt) || page >= QEVMPAGES_MAX) {
		if (q->beyond++ == 0)
			q->beyond_at = q->at;
		return 0;
	}
	return qevmpages_set(&q->pages, page, what, e);
}

/* Packed pages (flag 0x100, QEMU 2.4 to 9.0): u32 length, a zlib stream. One that does not give a whole page is an error. */
static int unpack_page(const struct qevm *q, uint64_t at, uint8_t *room, uint8_t *out, struct err *e)
{
	uLongf len = q->page;
	uint8_t p[4];
	uint32_t n;

	if (input_read_all(q->in, at, p, 4, e) < 0)
		return ERR_TRUNC;
	n = be32(p);
	if (n > PACKED_MAX || input_read_all(q->in, at + 4, room, n, e) < 0)
		return err_set(e, ERR_TRUNC, "qevm: a packed page of %u bytes", n);
	if (uncompress(out, &len, room, n) != Z_OK || len != q->page)
		return err_set(e, ERR_FORMAT, "qevm: the packed page at file offset %llu does not unpack", (unsigned long long)at);
	return 0;
}

/* Each is unpacked once here: one that is damaged is then known to be missing, and told. What came before for it is older memory. */
static int packed_page(struct qevm *q, uint64_t off, struct err *e)
{
	uint64_t at = q->at;
	uint32_t n;
	int rc;

	if (!q->room && !(q->room = malloc(PACKED_MAX + PAGE_MAX)))
		return err_set(e, ERR_NOMEM, "out of memory");
	if (!take_u32(q, &n) || n > PACKED_MAX || n > input_size(q->in) - q->at)
		return ERR_TRUNC;
	q->at += n;
	if (unpack_page(q, at, q->room, q->room + PACKED_MAX, NULL) < 0) {
		if (q->now->memory && q->broken++ == 0)
			q->broken_at = at;
		return keep_page(q, off, 0, e);
	}
	rc = keep_page(q, off, PACKED | at, e);
	q->packed++;
	return rc;
}

/* One record of the section "ram". 1: go on, 0: its end, ERR_TRUNC: the stream ends or makes no sense. */
static int ram_record(struct qevm *q, struct err *e)
{
	uint8_t p[8], fill;
	char name[QEVM_NAME_MAX];
	uint64_t off;
	unsigned flags, kind;
	int rc = 1;

	q->here = q->at;
	if (!take(q, p, 8))
		return ERR_TRUNC;
	flags = be64(p) & (q->page - 1);
	off = be64(p) & ~(uint64_t)(q->page - 1);
	if (be64(p) == QEVM_RAM_EOS)
		return 0;
	if (flags == QEVM_RAM_SIZES)
		return qevmblocks_take(&q->blocks, q->in, q->d->in_at, off, &q->at, q->d->notes) ? 1 : ERR_TRUNC;
	if (be64(p) == QEVM_RAM_FLUSH) /* for the other streams of a migration by several: nothing follows */
		return 1;
	kind = flags & ~(unsigned)QEVM_RAM_CONTINUE;
	if (kind != QEVM_RAM_ZERO && kind != QEVM_RAM_PAGE && kind != QEVM_RAM_PACKED && kind != QEVM_RAM_XBZRLE)
		return ERR_TRUNC;
	if (!(flags & QEVM_RAM_CONTINUE)) {
		if (!take_name(q, name))
			return ERR_TRUNC;
		q->now = qevmblocks_named(&q->blocks, name);
	}
	if (!q->now)
		return ERR_TRUNC;
	q->last = off;
	if (kind == QEVM_RAM_ZERO) {
		if (!take(q, &fill, 1))
			return ERR_TRUNC;
		rc = keep_page(q, off, FILL | fill, e);
	} else if (kind == QEVM_RAM_PAGE) {
		if (q->at + q->page > input_size(q->in))
			return ERR_TRUNC;
		rc = keep_page(q, off, q->at, e);
		q->at += q->page;
	} else if (kind == QEVM_RAM_PACKED) {
		rc = packed_page(q, off, e);
	} else { /* a difference to what was sent before: the length is behind a byte of flags */
		if (!take(q, p, 3))
			return ERR_TRUNC;
		q->at += be16(p + 1);
		q->xbzrle = true;
	}
	return rc < 0 ? rc : 1;
}

/* The records up to the end of a part. 1: go on behind it. */
static int ram_records(struct qevm *q, struct err *e)
{
	int rc;

	while ((rc = ram_record(q, e)) > 0)
		;
	return rc < 0 ? rc : 1;
}

/* A section that isn't read ends with a footer {7e, u32 id}, behind which a section type stands. */
static bool skip_section(struct qevm *q, uint32_t id)
{
	uint8_t want[5] = {QEVM_FOOTER, (uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id}, p[65536 + 6];
	uint64_t from = q->at;

	while (q->at - from < FOOTER_LOOK) {
		int64_t n = input_read(q->in, q->at, p, sizeof(p), NULL);

		for (int64_t i = 0; i + 6 <= n && i < 65536; i++)
			if (memcmp(p + i, want, 5) == 0 && p[i + 5] <= QEVM_COMMAND) {
				q->at += (uint64_t)i + 5;
				return true;
			}
		if (n < 65536)
			return false;
		q->at += 65536;
	}
	return false;
}

/* Start and full sections: u32 id, name, u32 instance, u32 version; parts and ends: u32 id. 1: go on, 0: RAM is over, negative: the end. */
static int section(struct qevm *q, uint8_t type, struct err *e)
{
	char name[QEVM_NAME_MAX] = "";
	uint32_t id, skip;
	int rc;

	if (!take_u32(q, &id))
		return ERR_TRUNC;
	if ((type == QEVM_START || type == QEVM_FULL) && (!take_name(q, name) || !take_u32(q, &skip) || !take_u32(q, &skip)))
		return ERR_TRUNC;
	if (type == QEVM_START && strcmp(name, "ram") == 0) {
		q->ram_id = id;
		q->has_ram_id = true;
	}
	if (!q->has_ram_id || id != q->ram_id)
		return skip_section(q, id) ? 1 : ERR_TRUNC;
	rc = ram_records(q, e);
	return rc < 0 ? rc : type != QEVM_END;
}

/* Where the data of a part of the configuration ends that is not known: the next part, or the section "ram". */
static bool skip_unknown(struct qevm *q)
{
	uint8_t p[CONFIG_LOOK + 16];
	int64_t n = input_read(q->in, q->at, p, sizeof(p), NULL);

	for (int64_t i = 0; i + 15 <= n; i++)
		if ((p[i] == QEVM_START && memcmp(p + i + 5, "\3ram", 4) == 0) ||
		    (p[i] == QEVM_SUBSECTION && memcmp(p + i + 2, "configuration", 13) == 0)) {
			q->at += (uint64_t)i;
			return true;
		}
	return false;
}

/* Parts of the configuration: 5, u8 length, name, u32 version, data. 0, or negative: a page size that isn't read, or the end of the stream. */
static int subsection(struct qevm *q, struct err *e)
{
	char name[QEVM_NAME_MAX];
	uint32_t version, n;

	q->at++;
	if (!take_name(q, name) || !take_u32(q, &version))
		return ERR_TRUNC;
	if (strcmp(name, "configuration/target-page-bits") == 0) {
		if (!take_u32(q, &n))
			return ERR_TRUNC;
		if (n < PAGE_BITS || n > PAGE_BITS_MAX)
			return err_set(e, ERR_UNSUPPORTED, "qevm: pages of 2^%u bytes", n);
		q->page = 1u << n;
		return 0;
	}
	if (strcmp(name, "configuration/capabilities") == 0) {
		if (!take_u32(q, &n) || n > CAPS_MAX)
			return ERR_TRUNC;
		while (n-- > 0) {
			if (!take_name(q, name))
				return ERR_TRUNC;
			q->blocks.addresses |= strcmp(name, "x-ignore-shared") == 0;
			q->blocks.mapped |= strcmp(name, "mapped-ram") == 0;
		}
		return 0;
	}
	if (strcmp(name, "configuration/uuid") == 0) {
		q->at += 16;
		return 0;
	}
	return skip_unknown(q) ? 0 : ERR_TRUNC;
}

/* The machine's name: as far as it is text, if a part of the configuration or a section stands behind; else n bytes, as its length says. False: neither. */
static bool take_machine(struct qevm *q, uint32_t n)
{
	uint8_t p[QEVM_NAME_MAX + 1];
	int64_t got = input_read(q->in, q->at, p, sizeof(p), NULL);
	uint32_t text = 0, told = n;

	while ((int64_t)text < got && p[text] > ' ' && p[text] < 0x7f)
		text++;
	if ((int64_t)text < got && p[text] != QEVM_EOF && p[text] <= QEVM_COMMAND)
		n = text;
	if ((int64_t)n >= got || n >= QEVM_NAME_MAX || p[n] == QEVM_EOF || p[n] > QEVM_COMMAND)
		return false;
	if (n != told)
		notes_add(q->d->notes, &NOTE_AT(NOTE_CONTEXT_BAD, q->at, 0),
			  "qevm: the machine's name is said to have %u bytes, and has %u", told, n);
	memcpy(q->machine, p, n);
	q->machine[n] = 0;
	q->at += n;
	return true;
}

/* u32 length, the machine's name; parts. 1, or negative. */
static int configuration(struct qevm *q, struct err *e)
{
	uint8_t type;
	uint32_t n;
	int rc = 1;

	if (!take_u32(q, &n) || !take_machine(q, n))
		return ERR_TRUNC;
	for (unsigned i = 0; rc >= 0 && i < SUBS_MAX && input_read_all(q->in, q->at, &type, 1, NULL) == 0 && type == QEVM_SUBSECTION; i++)
		rc = subsection(q, e);
	return rc < 0 ? rc : 1;
}

/* One section, or what stands between them. 1: go on, 0: RAM is over. */
static int next_section(struct qevm *q, struct err *e)
{
	uint8_t type;
	uint32_t n;

	q->here = q->at;
	if (!take(q, &type, 1))
		return ERR_TRUNC;
	if (type == QEVM_CONFIG)
		return configuration(q, e);
	if (type == QEVM_START || type == QEVM_PART || type == QEVM_END || type == QEVM_FULL)
		return section(q, type, e);
	if (type == QEVM_FOOTER)
		return take_u32(q, &n) ? 1 : ERR_TRUNC;
	return type == QEVM_EOF && q->has_ram_id ? 0 : ERR_TRUNC;
}

/* The last byte before the damage may be a part of it: a page full of something else than zeros is not believed. */
static void doubt_last(struct qevm *q)
{
	uint64_t page = q->now ? (q->now->base + q->last) / q->page : 0;

	if (q->now && q->now->memory && page < QEVMPAGES_MAX && (qevmpages_get(&q->pages, page) & FILL) &&
	    (qevmpages_get(&q->pages, page) & 0xff))
		(void)qevmpages_set(&q->pages, page, 0, NULL); /* it is there: nothing is allocated */
}

/* Goes on behind what makes no sense: at the next records, or, before any came, where the section "ram" begins. False: nothing comes any more. */
static bool resync(struct qevm *q)
{
	const struct qevm_stream s = {q->in, q->page, q->ram_id, &q->blocks, q->now, q->last, q->here};
	uint64_t from = q->here, found;

	if (q->lost >= RESYNCS_MAX)
		return false;
	if (q->has_ram_id && (!q->blocks.n || q->blocks.mapped || !qevmresync_find(&s, &found)))
		return false;
	/* a section that was not known may have been it */
	if (!q->has_ram_id && !qevmresync_ram(q->in, from, &found) && !qevmresync_ram(q->in, from = 8, &found))
		return false;
	doubt_last(q);
	if (!q->lost++)
		q->lost_at = from;
	q->lost_bytes += found - from;
	q->at = found;
	if (q->has_ram_id)
		return true;
	q->at++;
	q->has_ram_id = take_u32(q, &q->ram_id);
	q->at += QEVM_RAM_HEAD;
	return q->has_ram_id;
}

static int walk(struct qevm *q, struct err *e)
{
	bool records = false; /* inside of the section "ram" */
	int rc = 1;

	q->at = 8;
	while (rc > 0) {
		rc = records ? ram_records(q, e) : next_section(q, e);
		records = rc == ERR_TRUNC && resync(q);
		if (records)
			rc = 1;
	}
	if (rc == ERR_TRUNC) {
		notes_add(q->d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, q->at, 0), "qevm: the stream of RAM pages ends at file offset %llu",
			  (unsigned long long)q->at);
		rc = 0;
	}
	if (q->lost)
		notes_add(q->d->notes, &NOTE_AT(NOTE_PAGE_MISSING, q->lost_at, q->lost_bytes),
			  "qevm: %llu places of the stream make no sense and are left out, %llu bytes, the first at file offset %llu",
			  (unsigned long long)q->lost, (unsigned long long)q->lost_bytes, (unsigned long long)q->lost_at);
	return rc;
}

/* ---- memory -------------------------------------------------------------------------------------------------------------------------------- */

/* Where memory stands: how much of it below 4 GiB goes by machine and size (QEMU hw/i386/pc_piix.c and pc_q35.c); on ARM's virt it begins at
 * 1 GiB and has no hole. */
static void place_memory(struct qevm *q)
{
	uint64_t ram = q->blocks.doubt ? qevmpages_end(&q->pages) * q->page : 0; /* every page was sent once, zeros too */
	bool q35 = strstr(q->machine, "q35") != NULL;

	if (!ram)
		ram = q->blocks.ram;
	q->hole = UINT64_MAX;
	if (strncmp(q->machine, "virt", 4) == 0)
		q->start = UINT64_C(1) << 30;
	else if (ram >= (q35 ? 0xb0000000u : 0xe0000000u))
		q->hole = q35 ? 0x80000000u : 0xc0000000u;
}

static uint64_t pa_of(const struct qevm *q, uint64_t off)
{
	return off >= q->hole ? off - q->hole + (UINT64_C(1) << 32) : off + q->start;
}

static int64_t load(void *ctx, uint64_t page, uint8_t *buf, struct err *e)
{
	const struct qevm *q = ctx;
	uint8_t *room = malloc(PACKED_MAX);
	int rc;

	if (!room)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = unpack_page(q, qevmpages_get(&q->pages, page) & ~PACKED, room, buf, e);
	free(room);
	return rc < 0 ? rc : (int64_t)q->page;
}

static int read_page(const struct qevm *q, uint64_t page, size_t in, void *buf, size_t n)
{
	uint64_t what = qevmpages_get(&q->pages, page);

	if (!what)
		return ERR_FAULT;
	if (what & FILL) {
		memset(buf, (int)(what & 0xff), n);
		return 0;
	}
	if (what & PACKED)
		return chunkcache_read(q->cache, page, in, buf, n, NULL) == (int64_t)n ? 0 : ERR_FAULT;
	return input_read_all(q->in, what + in, buf, n, NULL);
}

static int read_memory(void *ctx, uint64_t pa, void *buf, size_t len)
{
	const struct qevm *q = ctx;
	uint8_t *out = buf;

	while (len) {
		uint64_t off = pa >= q->hole ? pa - (UINT64_C(1) << 32) + q->hole : pa - q->start;
		size_t in = (size_t)(off % q->page), n = q->page - in < len ? q->page - in : len;
		int rc = read_page(q, off / q->page, in, out, n);

		if (rc < 0)
			return rc;
		out += n;
		pa += n;
		len -= n;
	}
	return 0;
}

static int read_mapped(void *ctx, uint64_t pa, void *buf, size_t len)
{
	const struct qevm *q = ctx;
	uint8_t *out = buf;

	for (size_t i = 0; len && i < q->blocks.n; i++) { /* the blocks of memory stand one behind the other */
		const struct qevm_block *b = &q->blocks.v[i];
		uint64_t off = pa >= q->hole ? pa - (UINT64_C(1) << 32) + q->hole : pa - q->start;
		size_t n;
		int rc;

		if (!b->memory || off < b->base || off - b->base >= b->mapped.there)
			continue;
		off -= b->base;
		n = b->mapped.there - off < len ? (size_t)(b->mapped.there - off) : len;
		rc = qevmmapped_read(&b->mapped, q->in, off, out, n);
		if (rc < 0)
			return rc;
		out += n;
		pa += n;
		len -= n;
	}
	return len ? ERR_FAULT : 0;
}

/* A part of memory, [off, end) of it, on both sides of the hole. */
static int add_both_sides(struct qevm *q, uint64_t off, uint64_t end, struct err *e)
{
	uint64_t low = end < q->hole ? end : q->hole, high = off > q->hole ? off : q->hole;
	int rc = 0;

	if (off < low)
		rc = phys_add(q->d->phys, pa_of(q, off), low - off, read_mapped, q, e);
	if (rc == 0 && high < end)
		rc = phys_add(q->d->phys, pa_of(q, high), end - high, read_mapped, q, e);
	return rc;
}

/* Blocks of memory whose pages stand at fixed places. *pages: how many were added. */
static int add_mapped(struct qevm *q, size_t *pages, struct err *e)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && q->blocks.mapped && i < q->blocks.n; i++) {
		struct qevm_block *b = &q->blocks.v[i];

		if (!b->memory)
			continue;
		if (b->base > RAM_MAX || b->size > RAM_MAX - b->base) {
			notes_add(q->d->notes, &NOTE(NOTE_LIMIT_REACHED), "qevm: a RAM block of %llu bytes is left out",
				  (unsigned long long)b->size);
			b->mapped.there = 0;
			continue;
		}
		rc = qevmmapped_load(&b->mapped, q->in, q->d->notes, b->name, e);
		if (rc == 0 && b->mapped.there) {
			*pages += (size_t)(b->mapped.there / b->mapped.page);
			rc = add_both_sides(q, b->base, b->base + b->mapped.there, e);
		}
	}
	return rc;
}

static int add_memory(struct qevm *q, struct err *e)
{
	size_t pages = 0;
	int rc;

	place_memory(q);
	rc = add_mapped(q, &pages, e);
	if (rc == 0 && q->packed)
		rc = chunkcache_new(&q->cache, q->page, q->packed, load, q, e);
	for (uint64_t p = 0; rc == 0 && (p = qevmpages_next(&q->pages, p)) != UINT64_MAX; p++) {
		pages++;
		rc = phys_add(q->d->phys, pa_of(q, p * q->page), q->page, read_memory, q, e);
	}
	if (rc == 0 && !pages)
		rc = err_set(e, ERR_TRUNC, "qevm: no page of memory in it");
	if (q->pages.over)
		notes_add(q->d->notes, &NOTE(NOTE_PAGE_MISSING), "qevm: %llu pages that stand too far apart to be indexed are left out",
			  (unsigned long long)q->pages.over);
	if (q->beyond)
		notes_add(q->d->notes, &NOTE_AT(NOTE_PAGE_MISSING, q->beyond_at, 0),
			  "qevm: %llu pages stand outside of their RAM block and are left out, the first at file offset %llu",
			  (unsigned long long)q->beyond, (unsigned long long)q->beyond_at);
	if (q->broken)
		notes_add(q->d->notes, &NOTE_AT(NOTE_PAGE_MISSING, q->broken_at, 0),
			  "qevm: %llu packed pages do not unpack and are left out, the first at file offset %llu",
			  (unsigned long long)q->broken, (unsigned long long)q->broken_at);
	if (q->xbzrle)
		notes_add(q->d->notes, &NOTE(NOTE_PAGE_MISSING), "qevm: pages that were sent as differences are as they were before");
	return rc;
}

static void close_qevm(struct dump *d)
{
	struct qevm *q = d->state;

	if (!q)
		return;
	qevmpages_free(&q->pages);
	free(q->room);
	chunkcache_free(q->cache);
	qevmblocks_free(&q->blocks);
	free(q);
}

static int open_qevm(struct dump *d, struct err *e)
{
	struct qevm *q = calloc(1, sizeof(*q));
	int rc;

	if (!q)
		return err_set(e, ERR_NOMEM, "out of memory");
	d->state = q;
	q->d = d;
	q->in = d->in;
	q->page = 1u << PAGE_BITS;
	rc = qevmblocks_new(&q->blocks, e);
	if (rc < 0)
		return rc;
	rc = walk(q, e);
	free(q->room);
	q->room = NULL;
	return rc < 0 ? rc : add_memory(q, e);
}

const struct dumpfmt dumpfmt_qevm = {"qevm", probe, open_qevm, close_qevm};
