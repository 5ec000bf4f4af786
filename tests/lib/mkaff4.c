/* mkaff4.c - see mkaff4.h */
#include "mkaff4.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "libraries.h"
#include "rd.h"
#if LIB_SNAPPY
#include <snappy-c.h>
#endif
#if LIB_LZ4
#include <lz4.h>
#endif

#define CHUNK_PAGES (MKAFF4_CHUNK / MKAFF4_PAGE)
#define VOLUME      "aff4://7d1c5b9e-0000-4000-8000-00000000000"

struct maker {
	const struct mkaff4 *o;
	struct buf *out, central, map, turtle;
	uint64_t n_members, base;
	uint32_t per_segment;
	struct stream {
		char name[80]; /* as member names begin */
		char urn[80];
		struct buf bevy, index;
		uint64_t chunks, size;
	} s[2];
};

/* ---- the archive -------------------------------------------------------------------------------------------------------------------------- */

static void member(struct maker *m, const char *name, const void *p, size_t n)
{
	bool wide = !m->o->zip32, packed = m->o->pack_members;
	uint64_t at = m->out->n - m->base;
	uint8_t x[32] = {1, 0, 24, 0}, h[46] = {0};
	size_t k = strlen(name), leave = m->o->leave_out ? strlen(m->o->leave_out) : 0;
	uLong crc = crc32(0, p, (uInt)n);
	struct buf z;
	size_t zn = n;

	if (leave && k >= leave && strcmp(name + k - leave, m->o->leave_out) == 0)
		return;
	buf_init(&z);
	if (packed) {
		z_stream s = {.next_in = (Bytef *)(uintptr_t)p, .avail_in = (uInt)n};

		deflateInit2(&s, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
		s.next_out = buf_grow(&z, deflateBound(&s, n));
		s.avail_out = (uInt)z.n;
		deflate(&s, Z_FINISH);
		zn = s.total_out;
		deflateEnd(&s);
		p = z.p;
	}
	put_le64(x + 4, n);
	put_le64(x + 12, zn);
	put_le64(x + 20, at);
	put_le32(h, 0x02014b50);
	h[4] = h[6] = 45;
	put_le16(h + 10, packed ? 8 : 0);
	put_le32(h + 16, (uint32_t)crc);
	put_le32(h + 20, wide ? UINT32_MAX : (uint32_t)zn);
	put_le32(h + 24, wide ? UINT32_MAX : (uint32_t)n);
	put_le16(h + 28, (uint16_t)k);
	put_le16(h + 30, wide ? 28 : 0);
	put_le32(h + 42, wide ? UINT32_MAX : (uint32_t)at);
	buf_put(&m->central, h, 46);
	buf_puts(&m->central, name);
	buf_put(&m->central, x, wide ? 28 : 0);
	/* its own header: the same without the last 16 bytes of fields */
	buf_u32(m->out, 0x04034b50);
	buf_put(m->out, h + 6, 26);
	m->out->p[m->out->n - 1] = 0;
	m->out->p[m->out->n - 2] = wide ? 20 : 0;
	buf_puts(m->out, name);
	put_le16(x + 2, 16);
	buf_put(m->out, x, wide ? 20 : 0);
	buf_put(m->out, p, zn);
	buf_free(&z);
	m->n_members++;
}

static void end_archive(struct maker *m)
{
	uint64_t at = m->out->n - m->base, end, size = m->central.n;
	bool wide = !m->o->zip32;

	if (m->o->no_directory)
		return;
	buf_put(m->out, m->central.p, m->central.n);
	end = m->out->n - m->base;
	if (wide) {
		buf_u32(m->out, 0x06064b50);
		buf_u64(m->out, 44);
		buf_u32(m->out, 45 | 45 << 16);
		buf_u64(m->out, 0);
		buf_u64(m->out, m->n_members);
		buf_u64(m->out, m->n_members);
		buf_u64(m->out, size);
		buf_u64(m->out, at);
		buf_u32(m->out, 0x07064b50);
		buf_u32(m->out, 0);
		buf_u64(m->out, end);
		buf_u32(m->out, 1);
	}
	buf_u32(m->out, 0x06054b50);
	buf_u32(m->out, 0);
	buf_u16(m->out, wide ? 0xffff : (uint16_t)m->n_members);
	buf_u16(m->out, wide ? 0xffff : (uint16_t)m->n_members);
	buf_u32(m->out, wide ? UINT32_MAX : (uint32_t)size);
	buf_u32(m->out, wide ? UINT32_MAX : (uint32_t)at);
	buf_u16(m->out, (uint16_t)strlen(VOLUME "0"));
	buf_printf(m->out, VOLUME "%u", m->o->part);
}

/* ---- streams ------------------------------------------------------------------------------------------------------------------------------- */

static size_t pack_raw(const uint8_t *p, uint8_t *z, size_t cap, int bits)
{
	z_stream s = {.next_in = (Bytef *)(uintptr_t)p, .avail_in = MKAFF4_CHUNK, .next_out = z, .avail_out = (uInt)cap};

	deflateInit2(&s, 1, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY);
	deflate(&s, Z_FINISH);
	deflateEnd(&s);
	return s.total_out;
}

static size_t pack_chunk(const char *how, const uint8_t *p, uint8_t *z, size_t cap)
{
	if (strcmp(how, "deflate") == 0 || strcmp(how, "zlib") == 0)
		return pack_raw(p, z, cap, how[0] == 'd' ? -MAX_WBITS : MAX_WBITS);
#if LIB_SNAPPY
	if (strcmp(how, "snappy") == 0) {
		size_t n = cap;

		return snappy_compress((const char *)p, MKAFF4_CHUNK, (char *)z, &n) == SNAPPY_OK ? n : MKAFF4_CHUNK;
	}
#endif
#if LIB_LZ4
	if (strcmp(how, "lz4") == 0)
		return (size_t)LZ4_compress_default((const char *)p, (char *)z, MKAFF4_CHUNK, (int)cap);
#endif
	return MKAFF4_CHUNK;
}

static void flush_bevy(struct maker *m, struct stream *s)
{
	bool old = m->o->form == MKAFF4_OLD || m->o->form == MKAFF4_WINPMEM2;
	char name[128];

	if (!s->index.n)
		return;
	if (m->o->part && s != &m->s[m->o->part - 1]) { /* it stands in the other volume */
		buf_clear(&s->bevy);
		buf_clear(&s->index);
		return;
	}
	snprintf(name, sizeof(name), "%s/%08u", s->name, (unsigned)((s->chunks - 1) / m->per_segment));
	member(m, name, s->bevy.p, s->bevy.n);
	strcat(name, old ? "/index" : ".index");
	member(m, name, s->index.p, s->index.n);
	buf_clear(&s->bevy);
	buf_clear(&s->index);
}

size_t mkaff4_packed(const char *how, const uint8_t *p)
{
	static uint8_t z[MKAFF4_CHUNK * 2];

	return pack_chunk(how, p, z, sizeof(z));
}

static void add_chunk(struct maker *m, struct stream *s, const uint8_t *p)
{
	static uint8_t z[MKAFF4_CHUNK * 2];
	size_t at = s->bevy.n, n = pack_chunk(m->o->pack, p, z, sizeof(z));
	bool packed = n < MKAFF4_CHUNK - 16 || (m->o->form == MKAFF4_WINPMEM2 && strcmp(m->o->pack, "stored") != 0);

	buf_put(&s->bevy, packed ? z : p, packed ? n : MKAFF4_CHUNK);
	switch (m->o->form) {
	case MKAFF4_WINPMEM2:
		buf_u32(&s->index, (uint32_t)at);
		break;
	case MKAFF4_OLD:
		buf_u32(&s->index, (uint32_t)s->bevy.n);
		break;
	default:
		buf_u64(&s->index, at);
		buf_u32(&s->index, (uint32_t)(s->bevy.n - at));
	}
	s->chunks++;
	s->size += MKAFF4_CHUNK;
	if (s->chunks % m->per_segment == 0)
		flush_bevy(m, s);
}

/* ---- the map ------------------------------------------------------------------------------------------------------------------------------- */

static void point(struct maker *m, uint64_t at, uint64_t len, uint64_t off, uint32_t target)
{
	buf_u64(&m->map, at);
	buf_u64(&m->map, len);
	buf_u64(&m->map, off);
	buf_u32(&m->map, target);
}

static bool all(const uint8_t *p, uint8_t v)
{
	return p[0] == v && memcmp(p, p + 1, MKAFF4_CHUNK - 1) == 0;
}

/* One run: by chunks. Targets: 0 and 1 the streams, 2 zeros, 3 bytes of ff. */
static void add_run(struct maker *m, const struct mkaff4_run *r)
{
	static uint8_t p[MKAFF4_CHUNK];
	bool symbols = m->o->form == MKAFF4_STANDARD || m->o->form == MKAFF4_OLD;
	uint64_t from = m->s[0].size;

	for (uint64_t i = 0; i < r->pages; i += CHUNK_PAGES) {
		uint64_t n = r->pages - i < CHUNK_PAGES ? r->pages - i : CHUNK_PAGES, at = (r->pfn + i) * MKAFF4_PAGE;
		unsigned k = m->o->form == MKAFF4_STANDARD && i / CHUNK_PAGES % 3 == 1;

		memset(p, 0, sizeof(p));
		for (uint64_t j = 0; j < n; j++) {
			const uint8_t *page = m->o->page(m->o->ctx, r->pfn + i + j);

			if (page)
				memcpy(p + j * MKAFF4_PAGE, page, MKAFF4_PAGE);
		}
		if (symbols && (all(p, 0) || all(p, 0xff))) {
			point(m, at, n * MKAFF4_PAGE, 0, p[0] ? 3 : 2);
			continue;
		}
		if (symbols)
			point(m, at, n * MKAFF4_PAGE, m->s[k].size, k);
		add_chunk(m, &m->s[k], p);
	}
	if (!symbols)
		point(m, r->pfn * MKAFF4_PAGE, r->pages * MKAFF4_PAGE, from, 0);
}

/* ---- what the volume says ------------------------------------------------------------------------------------------------------------------ */

static const char *pack_iri(const struct mkaff4 *o)
{
	static const char *const iris[][2] = {{"snappy", "http://code.google.com/p/snappy/"},
					      {"lz4", "https://code.google.com/p/lz4/"},
					      {"deflate", "https://tools.ietf.org/html/rfc1951"},
					      {"zlib", "https://www.ietf.org/rfc/rfc1950.txt"}};

	if (o->form == MKAFF4_WINPMEM2 && strcmp(o->pack, "snappy") == 0)
		return "https://github.com/google/snappy";
	for (size_t i = 0; i < 4; i++)
		if (strcmp(o->pack, iris[i][0]) == 0)
			return iris[i][1];
	return "http://aff4.org/Schema#NullCompressor";
}

static void describe_stream(struct maker *m, const struct stream *s, const char *const words[5])
{
	buf_printf(&m->turtle,
		   "<%s>\r\n        a %s ;\r\n        aff4:%s \"%u\"^^xsd:int ;\r\n        aff4:%s \"%u\"^^xsd:int ;\r\n        aff4:%s "
		   "<%s> ;\r\n"
		   "        aff4:size \"%llu\"^^xsd:long ;\r\n        aff4:stored : .\r\n\r\n",
		   s->urn, words[0], words[1], MKAFF4_CHUNK, words[2], m->per_segment, words[3], pack_iri(m->o),
		   (unsigned long long)s->size);
}

static void describe(struct maker *m, uint64_t end)
{
	static const char *const standard[] = {"aff4:ImageStream", "chunkSize", "chunksInSegment", "compressionMethod", NULL},
				 *const old[] = {"aff4:stream", "chunk_size", "chunks_in_segment", "CompressionMethod", NULL},
				 *const two[] = {"aff4:image", "chunk_size", "chunks_per_segment", "compression", NULL};
	const struct mkaff4 *o = m->o;
	struct buf *t = &m->turtle;

	buf_printf(t,
		   "@prefix :      <" VOLUME "%u> .\r\n@prefix rdf:   <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .\r\n"
		   "@prefix xsd:   <http://www.w3.org/2001/XMLSchema#> .\r\n@prefix aff4:  <%s> .\r\n"
		   "@prefix memory: <http://aff4.org/Schema#memory/> .\r\n\r\n",
		   o->part, o->form == MKAFF4_OLD ? "http://afflib.org/2009/aff4#" : "http://aff4.org/Schema#");
	switch (o->form) {
	case MKAFF4_STANDARD:
		buf_printf(t,
			   "# an image of memory\r\n<aff4://image>\r\n        a aff4:Image , aff4:MemoryImage ;\r\n        aff4:dataStream "
			   "<aff4://map%u> ;\r\n        aff4:notes \"\"\"of a \"test\" ;\r\n . machine\"\"\" ;\r\n        aff4:size "
			   "\"%llu\"^^xsd:long ;\r\n        aff4:memoryPageTableEntryOffset \"%llu\"^^xsd:long ;\r\n"
			   "        aff4:NTKernelBase \"%llu\"^^xsd:long ;\r\n        aff4:stored : .\r\n\r\n<aff4://map%u>\r\n        a "
			   "aff4:Map ;\r\n        "
			   "aff4:mapGapDefaultStream aff4:Zero ;\r\n        aff4:size \"%llu\"^^xsd:long .\r\n\r\n",
			   o->part, (unsigned long long)end, (unsigned long long)o->cr3, (unsigned long long)o->kernel_base, o->part,
			   (unsigned long long)end);
		for (unsigned i = 0; i < 2; i++)
			if (!o->part || o->part == i + 1)
				describe_stream(m, &m->s[i], standard);
		break;
	case MKAFF4_OLD:
		buf_printf(t, "<aff4://map0>\r\n        a aff4:map , aff4:Image ;\r\n        aff4:size \"%llu\"^^xsd:long .\r\n\r\n",
			   (unsigned long long)end);
		describe_stream(m, &m->s[0], old);
		break;
	default:
		buf_printf(t, "<" VOLUME "%u/PhysicalMemory>\r\n        a aff4:%s ;\r\n        aff4:category memory:physical .\r\n\r\n",
			   o->part, o->form == MKAFF4_WINPMEM2 ? "map" : "Map");
		describe_stream(m, &m->s[0], o->form == MKAFF4_WINPMEM2 ? two : standard);
	}
	if (o->others)
		buf_printf(
			t,
			"<" VOLUME
			"%u/pagefile.sys>\r\n        a aff4:ImageStream ;\r\n        aff4:category memory:pagefile ;\r\n        aff4:size "
			"\"99999999999\" .\r\n\r\n<" VOLUME
			"%u/C:/x>\r\n        a aff4:FileImage , aff4:Image ;\r\n        aff4:size 99999999999 .\r\n",
			o->part, o->part);
	member(m, "information.turtle", t->p, t->n);
}

static void write_map(struct maker *m, uint64_t end)
{
	const struct mkaff4 *o = m->o;
	const char *ns = o->form == MKAFF4_OLD ? "http://afflib.org/2009/aff4" : "http://aff4.org/Schema";
	char dir[80];
	struct buf idx;

	buf_init(&idx);
	if (o->form == MKAFF4_STANDARD || o->form == MKAFF4_OLD) {
		snprintf(dir, sizeof(dir), "aff4%%3A%%2F%%2Fmap%u", o->part);
		buf_printf(&idx, "%s\n%s\n%s#Zero\n%s\n%s#UnreadableData\n", m->s[0].urn, m->s[1].urn, ns,
			   o->form == MKAFF4_OLD ? "http://afflib.org/2012/SymbolicStream#FF" : "http://aff4.org/Schema#SymbolicStreamFF",
			   ns);
		point(m, end, MKAFF4_CHUNK, 0, 4);
	} else {
		snprintf(dir, sizeof(dir), "PhysicalMemory");
		buf_printf(&idx, "%s\r\n", m->s[0].urn);
	}
	strcat(dir, "/map");
	member(m, dir, m->map.p, m->map.n);
	strcpy(dir + strlen(dir) - 3, "idx");
	member(m, dir, idx.p, idx.n);
	buf_free(&idx);
}

static void name_streams(struct maker *m)
{
	bool inside = m->o->form == MKAFF4_WINPMEM || m->o->form == MKAFF4_WINPMEM2;

	for (unsigned i = 0; i < 2; i++) {
		if (inside) {
			snprintf(m->s[i].name, sizeof(m->s[i].name), "PhysicalMemory/data");
			snprintf(m->s[i].urn, sizeof(m->s[i].urn), VOLUME "%u/PhysicalMemory/data", m->o->part);
		} else {
			snprintf(m->s[i].name, sizeof(m->s[i].name), "aff4%%3A%%2F%%2Fstream%u", i);
			snprintf(m->s[i].urn, sizeof(m->s[i].urn), "aff4://stream%u", i);
		}
	}
}

void mkaff4_build(struct buf *b, const struct mkaff4 *o)
{
	struct maker m = {.o = o, .out = b, .per_segment = o->per_segment ? o->per_segment : 2048};
	uint64_t end = 0;
	char text[512];

	if (o->junk_before)
		buf_fill(b, 'P', 1000);
	m.base = b->n;
	name_streams(&m);
	snprintf(text, sizeof(text), VOLUME "%u", o->part);
	member(&m, "container.description", text, strlen(text));
	member(&m, "version.txt", "major=1\nminor=0\ntool=mkaff4\n", 28);
	if (o->form == MKAFF4_WINPMEM || o->form == MKAFF4_WINPMEM2) {
		int n = snprintf(text, sizeof(text),
				 "Imager: WinPmem 3.3\nRegisters:\n  CR3: %llu\nNtBuildNumber: 19041\nKernBase: %llu\nRuns:\n",
				 (unsigned long long)o->cr3, (unsigned long long)o->kernel_base);

		for (size_t i = 0; i < o->n_runs && n < 400; i++)
			n += snprintf(text + n, sizeof(text) - (size_t)n, "  - start: %llu\n    length: %llu\n",
				      (unsigned long long)(o->run[i].pfn * MKAFF4_PAGE),
				      (unsigned long long)(o->run[i].pages * MKAFF4_PAGE));
		member(&m, "PhysicalMemory/information.yaml", text, (size_t)n);
	}
	for (size_t i = 0; i < o->n_runs; i++) {
		add_run(&m, &o->run[i]);
		end = (o->run[i].pfn + o->run[i].pages) * MKAFF4_PAGE;
	}
	for (unsigned i = 0; i < 2; i++)
		flush_bevy(&m, &m.s[i]);
	if (o->others) {
		member(&m, "pagefile.sys/00000000", "page", 4);
		member(&m, "pagefile.sys/00000000.index", "\0\0\0\0\0\0\0\0\4\0\0", 12);
		member(&m, "C%3A/x", "a file", 6);
	}
	write_map(&m, end);
	describe(&m, end);
	end_archive(&m);
	for (unsigned i = 0; i < 2; i++) {
		buf_free(&m.s[i].bevy);
		buf_free(&m.s[i].index);
	}
	buf_free(&m.central);
	buf_free(&m.map);
	buf_free(&m.turtle);
}
