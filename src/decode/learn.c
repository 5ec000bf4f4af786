/* learn.c - see learn.h */
#include "learn.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "manifest.h"
#include "rd.h"

/* KernelTraceControl: the class whose events carry definitions. */
static const struct guid trace_control = {{0xd1, 0xf6, 0xcc, 0xbb, 0xc1, 0x6c, 0xff, 0x48, 0x80, 0xc4, 0x83, 0x94, 0x82, 0xe3, 0x76, 0x71}};

enum { OP_EVENT_INFO = 32, OP_MAP_INFO = 33 };

#define ENVELOPE 8u
#define MAGIC    0x5bu

struct pending { /* a manifest in pieces, which come in order */
	struct guid provider;
	uint32_t pid, tid;
	uint16_t pieces, next;
	struct buf xml;
};

struct kept { /* a definition that waits for the maps */
	uint32_t at, n;
};

struct learn {
	struct schemas *s;
	struct pending pending[LEARN_PENDING_MAX];
	unsigned n_pending;
	size_t pending_bytes;
	uint64_t *seen; /* hashes of manifests already read: each process brings its provider's anew */
	size_t n_seen, cap_seen;
	struct buf infos; /* TRACE_EVENT_INFOs, one behind the other */
	struct kept *kept;
	size_t n_kept, cap_kept;
};

struct learn *learn_new(struct schemas *s)
{
	struct learn *l = calloc(1, sizeof(*l));

	if (l)
		l->s = s;
	return l;
}

void learn_free(struct learn *l)
{
	if (!l)
		return;
	for (unsigned i = 0; i < l->n_pending; i++)
		buf_free(&l->pending[i].xml);
	buf_free(&l->infos);
	free(l->kept);
	free(l->seen);
	free(l);
}

/* ---- EventSource -------------------------------------------------------------------------------------------------------------------------- */

static bool seen_before(struct learn *l, const struct pending *p)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (int i = 0; i < 16; i++)
		h = (h ^ p->provider.b[i]) * UINT64_C(0x100000001b3);
	for (size_t i = 0; i < p->xml.n; i++)
		h = (h ^ p->xml.p[i]) * UINT64_C(0x100000001b3);
	for (size_t i = 0; i < l->n_seen; i++)
		if (l->seen[i] == h)
			return true;
	if (arr_reserve((void **)&l->seen, &l->cap_seen, l->n_seen, sizeof(*l->seen)) == 0)
		l->seen[l->n_seen++] = h;
	return false;
}

static void drop(struct learn *l, struct pending *p)
{
	l->pending_bytes -= p->xml.n;
	buf_free(&p->xml);
	*p = l->pending[--l->n_pending];
}

static struct pending *pending_of(struct learn *l, const struct event *ev)
{
	for (unsigned i = 0; i < l->n_pending; i++) {
		struct pending *p = &l->pending[i];

		if (p->pid == ev->pid && p->tid == ev->tid && guid_equal(&p->provider, &ev->provider))
			return p;
	}
	return NULL;
}

static struct pending *begin(struct learn *l, const struct event *ev, uint16_t pieces)
{
	struct pending *p = pending_of(l, ev);

	if (p)
		drop(l, p);
	if (l->n_pending >= LEARN_PENDING_MAX)
		drop(l, &l->pending[0]);
	p = &l->pending[l->n_pending++];
	memset(p, 0, sizeof(*p));
	p->provider = ev->provider;
	p->pid = ev->pid;
	p->tid = ev->tid;
	p->pieces = pieces;
	return p;
}

static bool is_envelope(const struct event *ev)
{
	return ev->kind == EVENT_MANIFEST && ev->id == EVENTSOURCE_MANIFEST && ev->payload.n > ENVELOPE && ev->payload.p[0] == 1 &&
	       ev->payload.p[3] == MAGIC && le16(ev->payload.p + 6) < le16(ev->payload.p + 4);
}

static int learn_piece(struct learn *l, const struct event *ev)
{
	uint16_t pieces = le16(ev->payload.p + 4), number = le16(ev->payload.p + 6);
	struct pending *p = number == 0 ? begin(l, ev, pieces) : pending_of(l, ev);
	size_t n = ev->payload.n - ENVELOPE;
	int rc = 0;

	if (!p)
		return 0;
	if (p->pieces != pieces || p->next != number || n > LEARN_MANIFEST_BYTES - p->xml.n || n > LEARN_BYTES_MAX - l->pending_bytes) {
		drop(l, p);
		return 0;
	}
	buf_put(&p->xml, ev->payload.p + ENVELOPE, n);
	if (p->xml.failed)
		return ERR_NOMEM;
	l->pending_bytes += n;
	if (++p->next < pieces)
		return 0;
	if (!seen_before(l, p))
		rc = manifest_read(l->s, p->xml.p, p->xml.n, SCHEMA_EVENTSOURCE, &p->provider, NULL, NULL);
	drop(l, p);
	return rc;
}

static struct dfield field_u(const char *name, uint64_t u)
{
	struct dfield f = {.name = name, .v = {.type = DV_UINT}};

	f.v.u = u;
	return f;
}

bool learn_envelope(struct event *ev, struct arena *a)
{
	struct dfield *f = is_envelope(ev) ? arena_alloc(a, 6 * sizeof(*f)) : NULL;
	const uint8_t *p = ev->payload.p;

	if (!f)
		return false;
	f[0] = field_u("Format", p[0]);
	f[1] = field_u("MajorVersion", p[1]);
	f[2] = field_u("MinorVersion", p[2]);
	f[3] = field_u("TotalChunks", le16(p + 4));
	f[4] = field_u("ChunkNumber", le16(p + 6));
	f[5].name = "Manifest";
	f[5].v = dv_text(a, (const char *)p + ENVELOPE, ev->payload.n - ENVELOPE);
	ev->data.type = DV_STRUCT;
	ev->data.n = 6;
	ev->data.fields = f;
	ev->reason = NULL;
	ev->name = "ManifestData";
	return true;
}

/* ---- KernelTraceControl ------------------------------------------------------------------------------------------------------------------- */

/* Maps are taken at once; definitions wait for the end of the pass: they refer to maps by name. */
static int learn_control(struct learn *l, const struct event *ev)
{
	int rc;

	if (ev->opcode == OP_MAP_INFO) {
		rc = schemas_add_map_info(l->s, ev->payload.p, ev->payload.n, NULL);
		return rc == ERR_NOMEM ? rc : 0;
	}
	if (ev->opcode != OP_EVENT_INFO || ev->payload.n > LEARN_BYTES_MAX - l->infos.n)
		return 0;
	if (arr_reserve((void **)&l->kept, &l->cap_kept, l->n_kept, sizeof(*l->kept)) < 0)
		return ERR_NOMEM;
	l->kept[l->n_kept++] = (struct kept){(uint32_t)l->infos.n, ev->payload.n};
	buf_put(&l->infos, ev->payload.p, ev->payload.n);
	return l->infos.failed ? ERR_NOMEM : 0;
}

static int take_kept(struct learn *l)
{
	int rc = 0;

	for (size_t i = 0; i < l->n_kept && rc != ERR_NOMEM; i++)
		rc = schemas_add_event_info(l->s, l->infos.p + l->kept[i].at, l->kept[i].n, NULL);
	l->n_kept = 0;
	buf_clear(&l->infos);
	return rc == ERR_NOMEM ? rc : 0;
}

int learn_event(struct learn *l, const struct event *ev)
{
	if (ev->kind == EVENT_MOF && ev->has_opcode && guid_equal(&ev->provider, &trace_control))
		return learn_control(l, ev) == ERR_NOMEM ? ERR_NOMEM : 0;
	if (is_envelope(ev))
		return learn_piece(l, ev) == ERR_NOMEM ? ERR_NOMEM : 0;
	return 0;
}

int learn_end(struct learn *l)
{
	while (l->n_pending)
		drop(l, &l->pending[l->n_pending - 1]);
	return take_kept(l);
}
