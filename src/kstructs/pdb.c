/* pdb.c - see pdb.h */
#include "pdb.h"

#include <stdlib.h>
#include <string.h>

#include "msf.h"
#include "rd.h"

enum { STREAM_INFO = 1, STREAM_TPI = 2, STREAM_DBI = 3 };
#define NO_STREAM 0xffff

enum {
	LF_MODIFIER = 0x1001,
	LF_POINTER = 0x1002,
	LF_FIELDLIST = 0x1203,
	LF_BITFIELD = 0x1205,
	LF_BCLASS = 0x1400,
	LF_VBCLASS = 0x1401,
	LF_IVBCLASS = 0x1402,
	LF_INDEX = 0x1404,
	LF_VFUNCTAB = 0x1409,
	LF_ENUMERATE = 0x1502,
	LF_ARRAY = 0x1503,
	LF_CLASS = 0x1504,
	LF_STRUCTURE = 0x1505,
	LF_UNION = 0x1506,
	LF_ENUM = 0x1507,
	LF_MEMBER = 0x150d,
	LF_STMEMBER = 0x150e,
	LF_METHOD = 0x150f,
	LF_NESTTYPE = 0x1510,
	LF_ONEMETHOD = 0x1511,
	LF_NESTTYPEEX = 0x1512,
	LF_INTERFACE = 0x1519,
	LF_CHAR = 0x8000,
	LF_SHORT = 0x8001,
	LF_USHORT = 0x8002,
	LF_LONG = 0x8003,
	LF_ULONG = 0x8004,
	LF_QUADWORD = 0x8009,
	LF_UQUADWORD = 0x800a,
	S_LDATA32 = 0x110c,
	S_GDATA32 = 0x110d,
	S_PUB32 = 0x110e
};

#define PROP_FORWARD 0x80

struct pdb {
	struct guid guid;
	uint32_t age;
	uint16_t machine;
	struct buf tpi, symbols, sections, omap; /* omap: from the original addresses, when there is one */
	uint32_t *type_off;                      /* of each record's kind word in tpi */
	uint32_t first_type, n_types;
};

/* ---- streams ---- */
static int read_info(struct pdb *p, const struct msf *m, struct err *e)
{
	struct buf b;
	struct rd d;
	int r;

	buf_init(&b);
	r = msf_read(m, STREAM_INFO, &b, e);
	if (!r) {
		d = rd_init(b.p, b.n);
		rd_copy(&d, 12, p->guid.b, 16);
		r = d.bad ? err_set(e, ERR_FORMAT, "PDB: the info stream is too short") : 0;
	}
	buf_free(&b);
	return r;
}

static int read_types(struct pdb *p, const struct msf *m, struct err *e)
{
	int r = msf_read(m, STREAM_TPI, &p->tpi, e);
	struct rd d = rd_init(p->tpi.p, p->tpi.n);
	uint32_t head, end;
	uint64_t at, stop;

	if (r)
		return r;
	head = rd_u32(&d, 4);
	p->first_type = rd_u32(&d, 8);
	end = rd_u32(&d, 12);
	stop = (uint64_t)head + rd_u32(&d, 16);
	if (d.bad || end < p->first_type || end - p->first_type > PDB_TYPES_MAX || stop > p->tpi.n || head < 20)
		return err_set(e, ERR_FORMAT, "PDB: the type stream's header is off");
	p->n_types = end - p->first_type;
	if (p->n_types > p->tpi.n / 4)
		return err_set(e, ERR_FORMAT, "PDB: %u types in %zu bytes", p->n_types, p->tpi.n);
	p->type_off = calloc(p->n_types + 1, sizeof(*p->type_off));
	if (!p->type_off)
		return err_set(e, ERR_NOMEM, "out of memory");
	at = head;
	for (uint32_t i = 0; i < p->n_types; i++) {
		uint16_t len = rd_u16(&d, at);

		if (d.bad || len < 2 || at + 2 + len > stop)
			return err_set(e, ERR_FORMAT, "PDB: type record 0x%x is cut off", p->first_type + i);
		p->type_off[i] = (uint32_t)at + 2;
		at += 2u + len;
	}
	return 0;
}

/* A stream that may be missing. */
static int read_optional(const struct msf *m, uint16_t stream, struct buf *out, struct err *e)
{
	int r = stream == NO_STREAM ? 0 : msf_read(m, stream, out, e);

	return r == ERR_NOTFOUND ? 0 : r;
}

static int read_debug(struct pdb *p, const struct msf *m, struct err *e)
{
	struct buf b;
	struct rd d;
	uint64_t dbg = 64;
	uint16_t symbols, omap, sections, original;
	uint32_t dbg_size;
	int r;

	buf_init(&b);
	r = msf_read(m, STREAM_DBI, &b, e);
	if (r) {
		buf_free(&b);
		return r;
	}
	d = rd_init(b.p, b.n);
	p->age = rd_u32(&d, 8);
	symbols = rd_u16(&d, 20);
	p->machine = rd_u16(&d, 58);
	for (uint32_t off = 24; off <= 52;
	     off += 4) /* six substreams stand before the debug header: modules ... type servers, edit and continue */
		if (off != 44 && off != 48)
			dbg += rd_u32(&d, off);
	dbg_size = rd_u32(&d, 48);
	if (d.bad || dbg + dbg_size > b.n) {
		buf_free(&b);
		return err_set(e, ERR_FORMAT, "PDB: the debug stream's header is off");
	}
	omap = dbg_size >= 10 ? rd_u16(&d, dbg + 8) : NO_STREAM;
	sections = dbg_size >= 12 ? rd_u16(&d, dbg + 10) : NO_STREAM;
	original = dbg_size >= 22 ? rd_u16(&d, dbg + 20) : NO_STREAM;
	buf_free(&b);
	if (omap != NO_STREAM && original != NO_STREAM)
		sections = original; /* symbols are in terms of the image before it was rearranged */
	else
		omap = NO_STREAM;
	r = read_optional(m, symbols, &p->symbols, e);
	if (!r)
		r = read_optional(m, sections, &p->sections, e);
	return r ? r : read_optional(m, omap, &p->omap, e);
}

int pdb_open(struct pdb **out, struct input *in, struct err *e)
{
	struct pdb *p;
	struct msf *m;
	int r = msf_open(&m, in, e);

	if (r)
		return r;
	p = calloc(1, sizeof(*p));
	r = p ? read_info(p, m, e) : err_set(e, ERR_NOMEM, "out of memory");
	if (!r)
		r = read_types(p, m, e);
	if (!r)
		r = read_debug(p, m, e);
	msf_close(m);
	if (r) {
		pdb_close(p);
		return r == ERR_NOTFOUND ? ERR_FORMAT : r;
	}
	*out = p;
	return 0;
}

void pdb_close(struct pdb *p)
{
	if (!p)
		return;
	buf_free(&p->tpi);
	buf_free(&p->symbols);
	buf_free(&p->sections);
	buf_free(&p->omap);
	free(p->type_off);
	free(p);
}

void pdb_identity(const struct pdb *p, struct guid *guid, uint32_t *age, uint16_t *machine)
{
	*guid = p->guid;
	*age = p->age;
	*machine = p->machine;
}

/* ---- type records ---- */
/* The record of a type: its kind, and a window on what follows. Kind 0: none. */
static uint16_t record(const struct pdb *p, uint32_t type, struct rd *body)
{
	struct rd d = rd_init(p->tpi.p, p->tpi.n);
	uint32_t off, len;

	*body = rd_init(NULL, 0);
	if (type < p->first_type || type - p->first_type >= p->n_types)
		return 0;
	off = p->type_off[type - p->first_type];
	len = rd_u16(&d, off - 2);
	*body = rd_sub(&d, off + 2, len - 2);
	return rd_u16(&d, off);
}

/* A number of the CodeView kind at *at; negative ones (enumerators) wrap. */
static uint64_t numeric(struct rd *d, uint32_t *at)
{
	uint16_t v = rd_u16(d, *at);

	*at += 2;
	switch (v) {
	case LF_CHAR:
		*at += 1;
		return (uint64_t)(int8_t)rd_u8(d, *at - 1);
	case LF_SHORT:
		*at += 2;
		return (uint64_t)(int16_t)rd_u16(d, *at - 2);
	case LF_USHORT:
		*at += 2;
		return rd_u16(d, *at - 2);
	case LF_LONG:
		*at += 4;
		return (uint64_t)(int32_t)rd_u32(d, *at - 4);
	case LF_ULONG:
		*at += 4;
		return rd_u32(d, *at - 4);
	case LF_QUADWORD:
	case LF_UQUADWORD:
		*at += 8;
		return rd_u64(d, *at - 8);
	default:
		if (v >= LF_CHAR)
			d->bad = true;
		return v;
	}
}

/* The NUL-terminated text at *at, inside the record. NULL (and bad) when it does not end there. */
static const char *text(struct rd *d, uint32_t *at)
{
	const uint8_t *s, *end;

	if (d->bad || *at >= d->len) {
		d->bad = true;
		return NULL;
	}
	s = d->p + *at;
	end = memchr(s, 0, d->len - *at);
	if (!end) {
		d->bad = true;
		return NULL;
	}
	*at += (uint32_t)(end - s) + 1;
	return (const char *)s;
}

bool pdb_next_type(const struct pdb *p, uint32_t *at, struct pdb_type *t)
{
	while (*at < p->n_types) {
		struct rd d;
		uint16_t kind = record(p, p->first_type + (*at)++, &d);
		uint32_t name = kind == LF_UNION ? 8 : 16;

		if ((kind != LF_STRUCTURE && kind != LF_CLASS && kind != LF_UNION && kind != LF_INTERFACE) ||
		    (rd_u16(&d, 2) & PROP_FORWARD))
			continue;
		t->fields = rd_u32(&d, 4);
		t->size = numeric(&d, &name);
		t->name = text(&d, &name);
		if (!d.bad)
			return true;
	}
	return false;
}

/* Steps over one entry of a field list that is no data member. False: an unknown one, the list can't be walked on. */
static bool skip_entry(struct rd *d, uint16_t kind, uint32_t *at)
{
	uint16_t how;

	switch (kind) {
	case LF_BCLASS:
		*at += 6;
		numeric(d, at);
		return !d->bad;
	case LF_VBCLASS:
	case LF_IVBCLASS:
		*at += 10;
		numeric(d, at);
		numeric(d, at);
		return !d->bad;
	case LF_VFUNCTAB:
		*at += 6;
		return true;
	case LF_ENUMERATE:
		*at += 2;
		numeric(d, at);
		return text(d, at) != NULL;
	case LF_STMEMBER:
	case LF_METHOD:
	case LF_NESTTYPE:
	case LF_NESTTYPEEX:
		*at += 6;
		return text(d, at) != NULL;
	case LF_ONEMETHOD:
		how = rd_u16(d, *at) >> 2 & 7;
		*at += how == 4 || how == 6 ? 10 : 6; /* introduces a virtual: its slot follows */
		return text(d, at) != NULL;
	default:
		return false;
	}
}

static void bit_field(const struct pdb *p, struct pdb_member *m)
{
	struct rd d;

	m->bit = m->bits = 0;
	if (record(p, m->type, &d) != LF_BITFIELD)
		return;
	m->type = rd_u32(&d, 0);
	m->bits = rd_u8(&d, 4);
	m->bit = rd_u8(&d, 5);
}

bool pdb_next_member(const struct pdb *p, struct pdb_member *m)
{
	struct rd d;

	if (record(p, m->list, &d) != LF_FIELDLIST)
		return false;
	while (m->at < d.len && !m->bad) {
		uint16_t kind;

		if (d.p[m->at] >= 0xf0) { /* padding: the low nibble says how far */
			m->at += d.p[m->at] & 15 ? d.p[m->at] & 15 : 1;
			continue;
		}
		kind = rd_u16(&d, m->at);
		m->at += 2;
		if (kind == LF_INDEX) {
			m->list = rd_u32(&d, m->at + 2);
			m->at = 0;
			if (d.bad || ++m->hops > PDB_FIELD_LISTS_MAX || record(p, m->list, &d) != LF_FIELDLIST)
				m->bad = true;
		} else if (kind == LF_MEMBER) {
			m->type = rd_u32(&d, m->at + 2);
			m->at += 6;
			m->off = numeric(&d, &m->at);
			m->name = text(&d, &m->at);
			m->bad = d.bad;
			bit_field(p, m);
			return !m->bad;
		} else if (!skip_entry(&d, kind, &m->at)) {
			m->bad = true;
		}
	}
	return false;
}

static uint64_t simple_size(uint32_t type)
{
	static const struct {
		uint8_t kind, size;
	} sizes[] = {{0x10, 1}, {0x20, 1}, {0x70, 1},  {0x7c, 1},  {0x68, 1},  {0x69, 1},  {0x30, 1},  {0x11, 2}, {0x21, 2},
		     {0x71, 2}, {0x7a, 2}, {0x72, 2},  {0x73, 2},  {0x31, 2},  {0x46, 2},  {0x12, 4},  {0x22, 4}, {0x74, 4},
		     {0x75, 4}, {0x7b, 4}, {0x08, 4},  {0x40, 4},  {0x32, 4},  {0x13, 8},  {0x23, 8},  {0x76, 8}, {0x77, 8},
		     {0x41, 8}, {0x33, 8}, {0x42, 10}, {0x14, 16}, {0x24, 16}, {0x78, 16}, {0x79, 16}, {0x43, 16}};
	uint32_t mode = type >> 8 & 15;

	if (mode == 4)
		return 4;
	if (mode == 6)
		return 8;
	for (size_t i = 0; mode == 0 && i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (sizes[i].kind == (type & 0xff))
			return sizes[i].size;
	return 0;
}

uint64_t pdb_type_size(const struct pdb *p, uint32_t type, bool *is_array, uint64_t *count)
{
	uint64_t array = 0, size = 0;

	*is_array = false;
	*count = 0;
	for (int depth = 0; depth < PDB_TYPE_DEPTH_MAX; depth++) {
		struct rd d;
		uint16_t kind = type < 0x1000 ? 0 : record(p, type, &d);
		uint32_t at = 8;

		if (kind == LF_ARRAY && !*is_array) {
			*is_array = true;
			array = numeric(&d, &at);
			type = rd_u32(&d, 0);
			continue;
		}
		if (kind == LF_MODIFIER || kind == LF_BITFIELD)
			type = rd_u32(&d, 0);
		else if (kind == LF_ENUM)
			type = rd_u32(&d, 4);
		else {
			if (type < 0x1000)
				size = simple_size(type);
			else if (kind == LF_POINTER)
				size = rd_u32(&d, 4) >> 13 & 0x3f;
			else if (kind == LF_ARRAY || kind == LF_UNION)
				size = numeric(&d, &at);
			else if (kind == LF_STRUCTURE || kind == LF_CLASS)
				at = 16, size = numeric(&d, &at);
			break;
		}
	}
	if (!*is_array)
		return size;
	*count = size ? array / size : 0;
	return array;
}

/* ---- symbols ---- */
/* Through the OMAP: the last entry at or below the address says where it went; 0: nowhere. */
static uint32_t mapped(const struct pdb *p, uint32_t rva)
{
	struct rd d = rd_init(p->omap.p, p->omap.n);
	size_t lo = 0, hi = p->omap.n / 8;
	uint32_t to;

	if (!hi)
		return rva;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (rd_u32(&d, mid * 8) <= rva)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return 0;
	to = rd_u32(&d, (lo - 1) * 8 + 4);
	return to ? to + (rva - rd_u32(&d, (lo - 1) * 8)) : 0;
}

static uint32_t address(const struct pdb *p, uint16_t segment, uint32_t offset)
{
	struct rd d = rd_init(p->sections.p, p->sections.n);

	if (segment == 0 || !rd_has(&d, (segment - 1ull) * 40, 40))
		return 0;
	return mapped(p, rd_u32(&d, (segment - 1ull) * 40 + 12) + offset);
}

bool pdb_next_symbol(const struct pdb *p, uint32_t *at, struct pdb_symbol *s)
{
	struct rd d = rd_init(p->symbols.p, p->symbols.n);

	while (rd_has(&d, *at, 4)) {
		uint32_t len = rd_u16(&d, *at), name = 12, kind = rd_u16(&d, *at + 2);
		struct rd body;

		if (len < 2 || !rd_has(&d, *at + 2ull, len))
			return false;
		body = rd_sub(&d, *at + 2ull, len);
		*at += 2 + len;
		if (kind != S_PUB32 && kind != S_GDATA32 && kind != S_LDATA32)
			continue;
		s->is_public = kind == S_PUB32;
		s->offset = rd_u32(&body, 6);
		s->segment = rd_u16(&body, 10);
		s->name = text(&body, &name);
		if (body.bad)
			continue;
		s->rva = address(p, s->segment, s->offset);
		return true;
	}
	return false;
}
