/* flatkdump.c - makedumpfile's flattened form, which QEMU writes by default: pieces with their offsets in the file that they make up. Rearranged by
 * an index; the container in it (kdump) is opened inside. Facts: docs/formats/kdump.md. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "dumpfmt.h"
#include "rd.h"

#define HEADER     4096u
#define PIECES_MAX (1u << 26)
#define LOOK_BACK  16 /* pieces that begin before a place and may cover it */

struct piece {
	uint64_t to, from, len; /* in the file that is made up; in the flattened one */
	size_t order;
};

struct gap { /* that no piece covers */
	uint64_t from, to;
};

struct flat {
	struct input *in;
	struct piece *v; /* by `to`; of pieces that cover each other the later one counts */
	size_t n, cap;
	struct gap *gaps; /* ascending */
	size_t n_gaps, cap_gaps;
	uint64_t size;
};

static bool probe(const uint8_t *head, size_t n)
{
	return n >= 32 && memcmp(head, "makedumpfile\0\0\0\0", 16) == 0 && be64(head + 16) == 1 && be64(head + 24) == 1;
}

static int by_place(const void *x, const void *y)
{
	const struct piece *a = x, *b = y;

	if (a->to != b->to)
		return a->to < b->to ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static int index_pieces(struct dump *d, struct flat *f, struct err *e)
{
	uint64_t at = HEADER, size = input_size(f->in);

	for (;;) {
		uint8_t h[16];
		void *arr = f->v;
		uint64_t to, len;

		if (input_read_all(f->in, at, h, 16, NULL) < 0) {
			notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, at, 0), "flattened kdump: ends without its end mark");
			break;
		}
		to = be64(h);
		len = be64(h + 8);
		if (to == UINT64_MAX)
			break;
		if (to >> 52 || len == 0 || len >> 52) {
			notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, at, size - at), "flattened kdump: no piece at file offset %llu",
				  (unsigned long long)at);
			break;
		}
		if (f->n >= PIECES_MAX)
			return err_set(e, ERR_LIMIT, "flattened kdump: more than %u pieces", PIECES_MAX);
		if (arr_reserve(&arr, &f->cap, f->n, sizeof(*f->v)) < 0)
			return err_set(e, ERR_NOMEM, "out of memory");
		f->v = arr;
		at += 16;
		f->v[f->n] = (struct piece){to, at, len < size - at ? len : size - at, f->n};
		if (to + f->v[f->n].len > f->size)
			f->size = to + f->v[f->n].len;
		f->n++;
		if (len > size - at) {
			notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, at, 0), "flattened kdump: the last piece is cut");
			break;
		}
		at += len;
	}
	return 0;
}

static int find_gaps(struct flat *f, struct err *e)
{
	uint64_t covered = 0;

	for (size_t i = 0; i < f->n; i++) {
		const struct piece *p = &f->v[i];
		void *arr = f->gaps;

		if (p->to > covered) {
			if (arr_reserve(&arr, &f->cap_gaps, f->n_gaps, sizeof(*f->gaps)) < 0)
				return err_set(e, ERR_NOMEM, "out of memory");
			f->gaps = arr;
			f->gaps[f->n_gaps++] = (struct gap){covered, p->to};
		}
		if (p->to + p->len > covered)
			covered = p->to + p->len;
	}
	return 0;
}

static uint64_t flat_extent(void *ctx, uint64_t off, uint64_t len, bool *there)
{
	const struct flat *f = ctx;
	size_t lo = 0, hi = f->n_gaps;
	uint64_t until;

	while (lo < hi) { /* the first gap that ends behind off */
		size_t mid = lo + (hi - lo) / 2;

		if (f->gaps[mid].to <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	*there = lo == f->n_gaps || off < f->gaps[lo].from;
	if (lo == f->n_gaps)
		return len;
	until = *there ? f->gaps[lo].from : f->gaps[lo].to;
	return until - off < len ? until - off : len;
}

/* The piece that says what stands at `off`, and how far; NULL: none does until *until. */
static const struct piece *piece_at(const struct flat *f, uint64_t off, uint64_t *until)
{
	const struct piece *best = NULL;
	size_t lo = 0, hi = f->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (f->v[mid].to <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	*until = lo < f->n ? f->v[lo].to : f->size;
	for (size_t i = lo, k = 0; i > 0 && k < LOOK_BACK; i--, k++) {
		const struct piece *p = &f->v[i - 1];

		if (off - p->to < p->len && (!best || p->order > best->order))
			best = p;
	}
	if (best && best->to + best->len < *until)
		*until = best->to + best->len;
	return best;
}

/* A place that no piece covers reads as zeros, as makedumpfile -R leaves it: writers leave out what pads their headers. Where zeros would say
 * something, containers ask input_extent() first. */
static int64_t flat_read(void *ctx, uint64_t off, void *buf, size_t len, struct err *e)
{
	struct flat *f = ctx;
	size_t done = 0;

	while (done < len && off + done < f->size) {
		uint64_t until;
		const struct piece *p = piece_at(f, off + done, &until);
		size_t n = until - (off + done) < len - done ? (size_t)(until - (off + done)) : len - done;

		if (p) {
			int rc = input_read_all(f->in, p->from + (off + done - p->to), (uint8_t *)buf + done, n, e);

			if (rc < 0)
				return rc;
		} else {
			bool there;

			flat_extent(f, off + done, 1, &there);
			if (there) /* beneath more pieces than are looked at */
				return done ? (int64_t)done
					    : err_set(e, ERR_FAULT, "flattened kdump: no piece found for offset %llu",
						      (unsigned long long)off);
			memset((uint8_t *)buf + done, 0, n);
		}
		done += n;
	}
	return (int64_t)done;
}

static void flat_close(void *ctx)
{
	struct flat *f = ctx;

	free(f->v);
	free(f->gaps);
	free(f);
}

static const struct input_ops flat_ops = {flat_read, flat_close};

/* makedumpfile and QEMU flatten their own two forms. Anything else would be a file of whatever size the pieces claim, mostly holes. */
static int check_inside(struct input *whole, struct err *e)
{
	static const char *const heads[] = {"KDUMP   ", "DISKDUMP", "\177ELF"};
	uint8_t b[8] = {0};
	int64_t n = input_read(whole, 0, b, sizeof(b), e);

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		if (n == sizeof(b) && memcmp(b, heads[i], strlen(heads[i])) == 0)
			return 0;
	return n < 0 ? (int)n : err_set(e, ERR_UNSUPPORTED, "flattened: neither a kdump nor an ELF core is in it");
}

static int open_flat(struct dump *d, struct err *e)
{
	struct flat *f = calloc(1, sizeof(*f));
	struct input *whole = NULL;
	int rc;

	if (!f)
		return err_set(e, ERR_NOMEM, "out of memory");
	f->in = d->in;
	rc = index_pieces(d, f, e);
	if (rc == 0 && !f->n)
		rc = err_set(e, ERR_TRUNC, "flattened kdump: nothing in it");
	if (f->n)
		qsort(f->v, f->n, sizeof(*f->v), by_place);
	if (rc == 0)
		rc = find_gaps(f, e);
	if (rc == 0 && f->n_gaps && f->gaps[0].from == 0)
		rc = err_set(e, ERR_TRUNC, "flattened kdump: the piece with the header is lost");
	if (rc == 0)
		rc = input_new(&whole, &flat_ops, f, f->size, input_name(d->in), e);
	if (rc < 0) {
		flat_close(f);
		return rc;
	}
	input_set_extent(whole, flat_extent);
	rc = check_inside(whole, e);
	if (rc < 0) {
		input_close(whole);
		return rc;
	}
	return dump_open_inside(d, whole, e);
}

const struct dumpfmt dumpfmt_flatkdump = {"kdump-flat", probe, open_flat, NULL};
