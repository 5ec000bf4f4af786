/* fuzz_recover.c - recover over hostile kernel structures: a small sound machine (silo table, three sessions with every kind of list, GUID table,
 * a registration, a consumer) is built, the input changes bytes of it, and everything is recovered into a counting sink.
 *
 * Input: u8 build, then changes {u8 object, u16 offset, u8 kind, bytes}: kind < 0xf0 overwrites kind % 16 + 1 bytes that follow; 0xf0 and above
 * puts the address of another object {u8, u16} there, which random bytes never hit. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fakekern.c" /* one object file a target */
#include "krecover.h"

#define SESSIONS 3u
#define BUFFERS  4u
#define SIZE     0x1000u
#define BUILDS   10u

static const uint32_t builds[BUILDS] = {7601, 9600, 14393, 17763, 18362, 19041, 20348, 22000, 6001, 3790};
static struct profile *prof[BUILDS];

struct rig {
	struct fk f;
	uint64_t object[64];
	size_t n;
};

static void load_profiles(void)
{
	struct profset *set = NULL;

	if (profset_new(&set, NULL) != 0)
		abort();
	for (size_t i = 0; i < BUILDS; i++) {
		prof[i] = malloc(sizeof *prof[i]);
		if (!prof[i] || profset_variant(set, builds[i], VM_X64, 0, prof[i], NULL) != 0)
			abort();
	}
	profset_free(set);
}

static uint64_t put(struct rig *m, size_t pages)
{
	uint64_t va = fk_pages(&m->f, pages);

	if (m->n < 64)
		m->object[m->n++] = va;
	return va;
}

static void maybe(struct rig *m, uint64_t obj, enum prof_field f, unsigned size, uint64_t v)
{
	if (prof_has(&m->f.k.prof, f))
		fk_field(&m->f, obj, f, size, v);
}

/* Vista's list: a head with the first node's address and a count, one link a node. */
static void single_list(struct fk *f, uint64_t head, const uint64_t *buf)
{
	uint32_t entry = prof_off(&f->k.prof, F_BUFHDR_GlobalEntry);

	fk_put(f, head, 8, BUFFERS);
	fk_put(f, head + 8, 8, (buf[0] + entry) | 1);
	for (unsigned i = 0; i < BUFFERS; i++)
		fk_put(f, buf[i] + entry, 8, i + 1 < BUFFERS ? buf[i + 1] + entry : 0);
}

static uint64_t session(struct rig *m, uint32_t id)
{
	struct fk *f = &m->f;
	uint64_t ctx = put(m, 1), node[BUFFERS], buf[BUFFERS];

	fk_field(f, ctx, F_CTX_LoggerId, 4, id);
	fk_field(f, ctx, F_CTX_BufferSize, 4, SIZE);
	fk_field(f, ctx, F_CTX_NumberOfBuffers, 4, BUFFERS);
	maybe(m, ctx, F_CTX_ClockType, 4, 1 + id % 3);
	fk_unicode(f, ctx, F_CTX_LoggerName, "fuzz");
	if (prof_has(&f->k.prof, F_CTX_Consumers)) /* not in Server 2003 */
		fk_ring(f, fk_va(f, ctx, F_CTX_Consumers), NULL, 0);
	for (unsigned i = 0; i < BUFFERS; i++) {
		buf[i] = put(m, 1);
		fk_buffer(f, buf[i], SIZE, (uint16_t)id, (uint16_t)(i & 1), 1000 + i * 50, 4);
		node[i] = buf[i] + 0x38;
		maybe(m, buf[i], F_BUFHDR_LoggerContext, 8, ctx);
	}
	if (f->k.prof.traits.single_list)
		single_list(f, fk_va(f, ctx, F_CTX_GlobalList), buf);
	else
		fk_ring(f, fk_va(f, ctx, F_CTX_GlobalList), node, BUFFERS);
	if (prof_has(&f->k.prof, F_CTX_BufferQueue) && prof_has(&f->k.prof, F_QUEUE_QueueEntry)) {
		fk_field(f, fk_va(f, ctx, F_CTX_BufferQueue), F_QUEUE_QueueEntry, 8, buf[1] + 0x20);
		fk_put(f, buf[1] + 0x20, 8, buf[2] + 0x20);
	}
	if (id == 2) {
		maybe(m, ctx, F_CTX_LoggerMode, 4, 0x4000400);
		maybe(m, ctx, F_CTX_CompressionTarget, 8, buf[3]);
		maybe(m, ctx, F_CTX_PlaceholderList, 8, buf[2] + 0x20);
	} else if (id == 1) {
		maybe(m, ctx, F_CTX_LoggerMode, 4, 0x40000);
		maybe(m, ctx, F_CTX_BatchedBufferList, 8, buf[0]);
	} else {
		maybe(m, ctx, F_CTX_CurrentBuffer, 8, buf[0] | 7);
		maybe(m, ctx, F_CTX_ScratchArray, 8, m->object[0] + 0x800);
	}
	return ctx;
}

static void guids(struct rig *m, uint64_t table)
{
	struct fk *f = &m->f;
	uint64_t page = put(m, 1), entry = page, reg = page + 0x800, node;

	for (unsigned i = 0; i < 64 * 3; i++)
		fk_ring(f, table + i / 3 * 0x38 + i % 3 * 0x10, NULL, 0);
	fk_put(f, fk_va(f, entry, F_GUIDENTRY_Guid), 8, UINT64_C(0x1122334455667788));
	fk_put(f, fk_va(f, entry, F_GUIDENTRY_EnableInfo), 4, 1);
	fk_put(f, fk_va(f, entry, F_GUIDENTRY_EnableInfo) + 6, 2, 2);
	node = fk_va(f, entry, F_GUIDENTRY_GuidList);
	fk_ring(f, table, &node, 1);
	node = fk_va(f, reg, F_REG_RegList);
	fk_ring(f, fk_va(f, entry, F_GUIDENTRY_RegListHead), &node, 1);
	fk_field(f, reg, F_REG_GuidEntry, 8, entry);
	maybe(m, reg, F_REG_Traits, 8, page + 0xc00);
	fk_put(f, page + 0xc1c, 8, UINT64_C(0x0062610009));
}

static void slots(struct rig *m, uint64_t state)
{
	struct fk *f = &m->f;
	const struct profile *p = &f->k.prof;
	uint64_t blocks;

	if (!prof_has(p, F_SILO_ProcessorBlocks) || p->traits.slots_inline)
		return;
	blocks = put(m, 1);
	fk_field(f, state, F_SILO_ProcessorBlocks, 8, blocks);
	for (unsigned cpu = 0; cpu < 2; cpu++)
		fk_field(f, blocks + cpu * prof_size(p, T_BLOCK), F_BLOCK_ProcessorBuffers, 8, blocks + 0x400 + cpu * 0x400);
	fk_put(f, blocks + 0x400, 8, m->object[6] | 15);
	fk_put(f, blocks + 0x800 + 8 * 40, 8, m->object[6] | 15);
}

static void build(struct rig *m, const struct profile *p)
{
	struct fk *f = &m->f;
	uint64_t globals, state, table, c, node, ctx;

	memset(m, 0, sizeof *m);
	fk_open_profile(f, p, 0x60000);
	globals = put(m, 1);
	state = put(m, 2);
	table = put(m, 1);
	fk_symbol(f, S_PsActiveProcessHead, globals);
	fk_ring(f, globals, NULL, 0);
	if (prof_has(p, F_SILO_EtwpGuidHashTable)) {
		fk_put(f, globals + 0x100, 8, state);
		fk_symbol(f, S_EtwpHostSiloState, globals + 0x100);
		maybe(m, state, F_SILO_MaxLoggers, 4, 64);
		maybe(m, state, F_SILO_EtwpLoggerContext, 8, table);
		if (prof_has(p, F_SILO_WmipLoggerContext))
			table = fk_va(f, state, F_SILO_WmipLoggerContext);
		guids(m, fk_va(f, state, F_SILO_EtwpGuidHashTable));
	} else {
		fk_symbol(f, S_WmipLoggerContext, table);
		fk_symbol(f, S_EtwpGuidHashTable, state);
		if (prof_has(p, F_GUIDENTRY_GuidList))
			guids(m, state);
	}
	for (unsigned i = 0; i < 64; i++)
		fk_put(f, table + i * 8, 8, p->traits.empty_slot);
	for (uint32_t id = 0; id < SESSIONS; id++)
		fk_put(f, table + id * 8, 8, session(m, id));
	slots(m, state);
	c = put(m, 1);
	if (!prof_has(p, F_CONSUMER_LoggerId))
		return;
	fk_field(f, c, F_CONSUMER_LoggerId, 2, 0);
	node = fk_va(f, c, F_CONSUMER_Links);
	if (kread_ptr_at(&f->k, table, &ctx) != 0)
		abort();
	fk_ring(f, fk_va(f, ctx, F_CTX_Consumers), &node, 1);
}

static void overwrite(struct rig *m, uint64_t at, const uint8_t *b, unsigned len)
{
	for (unsigned i = 0; i < len; i++) {
		uint8_t *t = fk_at(&m->f, 0, at + i);

		if (t)
			*t = b[i];
	}
}

static void change(struct rig *m, const uint8_t *p, size_t n)
{
	while (n >= 4) {
		uint64_t at = m->object[p[0] % m->n] + (p[1] | (unsigned)p[2] << 8) % 0x1000;
		unsigned kind = p[3], len = kind >= 0xf0 ? 3 : kind % 16 + 1;

		p += 4;
		n -= 4;
		if (n < len)
			return;
		if (kind >= 0xf0) {
			uint8_t b[8];

			put_le64(b, m->object[p[0] % m->n] + (p[1] | (unsigned)p[2] << 8));
			overwrite(m, at, b, sizeof b);
		} else {
			overwrite(m, at, p, len);
		}
		p += len;
		n -= len;
	}
}

static int count(void *ctx, const struct etw_session *s, struct err *e)
{
	size_t *n = ctx;

	(void)e;
	for (size_t i = 0; i < s->n_buffers; i++)
		*n += s->buffers[i].n_events;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig m;
	struct image im;
	struct recover_opts o = {.residual = true};
	struct etw_provider *providers;
	struct etw_consumer *consumers;
	size_t events = 0, n;
	bool closed;
	int rc;
	struct etw_sink sink = {.session = count, .ctx = &events};

	if (size < 1 || size > 4096)
		return 0;
	if (!prof[0])
		load_profiles();
	build(&m, prof[data[0] % BUILDS]);
	change(&m, data + 1, size - 1);
	fk_fresh(&m.f);
	memset(&im, 0, sizeof im);
	im.kernel = &m.f.k;
	im.sys = m.f.sys;
	notes_init(&im.notes);
	rc = krecover_run(&im, &o, NULL, 0, &sink, &n, NULL);
	if (rc != 0 && rc != ERR_NOTFOUND)
		abort();
	closed = prof_has(&m.f.k.prof, F_BUFHDR_LoggerContext); /* Server 2003: no event is read */
	if (closed ? events != 0 : size == 1 && events < SESSIONS * 3 * 4)
		abort(); /* the sound machine gives all of it */
	if (size == 1 && n != SESSIONS)
		abort();
	o.list_only = true;
	if (krecover_run(&im, &o, NULL, 0, &sink, &n, NULL) != rc)
		abort();
	if (krecover_consumers(&im, &consumers, &n, NULL) == 0)
		recover_consumers_free(consumers, n);
	if (krecover_providers(&im, &providers, &n, NULL) == 0)
		recover_providers_free(providers, n);
	notes_free(&im.notes);
	fk_close(&m.f);
	return 0;
}
