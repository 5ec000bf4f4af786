/* carvesize.c - how large the .etl files of a memory's orphans may become. All buffers of such a file have one size, and what a header claims costs nothing to claim: 250
 * pages that say 16 MiB each are a file of 4 GB with a megabyte of records in it. So each group may be written at the size its headers name as long as that is not much more
 * than its records, or there is room left in an allowance that all groups share, of about the image's size. Beyond it the buffers are as small as their records allow
 * (etw_session.lean), and where one large buffer would still make many small ones large, the group becomes several, by size. No record is left out. */
#include <stdlib.h>
#include <string.h>

#include "carvework.h"

#define PAD_MAX   8u /* times its records that a file may always take */
#define ALLOWANCE (UINT64_C(64) << 20)
#define CLASSES   8u /* of buffers by the size of their data: to 4 KiB, 16 KiB ... 16 MiB, and beyond */

static uint32_t used(const struct etw_buffer *b)
{
	return b->body_len ? ETW_BUFFER_HEADER_SIZE + b->body_len : 0;
}

/* Bytes of v[0, n) and a header buffer, each written at `size`, or where that is less, at the largest one's. */
static uint64_t file_bytes(const struct etw_buffer *v, size_t n, uint64_t size, uint64_t *data)
{
	uint64_t k = 0;

	*data = 0;
	for (size_t i = 0; i < n; i++) {
		if (!v[i].body_len || v[i].has_same_as)
			continue;
		k++;
		*data += used(&v[i]);
		if (used(&v[i]) > size)
			size = used(&v[i]);
	}
	return k ? (k + 1) * size : 0;
}

/* May the group be written with buffers of this size? Takes it off the allowance then. */
static bool afford(struct carve *c, const struct etw_session *s, uint64_t size)
{
	uint64_t data, rest, bytes = file_bytes(s->buffers, s->n_buffers, size, &data);
	uint64_t more = file_bytes(s->residual, s->n_residual, size, &rest);

	if (bytes + more <= PAD_MAX * (data + rest))
		return true;
	if (bytes + more > ALLOWANCE + phys_bytes(c->im->dump->phys) - c->padded)
		return false;
	c->padded += bytes + more;
	return true;
}

static unsigned class_of(const struct etw_buffer *b)
{
	unsigned k = 0;

	while (k + 1 < CLASSES && used(b) > CARVE_PAGE << 2 * k)
		k++;
	return k;
}

/* Puts the buffers of one class behind those of the classes before it, else in the order that they have; end[k]: where class k ends. */
static int sort(struct etw_buffer *v, size_t n, size_t end[CLASSES])
{
	struct etw_buffer *t = n ? malloc(n * sizeof(*t)) : NULL;
	size_t at = 0;

	if (n && !t)
		return ERR_NOMEM;
	for (unsigned k = 0; k < CLASSES; k++) {
		for (size_t i = 0; i < n; i++)
			if (class_of(&v[i]) == k)
				t[at++] = v[i];
		end[k] = at;
	}
	if (n)
		memcpy(v, t, n * sizeof(*t));
	free(t);
	return 0;
}

static int in_parts(struct carve_orphan *o, carve_orphan_fn *fn, void *ctx, struct err *e)
{
	size_t end[CLASSES] = {0}, end_rest[CLASSES] = {0}, at = 0, at_rest = 0;
	int rc = sort(o->s.buffers, o->s.n_buffers, end);

	if (rc == 0)
		rc = sort(o->s.residual, o->s.n_residual, end_rest);
	if (rc < 0)
		return err_set(e, rc, "out of memory");
	for (unsigned k = 0; k < CLASSES && rc >= 0; k++) {
		struct carve_orphan part = *o; /* its buffers are the group's */

		part.s.buffers = end[k] > at ? o->s.buffers + at : NULL;
		part.s.n_buffers = end[k] - at;
		part.s.residual = end_rest[k] > at_rest ? o->s.residual + at_rest : NULL;
		part.s.n_residual = end_rest[k] - at_rest;
		part.s.buffer_count = (uint32_t)part.s.n_buffers;
		if (part.s.n_buffers || part.s.n_residual)
			rc = fn(ctx, &part, e);
		at = end[k];
		at_rest = end_rest[k];
	}
	return rc;
}

int carve_emit(struct carve *c, struct carve_orphan *o, carve_orphan_fn *fn, void *ctx, struct err *e)
{
	if (afford(c, &o->s, o->s.buffer_size))
		return fn(ctx, o, e);
	o->s.lean = true;
	return afford(c, &o->s, CARVE_PAGE) ? fn(ctx, o, e) : in_parts(o, fn, ctx, e);
}
