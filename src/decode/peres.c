/* peres.c - see peres.h */
#include "peres.h"

#include <stdlib.h>
#include <string.h>

#include "rd.h"

#define SECTIONS_MAX   96u
#define OPTIONAL_MAX   4096u
#define ENTRIES_MAX    4096u /* of one directory */
#define SUBDIRECTORY   0x80000000u
#define RESOURCES      ((size_t)2) /* data directory */
#define PE32           0x10bu
#define PE32_PLUS      0x20bu
#define NAMED(e)       ((e)&SUBDIRECTORY)
#define WITHOUT_BIT(e) ((e) & ~SUBDIRECTORY)

struct section {
	uint32_t va, size, raw;
};

struct pe {
	struct input *in;
	struct section sec[SECTIONS_MAX];
	unsigned n_sec;
	uint32_t rsrc, rsrc_size; /* RVA */
	uint8_t *dir;
	struct rd r; /* the directory */
};

static int bad(struct err *e, const char *what)
{
	return err_set(e, ERR_FORMAT, "a PE file whose %s", what);
}

/* Bytes of the file at an RVA that its section holds from there on; 0: none. */
static uint32_t at_rva(const struct pe *pe, uint32_t rva, uint64_t *off)
{
	for (unsigned i = 0; i < pe->n_sec; i++) {
		const struct section *s = &pe->sec[i];

		if (rva >= s->va && rva - s->va < s->size) {
			*off = (uint64_t)s->raw + (rva - s->va);
			return s->size - (rva - s->va);
		}
	}
	return 0;
}

static int read_headers(struct pe *pe, struct err *e)
{
	uint8_t dos[64], nt[24], *opt, sec[40];
	uint32_t at, dirs, magic;
	uint16_t n_sec, opt_size;
	int rc = 0;

	if (input_read(pe->in, 0, dos, sizeof(dos), NULL) != (int64_t)sizeof(dos) || dos[0] != 'M' || dos[1] != 'Z')
		return err_set(e, ERR_NOTMINE, "no PE file");
	at = le32(dos + 0x3c);
	if (input_read(pe->in, at, nt, sizeof(nt), NULL) != (int64_t)sizeof(nt) || memcmp(nt, "PE\0\0", 4) != 0)
		return err_set(e, ERR_NOTMINE, "no PE file");
	n_sec = le16(nt + 6);
	opt_size = le16(nt + 20);
	if (n_sec > SECTIONS_MAX || opt_size > OPTIONAL_MAX || opt_size < 112)
		return bad(e, "headers are odd");
	opt = malloc(opt_size);
	if (!opt)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = input_read_all(pe->in, (uint64_t)at + 24, opt, opt_size, e);
	magic = rc == 0 ? le16(opt) : 0;
	dirs = magic == PE32 ? 96 : 112;
	if (rc == 0 && magic != PE32 && magic != PE32_PLUS)
		rc = bad(e, "optional header is odd");
	if (rc == 0 && le32(opt + dirs - 4) > RESOURCES && dirs + 8 * RESOURCES + 8 <= opt_size) {
		pe->rsrc = le32(opt + dirs + 8 * RESOURCES);
		pe->rsrc_size = le32(opt + dirs + 8 * RESOURCES + 4);
	}
	free(opt);
	for (unsigned i = 0; rc == 0 && i < n_sec; i++) {
		rc = input_read_all(pe->in, (uint64_t)at + 24 + opt_size + 40 * (uint64_t)i, sec, sizeof(sec), e);
		if (rc == 0)
			pe->sec[pe->n_sec++] = (struct section){le32(sec + 12), le32(sec + 16), le32(sec + 20)};
	}
	return rc;
}

static int read_piece(struct pe *pe, uint32_t rva, uint32_t size, uint8_t **out, struct err *e)
{
	uint64_t off = 0;
	uint32_t have = at_rva(pe, rva, &off);
	int rc;

	if (have < size)
		return bad(e, "resources leave their section");
	if (size > PERES_BYTES_MAX)
		return err_set(e, ERR_LIMIT, "a resource of %u bytes", size);
	*out = malloc(size ? size : 1);
	if (!*out)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = input_read_all(pe->in, off, *out, size, e);
	if (rc < 0) {
		free(*out);
		*out = NULL;
	}
	return rc;
}

/* Is the directory entry's name the one asked for? */
static bool is_type(struct pe *pe, uint32_t entry, const char *name, uint16_t id)
{
	uint32_t at = WITHOUT_BIT(entry);
	size_t n = name ? strlen(name) : 0;

	if (!NAMED(entry))
		return !name && entry == id;
	if (!name || rd_u16(&pe->r, at) != n || !rd_has(&pe->r, at, 2 + 2 * n))
		return false;
	for (size_t i = 0; i < n; i++)
		if (le16(pe->r.p + at + 2 + 2 * i) != (uint8_t)name[i])
			return false;
	return true;
}

/* Entry i of the directory at `at`: its name and where it leads. False: behind the last. */
static bool entry_of(struct pe *pe, uint32_t at, uint32_t i, uint32_t *name, uint32_t *to)
{
	uint32_t n = (uint32_t)rd_u16(&pe->r, (uint64_t)at + 12) + rd_u16(&pe->r, (uint64_t)at + 14);
	uint64_t p = (uint64_t)at + 16 + 8 * (uint64_t)i;

	if (i >= n || i >= ENTRIES_MAX || !rd_has(&pe->r, p, 8))
		return false;
	*name = rd_u32(&pe->r, p);
	*to = rd_u32(&pe->r, p + 4);
	return true;
}

struct visit {
	int (*fn)(void *ctx, const uint8_t *p, size_t n, struct err *e);
	void *ctx;
	unsigned n;
};

static int one(struct pe *pe, struct visit *v, uint32_t leaf, struct err *e)
{
	uint8_t *p;
	uint32_t size = rd_u32(&pe->r, (uint64_t)leaf + 4);
	int rc = read_piece(pe, rd_u32(&pe->r, leaf), size, &p, e);

	if (rc < 0)
		return rc;
	rc = v->fn(v->ctx, p, size, e);
	free(p);
	return rc;
}

/* Under a type: names, and under each its languages. */
static int each_of_type(struct pe *pe, struct visit *v, uint32_t dir, struct err *e)
{
	uint32_t name, sub, leaf;
	int rc = 0;

	for (uint32_t i = 0; rc >= 0 && entry_of(pe, dir, i, &name, &sub); i++)
		for (uint32_t k = 0; rc >= 0 && NAMED(sub) && entry_of(pe, WITHOUT_BIT(sub), k, &name, &leaf); k++)
			if (!NAMED(leaf) && v->n++ < PERES_MAX)
				rc = one(pe, v, leaf, e);
	return rc;
}

int peres_each(struct input *in, const char *name, uint16_t id, int (*fn)(void *ctx, const uint8_t *p, size_t n, struct err *e), void *ctx,
	       struct err *e)
{
	struct pe *pe = calloc(1, sizeof(*pe));
	struct visit v = {.fn = fn, .ctx = ctx};
	uint32_t entry, to;
	int rc;

	if (!pe)
		return err_set(e, ERR_NOMEM, "out of memory");
	pe->in = in;
	rc = read_headers(pe, e);
	if (rc == 0 && pe->rsrc && pe->rsrc_size)
		rc = read_piece(pe, pe->rsrc, pe->rsrc_size, &pe->dir, e);
	pe->r = rd_init(pe->dir, rc == 0 && pe->dir ? pe->rsrc_size : 0);
	for (uint32_t i = 0; rc >= 0 && entry_of(pe, 0, i, &entry, &to); i++)
		if (NAMED(to) && is_type(pe, entry, name, id))
			rc = each_of_type(pe, &v, WITHOUT_BIT(to), e);
	free(pe->dir);
	free(pe);
	return rc < 0 ? rc : (int)v.n;
}
