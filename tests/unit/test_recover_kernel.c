/* Sessions out of kernel memory: a small machine with real page tables, one damage at a time. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fakekern.h"
#include "kbuffers.h"
#include "krecover.h"
#include "ksession.h"
#include "kview.h"
#include "provider_names.h"

#define ID     7u
#define SIZE   0x2000u
#define N      6u
#define GLOBAL 0x38u
#define LINK   0x20u
#define TS     UINT64_C(5000000)

TestSuite(recover_kernel, .timeout = 60);

struct world {
	struct fk f;
	struct kview *v;
	uint64_t ctx, buf[N];
	struct etw_session s;
	uint64_t budget;
	struct recover_opts o;
};

/* One session with N buffers of 3 records each, all in GlobalList. */
static bool world_open(struct world *w, uint32_t build)
{
	uint64_t node[N];
	struct err e;

	memset(w, 0, sizeof *w);
	if (!fk_open(&w->f, build, 4u << 20))
		return false;
	w->budget = UINT64_MAX;
	w->ctx = fk_pages(&w->f, 2);
	fk_field(&w->f, w->ctx, F_CTX_LoggerId, 4, ID);
	fk_field(&w->f, w->ctx, F_CTX_BufferSize, 4, SIZE);
	fk_field(&w->f, w->ctx, F_CTX_NumberOfBuffers, 4, N);
	fk_field(&w->f, w->ctx, F_CTX_ClockType, 4, 1);
	fk_field(&w->f, w->ctx, F_CTX_StartTime, 8, UINT64_C(133500000000000000));
	fk_field(&w->f, fk_va(&w->f, w->ctx, F_CTX_ReferenceTime), F_REFCLOCK_StartTime, 8, UINT64_C(133500000000000000));
	fk_field(&w->f, fk_va(&w->f, w->ctx, F_CTX_ReferenceTime), F_REFCLOCK_StartPerfClock, 8, 1000000);
	fk_unicode(&w->f, w->ctx, F_CTX_LoggerName, "Test-Session");
	fk_ring(&w->f, fk_va(&w->f, w->ctx, F_CTX_Consumers), NULL, 0);
	for (unsigned i = 0; i < N; i++) {
		w->buf[i] = fk_pages(&w->f, SIZE / 0x1000);
		fk_buffer(&w->f, w->buf[i], SIZE, ID, 0, TS + i * 100, 3);
		node[i] = w->buf[i] + GLOBAL;
	}
	fk_ring(&w->f, fk_va(&w->f, w->ctx, F_CTX_GlobalList), node, N);
	fk_symbol(&w->f, S_PsActiveProcessHead, fk_pages(&w->f, 1));
	fk_ring(&w->f, w->f.k.base + w->f.k.prof.symbol[S_PsActiveProcessHead], NULL, 0);
	cr_assert_eq(kview_open(&w->v, &w->f.k, &w->f.sys, &w->f.notes, &e), 0);
	return true;
}

static void world_load(struct world *w)
{
	struct kref r = {.id = ID, .va = w->ctx, .found_by = ETW_FOUND_TABLE};

	etw_session_clear(&w->s);
	fk_fresh(&w->f);
	cr_assert_eq(ksession_load(w->v, &r, &w->o, &w->budget, &w->s), 0);
}

static void world_close(struct world *w)
{
	etw_session_clear(&w->s);
	kview_close(w->v);
	fk_close(&w->f);
}

static const struct etw_buffer *at(const struct world *w, unsigned i)
{
	for (size_t j = 0; j < w->s.n_buffers; j++)
		if (w->s.buffers[j].va == w->buf[i])
			return &w->s.buffers[j];
	return NULL;
}

static size_t n_notes(const struct world *w, enum note_what what)
{
	size_t n = 0;

	for (size_t i = 0; i < w->f.notes.n; i++)
		n += w->f.notes.v[i].what == what;
	return n;
}

static void all_there(const struct world *w)
{
	cr_assert_eq(w->s.n_buffers, N);
	for (unsigned i = 0; i < N; i++) {
		cr_assert_not_null(at(w, i));
		cr_assert_eq(at(w, i)->n_events, 3);
	}
}

#define OPEN(w, build)                                                                                                                     \
	if (!world_open(&(w), build))                                                                                                      \
	cr_skip_test("no profile of build %u", (unsigned)(build))

Test(recover_kernel, every_generation)
{
	static const uint32_t builds[] = {7601, 9600, 14393, 17763, 18362, 19041, 20348, 22000};

	for (size_t b = 0; b < sizeof builds / sizeof builds[0]; b++) {
		struct world w;

		OPEN(w, builds[b]);
		world_load(&w);
		all_there(&w);
		cr_assert_str_eq(w.s.name, "Test-Session");
		cr_assert_eq(w.s.clock, ETW_CLOCK_QPC);
		cr_assert_eq(w.s.reference_ts, 1000000);
		cr_assert_eq(w.s.buffer_count, N);
		cr_assert_eq(w.f.notes.n, 0, "%u: %s", builds[b], w.f.notes.n ? w.f.notes.v[0].detail : "");
		for (unsigned i = 0; i < N; i++) {
			cr_assert_eq(at(&w, i)->from, ETW_FROM_GLOBAL_LIST);
			cr_assert_eq(at(&w, i)->first_ts, TS + i * 100);
			cr_assert(at(&w, i)->has_pa);
		}
		world_close(&w);
	}
}

/* Each damage of the ring alone costs nothing, and is named once. */
Test(recover_kernel, ring_damage)
{
	enum { FLINK_NOWHERE, FLINK_SKIPS, LOOP, WRONG_BLINK, HEAD_FLINK, HEAD_BLINK, HEAD_SKIPS, KINDS };

	for (unsigned kind = 0; kind < KINDS; kind++) {
		struct world w;
		uint64_t head;

		OPEN(w, 19041);
		head = fk_va(&w.f, w.ctx, F_CTX_GlobalList);
		switch (kind) {
		case FLINK_NOWHERE:
			fk_put(&w.f, w.buf[2] + GLOBAL, 8, UINT64_C(0xffffdeaddeadbee8));
			break;
		case FLINK_SKIPS:
			fk_put(&w.f, w.buf[1] + GLOBAL, 8, w.buf[4] + GLOBAL);
			break;
		case LOOP:
			fk_put(&w.f, w.buf[4] + GLOBAL, 8, w.buf[1] + GLOBAL);
			break;
		case WRONG_BLINK:
			fk_put(&w.f, w.buf[3] + GLOBAL + 8, 8, UINT64_C(0x1234));
			break;
		case HEAD_FLINK:
			fk_put(&w.f, head, 8, UINT64_C(0x4141414141414141));
			break;
		case HEAD_BLINK:
			fk_put(&w.f, head + 8, 8, UINT64_C(0xffffdead00000038));
			break;
		case HEAD_SKIPS:
			fk_put(&w.f, head, 8, w.buf[2] + GLOBAL);
			break;
		}
		world_load(&w);
		all_there(&w);
		cr_assert_eq(n_notes(&w, NOTE_LIST_BROKEN), 1, "kind %u: %zu", kind, n_notes(&w, NOTE_LIST_BROKEN));
		cr_assert_eq(w.f.notes.n, 1, "kind %u: %s", kind, w.f.notes.v[0].detail);
		world_close(&w);
	}
}

Test(recover_kernel, a_missing_page_costs_one_buffer)
{
	struct world w;

	OPEN(w, 19041);
	fk_unmap(&w.f, w.buf[3]);
	world_load(&w);
	cr_assert_eq(w.s.n_buffers, N - 1);
	cr_assert_null(at(&w, 3));
	cr_assert_eq(w.s.buffer_count, N);
	cr_assert_eq(w.f.notes.n, 1);
	cr_assert_eq(w.f.notes.v[0].what, NOTE_PAGE_MISSING);
	cr_assert_eq(w.f.notes.v[0].va, w.buf[3]);
	cr_assert_eq(w.f.notes.v[0].session, ID);
	world_close(&w);
}

/* Two missing pages: what lies between them is an island that only other ways reach. */
Test(recover_kernel, an_island_between_two_missing_pages)
{
	struct world w;

	OPEN(w, 19041);
	fk_field(&w.f, fk_va(&w.f, w.ctx, F_CTX_BufferQueue), F_QUEUE_QueueEntry, 8, w.buf[2] + LINK);
	fk_field(&w.f, fk_va(&w.f, w.ctx, F_CTX_BufferQueue), F_QUEUE_QueueTail, 8, w.buf[2] + LINK);
	fk_unmap(&w.f, w.buf[1]);
	fk_unmap(&w.f, w.buf[4]);
	world_load(&w);
	cr_assert_eq(w.s.n_buffers, N - 2);
	cr_assert_eq(at(&w, 2)->from, ETW_FROM_GLOBAL_LIST | ETW_FROM_BUFFER_QUEUE);
	cr_assert_eq(at(&w, 3)->from, ETW_FROM_GLOBAL_LIST);
	cr_assert_eq(n_notes(&w, NOTE_PAGE_MISSING), 2);
	cr_assert_eq(w.f.notes.n, 2);
	world_close(&w);
}

Test(recover_kernel, separate_nodes)
{
	struct world w;
	uint64_t node[N], page;

	OPEN(w, 22000);
	page = fk_pages(&w.f, 1);
	for (unsigned i = 0; i < N; i++) {
		node[i] = page + 0x100 + i * 0x20;
		fk_put(&w.f, node[i] + 0x10, 8, w.buf[i]);
		fk_put(&w.f, w.buf[i] + GLOBAL, 8, 0);
		fk_put(&w.f, w.buf[i] + GLOBAL + 8, 8, 0);
	}
	fk_ring(&w.f, fk_va(&w.f, w.ctx, F_CTX_GlobalList), node, N);
	world_load(&w);
	all_there(&w);
	cr_assert_eq(w.f.notes.n, 0);
	world_close(&w);
}

/* Every list that can hold a buffer, each with one that the ring does not hold. */
Test(recover_kernel, buffers_that_one_list_alone_reaches)
{
	struct world w;
	uint64_t node[1], array;

	OPEN(w, 19041);
	node[0] = w.buf[0] + GLOBAL;
	fk_ring(&w.f, fk_va(&w.f, w.ctx, F_CTX_GlobalList), node, 1);
	for (unsigned i = 1; i < N; i++) {
		fk_put(&w.f, w.buf[i] + GLOBAL, 8, 0);
		fk_put(&w.f, w.buf[i] + GLOBAL + 8, 8, 0);
	}
	fk_field(&w.f, fk_va(&w.f, w.ctx, F_CTX_BufferQueue), F_QUEUE_QueueTail, 8, w.buf[1] + LINK);
	fk_field(&w.f, fk_va(&w.f, w.ctx, F_CTX_OverflowQueue), F_QUEUE_QueueEntry, 8, w.buf[2] + LINK);
	fk_field(&w.f, w.ctx, F_CTX_CurrentBuffer, 8, w.buf[3] | 9);
	fk_put(&w.f, w.buf[3] + LINK, 8, w.buf[4]); /* dirty, by its first byte */
	array = fk_pages(&w.f, 1);
	fk_field(&w.f, w.ctx, F_CTX_ScratchArray, 8, array);
	fk_put(&w.f, array + 8, 8, w.buf[5]);
	world_load(&w);
	all_there(&w);
	cr_assert_eq(at(&w, 1)->from, ETW_FROM_BUFFER_QUEUE);
	cr_assert_eq(at(&w, 2)->from, ETW_FROM_OVERFLOW_QUEUE);
	cr_assert_eq(at(&w, 3)->from, ETW_FROM_CURRENT);
	cr_assert_eq(at(&w, 4)->from, ETW_FROM_DIRTY);
	cr_assert_eq(at(&w, 5)->from, ETW_FROM_SCRATCH);
	cr_assert_eq(w.f.notes.n, 0);
	world_close(&w);
}

Test(recover_kernel, batched_list_only_in_its_mode)
{
	struct world w;

	OPEN(w, 19041);
	fk_field(&w.f, w.ctx, F_CTX_LoggerMode, 4, 0x40000);
	fk_field(&w.f, w.ctx, F_CTX_BatchedBufferList, 8, w.buf[1]);
	fk_put(&w.f, w.buf[1] + LINK, 8, w.buf[2] + LINK);
	world_load(&w);
	all_there(&w);
	cr_assert_eq(at(&w, 1)->from, ETW_FROM_GLOBAL_LIST | ETW_FROM_BATCHED);
	cr_assert_eq(at(&w, 2)->from, ETW_FROM_GLOBAL_LIST | ETW_FROM_BATCHED);
	world_close(&w);
}

Test(recover_kernel, context_without_its_tail)
{
	struct world w;
	uint64_t old, page;

	OPEN(w, 19041);
	/* the same context once more, so that its tail lies on a page that is then taken away */
	old = w.ctx;
	page = fk_pages(&w.f, 2);
	w.ctx = page + 0x1000 - 0x200;
	for (unsigned i = 0; i < 0x500; i++)
		fk_put(&w.f, w.ctx + i, 1, *fk_at(&w.f, 0, old + i));
	{
		uint64_t node[N];

		for (unsigned i = 0; i < N; i++)
			node[i] = w.buf[i] + GLOBAL;
		fk_ring(&w.f, fk_va(&w.f, w.ctx, F_CTX_GlobalList), node, N);
	}
	fk_unmap(&w.f, page + 0x1000);
	world_load(&w);
	all_there(&w);
	cr_assert_str_eq(w.s.name, "Test-Session");
	cr_assert(w.s.has_reference);
	cr_assert_eq(w.s.start_time, 0);
	cr_assert_eq(w.f.notes.n, 1);
	cr_assert_eq(w.f.notes.v[0].what, NOTE_PAGE_MISSING);
	cr_assert_not_null(strstr(w.f.notes.v[0].detail, "StartTime"));
	world_close(&w);
}

Test(recover_kernel, name_paged_out)
{
	struct world w;
	uint64_t text;

	OPEN(w, 19041);
	cr_assert_eq(kread_ptr_at(&w.f.k, fk_va(&w.f, w.ctx, F_CTX_LoggerName) + 8, &text), 0);
	fk_unmap(&w.f, text);
	world_load(&w);
	all_there(&w);
	cr_assert_null(w.s.name);
	cr_assert_eq(w.f.notes.n, 1);
	cr_assert_eq(w.f.notes.v[0].what, NOTE_PAGE_MISSING);
	world_close(&w);
}

/* A hole in a buffer: records before and behind it are kept, the page is named once. */
Test(recover_kernel, hole_in_a_buffer)
{
	struct world w;
	const struct etw_buffer *b;
	uint32_t end;

	OPEN(w, 19041);
	end = fk_buffer(&w.f, w.buf[2], SIZE, ID, 0, TS + 200, 60);
	cr_assert_gt(end, 0x1000);
	fk_unmap(&w.f, w.buf[2] + 0x1000);
	world_load(&w);
	b = at(&w, 2);
	cr_assert_eq(b->n_events, (0x1000 - 0x48) / 0x58);
	cr_assert_geq(b->n_gaps, 1);
	cr_assert_eq(b->gaps[b->n_gaps - 1].why, ETW_PAGE_MISSING);
	cr_assert_eq(w.f.notes.n, 1);
	world_close(&w);
}

/* The table of a silo: slots of 1 are free, a slot of nonsense is named, the context is found. */
Test(recover_kernel, logger_table)
{
	struct world w;
	uint64_t state, table, pointer;

	OPEN(w, 19041);
	state = fk_pages(&w.f, 2);
	table = fk_pages(&w.f, 1);
	pointer = fk_pages(&w.f, 1);
	fk_put(&w.f, pointer, 8, state);
	fk_symbol(&w.f, S_EtwpHostSiloState, pointer);
	fk_field(&w.f, state, F_SILO_MaxLoggers, 4, 64);
	fk_field(&w.f, state, F_SILO_EtwpLoggerContext, 8, table);
	for (unsigned i = 0; i < 64; i++)
		fk_put(&w.f, table + i * 8, 8, 1);
	fk_put(&w.f, table + ID * 8, 8, w.ctx);
	fk_put(&w.f, table + 9 * 8, 8, 0x7777);
	for (unsigned b = 0; b < 64 * 3; b++) { /* empty GUID buckets */
		uint64_t head = fk_va(&w.f, state, F_SILO_EtwpGuidHashTable) + b / 3 * 0x38 + b % 3 * 0x10;

		fk_ring(&w.f, head, NULL, 0);
	}
	fk_fresh(&w.f);
	cr_assert_eq(kview_find(w.v), 0);
	cr_assert_eq(w.v->n_refs, 1);
	cr_assert_eq(w.v->ref[0].va, w.ctx);
	cr_assert_eq(w.v->ref[0].id, ID);
	cr_assert_eq(w.v->ref[0].found_by, ETW_FOUND_TABLE);
	cr_assert_eq(n_notes(&w, NOTE_CONTEXT_BAD), 1);
	cr_assert_eq(w.f.notes.n, 1, "%s", w.f.notes.v[1].detail);
	world_close(&w);
}

/* A session that stands in no table: the per-CPU slot leads to a buffer, its ring to the context. */
Test(recover_kernel, session_by_slot)
{
	struct world w;
	uint64_t state, table, pointer, blocks, row;

	OPEN(w, 19041);
	state = fk_pages(&w.f, 2);
	table = fk_pages(&w.f, 1);
	pointer = fk_pages(&w.f, 1);
	blocks = fk_pages(&w.f, 1);
	row = fk_pages(&w.f, 1);
	fk_put(&w.f, pointer, 8, state);
	fk_symbol(&w.f, S_EtwpHostSiloState, pointer);
	fk_field(&w.f, state, F_SILO_MaxLoggers, 4, 64);
	fk_field(&w.f, state, F_SILO_EtwpLoggerContext, 8, table);
	fk_field(&w.f, state, F_SILO_ProcessorBlocks, 8, blocks);
	for (unsigned cpu = 0; cpu < 2; cpu++)
		fk_field(&w.f, blocks + cpu * prof_size(&w.f.k.prof, T_BLOCK), F_BLOCK_ProcessorBuffers, 8, row + cpu * 0x400);
	fk_put(&w.f, row + 0x400 + ID * 8, 8, w.buf[4] | 15);
	fk_put(&w.f, w.buf[4] + LINK, 8, 0);
	fk_fresh(&w.f);
	cr_assert_eq(kview_find(w.v), 0);
	cr_assert_eq(w.v->n_refs, 1);
	cr_assert_eq(w.v->ref[0].va, w.ctx);
	cr_assert_eq(w.v->ref[0].found_by, ETW_FOUND_SLOT);
	world_load(&w);
	all_there(&w);
	cr_assert_eq(at(&w, 4)->from, ETW_FROM_GLOBAL_LIST | ETW_FROM_PROCESSOR);
	world_close(&w);
}

Test(recover_kernel, provider_names)
{
	struct guid g;

	cr_assert(guid_parse("22fb2cd6-0e7b-422b-a0c7-2fad1fd0e716", &g));
	cr_assert_str_eq(provider_name(&g), "Microsoft-Windows-Kernel-Process");
	memset(&g, 0, sizeof g);
	cr_assert_null(provider_name(&g));
	memset(&g, 0xff, sizeof g);
	cr_assert_null(provider_name(&g));
}

/* No symbol at all: EtwpDebuggerData gives the table, a context in it the silo's state, and that the per-CPU blocks. */
Test(recover_kernel, table_by_debugger_data)
{
	struct world w;
	uint64_t state, table, block;

	OPEN(w, 19041);
	state = fk_pages(&w.f, 2);
	table = fk_pages(&w.f, 1);
	block = fk_pages(&w.f, 1);
	fk_field(&w.f, state, F_SILO_MaxLoggers, 4, 200);
	fk_field(&w.f, state, F_SILO_EtwpLoggerContext, 8, table);
	fk_field(&w.f, w.ctx, F_CTX_SiloState, 8, state);
	for (unsigned i = 0; i < 200; i++)
		fk_put(&w.f, table + i * 8, 8, 1);
	fk_put(&w.f, table + ID * 8, 8, w.ctx);
	for (unsigned b = 0; b < 64 * 3; b++)
		fk_ring(&w.f, fk_va(&w.f, state, F_SILO_EtwpGuidHashTable) + b / 3 * 0x38 + b % 3 * 0x10, NULL, 0);
	fk_put(&w.f, block + 0x10, 8, table);
	w.f.k.debugger_data = block;
	fk_fresh(&w.f);
	cr_assert_eq(kview_find(w.v), 0);
	cr_assert_eq(w.v->n_silos, 1);
	cr_assert_eq(w.v->silo[0].state, state);
	cr_assert_eq(w.v->silo[0].slots, 200);
	cr_assert_eq(w.v->n_refs, 1);
	cr_assert_eq(w.v->ref[0].found_by, ETW_FOUND_DEBUGGER_DATA);
	cr_assert_eq(w.f.notes.n, 0);
	world_close(&w);
}

/* A container: its state comes by the job of a process, its sessions are silo 1. */
Test(recover_kernel, container_silo)
{
	struct world w;
	uint64_t state, table, job, child, globals, process, head, node;

	OPEN(w, 19041);
	state = fk_pages(&w.f, 2);
	table = fk_pages(&w.f, 1);
	job = fk_pages(&w.f, 1);
	child = fk_pages(&w.f, 1);
	globals = fk_pages(&w.f, 1);
	process = fk_pages(&w.f, 1);
	fk_field(&w.f, state, F_SILO_MaxLoggers, 4, 64);
	fk_field(&w.f, state, F_SILO_EtwpLoggerContext, 8, table);
	fk_put(&w.f, table + ID * 8, 8, w.ctx);
	fk_field(&w.f, child, F_EJOB_ParentJob, 8, job);
	fk_field(&w.f, job, F_EJOB_ServerSiloGlobals, 8, globals);
	fk_field(&w.f, globals, F_SILOGLOBALS_EtwSiloState, 8, state);
	fk_field(&w.f, process, F_EPROCESS_UniqueProcessId, 8, 555);
	fk_field(&w.f, process, F_EPROCESS_Job, 8, child);
	for (unsigned b = 0; b < 64 * 3; b++)
		fk_ring(&w.f, fk_va(&w.f, state, F_SILO_EtwpGuidHashTable) + b / 3 * 0x38 + b % 3 * 0x10, NULL, 0);
	head = w.f.k.base + w.f.k.prof.symbol[S_PsActiveProcessHead];
	node = fk_va(&w.f, process, F_EPROCESS_ActiveProcessLinks);
	fk_ring(&w.f, head, &node, 1);
	kview_close(w.v);
	fk_fresh(&w.f);
	cr_assert_eq(kview_open(&w.v, &w.f.k, &w.f.sys, &w.f.notes, NULL), 0);
	cr_assert_eq(kview_find(w.v), 0);
	cr_assert_eq(w.v->n_silos, 2);
	cr_assert_eq(w.v->n_refs, 1);
	cr_assert_eq(w.v->ref[0].silo, 1);
	cr_assert_eq(ksession_load(w.v, &w.v->ref[0], &w.o, &w.budget, &w.s), 0);
	cr_assert_eq(w.s.silo, 1);
	all_there(&w);
	world_close(&w);
}

/* The same session from a dump's block: a buffer that memory has only with a hole is made whole, others are not doubled. */
Test(recover_kernel, merged_with_the_dumps_block)
{
	struct world w;
	struct etw_session whole;

	OPEN(w, 19041);
	fk_buffer(&w.f, w.buf[2], SIZE, ID, 0, TS + 200, 60);
	world_load(&w);
	whole = w.s;
	memset(&w.s, 0, sizeof w.s);
	whole.found_by = ETW_FOUND_SECONDARY_DUMP;
	for (size_t i = 0; i < whole.n_buffers; i++)
		whole.buffers[i].from = ETW_FROM_SECONDARY_DUMP;
	fk_unmap(&w.f, w.buf[2] + 0x1000);
	fk_unmap(&w.f, w.buf[4]);
	world_load(&w);
	cr_assert_eq(w.s.n_buffers, N - 1);
	cr_assert_eq(session_merge(&w.s, &whole), 0);
	etw_session_clear(&whole);
	cr_assert_eq(w.s.n_buffers, N);
	cr_assert_eq(w.s.found_by, ETW_FOUND_TABLE | ETW_FOUND_SECONDARY_DUMP);
	cr_assert_eq(at(&w, 2)->n_events, 60);
	cr_assert_eq(at(&w, 2)->n_gaps, 0);
	cr_assert_eq(at(&w, 2)->from, ETW_FROM_GLOBAL_LIST | ETW_FROM_SECONDARY_DUMP);
	cr_assert(at(&w, 2)->has_pa);
	cr_assert_eq(at(&w, 4)->from, ETW_FROM_SECONDARY_DUMP);
	cr_assert_eq(at(&w, 1)->n_events, 3);
	world_close(&w);
}
