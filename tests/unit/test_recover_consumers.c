/* Consumers with copies in user memory, compressed rows, providers. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "fakekern.h"
#include "kbuffers.h"
#include "kproviders.h"
#include "ksession.h"
#include "kview.h"
#include "rd.h"

#define ID   7u
#define SIZE 0x1000u
#define TS   UINT64_C(5000000)

TestSuite(recover_consumers, .timeout = 60);

struct world {
	struct fk f;
	struct kview *v;
	uint64_t ctx, buf[3], state;
	struct etw_session s;
	uint64_t budget;
	struct recover_opts o;
};

static bool world_open(struct world *w, uint32_t build)
{
	uint64_t node[3], table, pointer;

	memset(w, 0, sizeof *w);
	if (!fk_open(&w->f, build, 4u << 20))
		return false;
	w->budget = UINT64_MAX;
	w->ctx = fk_pages(&w->f, 2);
	fk_field(&w->f, w->ctx, F_CTX_LoggerId, 4, ID);
	fk_field(&w->f, w->ctx, F_CTX_BufferSize, 4, SIZE);
	fk_field(&w->f, w->ctx, F_CTX_NumberOfBuffers, 4, 3);
	fk_field(&w->f, w->ctx, F_CTX_ClockType, 4, 2);
	fk_unicode(&w->f, w->ctx, F_CTX_LoggerName, "Test");
	fk_ring(&w->f, fk_va(&w->f, w->ctx, F_CTX_Consumers), NULL, 0);
	for (unsigned i = 0; i < 3; i++) {
		w->buf[i] = fk_pages(&w->f, 1);
		fk_buffer(&w->f, w->buf[i], SIZE, ID, 0, TS + i * 100, 3);
		node[i] = w->buf[i] + 0x38;
	}
	fk_ring(&w->f, fk_va(&w->f, w->ctx, F_CTX_GlobalList), node, 3);
	w->state = fk_pages(&w->f, 2);
	table = fk_pages(&w->f, 1);
	pointer = fk_pages(&w->f, 1);
	fk_symbol(&w->f, S_PsActiveProcessHead, pointer + 0x800);
	fk_ring(&w->f, pointer + 0x800, NULL, 0);
	fk_put(&w->f, pointer, 8, w->state);
	fk_symbol(&w->f, S_EtwpHostSiloState, pointer);
	fk_field(&w->f, w->state, F_SILO_MaxLoggers, 4, 64);
	fk_field(&w->f, w->state, F_SILO_EtwpLoggerContext, 8, table);
	fk_put(&w->f, table + ID * 8, 8, w->ctx);
	for (unsigned b = 0; b < 64 * 3; b++)
		fk_ring(&w->f, fk_va(&w->f, w->state, F_SILO_EtwpGuidHashTable) + b / 3 * 0x38 + b % 3 * 0x10, NULL, 0);
	return true;
}

/* A process in the list, with an address space of its own. */
static uint64_t add_process(struct world *w, uint64_t pid, const char *name, bool wow64, uint64_t *dtb)
{
	uint64_t head = fk_pages(&w->f, 1), p = fk_pages(&w->f, 1), node = fk_va(&w->f, p, F_EPROCESS_ActiveProcessLinks);

	fk_symbol(&w->f, S_PsActiveProcessHead, head);
	fk_ring(&w->f, head, &node, 1);
	*dtb = fk_dtb(&w->f);
	fk_field(&w->f, p, F_EPROCESS_UniqueProcessId, 8, pid);
	fk_field(&w->f, fk_va(&w->f, p, F_EPROCESS_Pcb), F_KPROCESS_DirectoryTableBase, 8, *dtb);
	for (size_t i = 0; name[i]; i++)
		fk_put(&w->f, fk_va(&w->f, p, F_EPROCESS_ImageFileName) + i, 1, (uint8_t)name[i]);
	if (wow64)
		fk_field(&w->f, p, F_EPROCESS_WoW64Process, 8, p);
	return p;
}

static void open_view(struct world *w)
{
	struct err e;

	fk_fresh(&w->f);
	cr_assert_eq(kview_open(&w->v, &w->f.k, &w->f.sys, &w->f.notes, &e), 0);
}

static void world_close(struct world *w)
{
	etw_session_clear(&w->s);
	kview_close(w->v);
	fk_close(&w->f);
}

#define OPEN(w, build)                                                                                                                     \
	if (!world_open(&(w), build))                                                                                                      \
	cr_skip_test("no profile of build %u", (unsigned)(build))

/* Lays a copy of kernel buffer `from` at user address va; `next` is the link. */
static void put_copy(struct world *w, uint64_t dtb, uint64_t va, uint64_t from, uint64_t next)
{
	fk_map(&w->f, dtb, va & ~UINT64_C(0xfff));
	memcpy(fk_at(&w->f, dtb, va), fk_at(&w->f, 0, from), 0x400);
	put_le32(fk_at(&w->f, dtb, va + 0x30), le32(fk_at(&w->f, 0, from + 8)));
	put_le64(fk_at(&w->f, dtb, va + 0x20), next);
}

static void copies(bool wow64)
{
	struct world w;
	uint64_t dtb, process, c, node, spare;
	const uint64_t head = 0x20008, a = 0x30000, b = 0x40000;
	size_t same = 0, own = 0;

	OPEN(w, 19041);
	process = add_process(&w, 1234, "svchost.exe", wow64, &dtb);
	spare = fk_pages(&w.f, 1);
	fk_buffer(&w.f, spare, SIZE, ID, 1, TS + 900, 2);
	c = fk_pages(&w.f, 1);
	fk_field(&w.f, c, F_CONSUMER_LoggerId, 2, ID);
	fk_field(&w.f, c, F_CONSUMER_ProcessObject, 8, process);
	fk_field(&w.f, c, F_CONSUMER_UserBufferListHead, 8, head);
	fk_field(&w.f, c, F_CONSUMER_Flags, 1, wow64 ? 0x10 : 0);
	node = fk_va(&w.f, c, F_CONSUMER_Links);
	fk_ring(&w.f, fk_va(&w.f, w.ctx, F_CTX_Consumers), &node, 1);
	fk_map(&w.f, dtb, head & ~UINT64_C(0xfff));
	put_copy(&w, dtb, a, w.buf[1], b + 0x20);
	put_copy(&w, dtb, b, spare, 0);
	put_le64(fk_at(&w.f, dtb, head), a + 0x20);
	if (wow64) { /* what stands behind a 32-bit link is none of its business */
		put_le32(fk_at(&w.f, dtb, head + 4), 0x41414141);
		put_le32(fk_at(&w.f, dtb, a + 0x24), 0x42424242);
		put_le32(fk_at(&w.f, dtb, b + 0x24), 0x43434343);
	}
	open_view(&w);
	cr_assert_eq(kview_find(w.v), 0);
	cr_assert_eq(w.v->n_consumers, 1);
	cr_assert_eq(w.v->n_refs, 1);
	cr_assert_eq(w.v->ref[0].found_by, ETW_FOUND_TABLE | ETW_FOUND_CONSUMER);
	cr_assert_eq(ksession_load(w.v, &w.v->ref[0], &w.o, &w.budget, &w.s), 0);
	cr_assert_eq(w.f.notes.n, 0, "%s", w.f.notes.n ? w.f.notes.v[0].detail : "");
	cr_assert_eq(w.s.n_consumers, 1);
	cr_assert_eq(w.s.consumers[0].pid, 1234);
	cr_assert_str_eq(w.s.consumers[0].process, "svchost.exe");
	cr_assert_eq(w.s.consumers[0].buffers, 2);
	cr_assert_eq(w.s.consumers[0].wow64, wow64);
	cr_assert_eq(w.s.n_buffers, 5);
	for (size_t i = 0; i < w.s.n_buffers; i++) {
		const struct etw_buffer *x = &w.s.buffers[i];

		if (x->from != ETW_FROM_USER_LIST)
			continue;
		cr_assert(x->has_pid && x->pid == 1234 && x->has_pa);
		if (x->va == a) {
			same++;
			cr_assert(x->has_same_as);
			cr_assert_eq(x->same_as, w.buf[1]);
		} else {
			own++;
			cr_assert_eq(x->va, b);
			cr_assert_not(x->has_same_as);
			cr_assert_eq(x->n_events, 2);
		}
	}
	cr_assert_eq(same, 1);
	cr_assert_eq(own, 1);
	world_close(&w);
}

Test(recover_consumers, copies_in_a_64_bit_process)
{
	copies(false);
}

Test(recover_consumers, copies_in_a_32_bit_process)
{
	copies(true);
}

/* One literal-only XPRESS stream of n bytes. Returns its length. */
static uint32_t pack(struct world *w, uint64_t to, uint64_t from, uint32_t n)
{
	uint32_t out = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (i % 32 == 0) {
			fk_put(&w->f, to + out, 4, 0);
			out += 4;
		}
		fk_put(&w->f, to + out++, 1, *fk_at(&w->f, 0, from + i));
	}
	return out;
}

Test(recover_consumers, compressed_row)
{
	struct world w;
	uint64_t at, raw;
	size_t subs = 0;

	OPEN(w, 19041);
	raw = fk_pages(&w.f, 1);
	fk_field(&w.f, w.ctx, F_CTX_LoggerMode, 4, ETW_MODE_COMPRESSED);
	fk_field(&w.f, w.ctx, F_CTX_CompressionTarget, 8, w.buf[2]);
	for (unsigned i = 0; i < 0x800; i += 8)
		fk_put(&w.f, w.buf[2] + 0x48 + i, 8, 0);
	at = w.buf[2] + 0x48;
	for (unsigned i = 0; i < 3; i++) {
		uint32_t end = fk_buffer(&w.f, raw, SIZE, ID, 0, TS + 1000 + i * 100, 4), packed;

		packed = pack(&w, at + 0x48, raw + 0x48, end - 0x48);
		for (unsigned j = 0; j < 0x48; j++)
			fk_put(&w.f, at + j, 1, *fk_at(&w.f, 0, raw + j));
		fk_put(&w.f, at, 4, packed + 0x48);
		fk_put(&w.f, at + 4, 4, end);
		fk_put(&w.f, at + 8, 4, end);
		fk_put(&w.f, at + 0xc, 4, 0);
		fk_put(&w.f, at + 0x2c, 4, 3);
		if (i == 1) /* the second one is torn: its neighbours are not */
			fk_put(&w.f, at + 0x48, 4, 0xffffffff);
		at += packed + 0x48;
	}
	fk_put(&w.f, w.buf[2] + 8, 4, at - w.buf[2]);
	open_view(&w);
	cr_assert_eq(kview_find(w.v), 0);
	cr_assert_eq(ksession_load(w.v, &w.v->ref[0], &w.o, &w.budget, &w.s), 0);
	for (size_t i = 0; i < w.s.n_buffers; i++) {
		const struct etw_buffer *b = &w.s.buffers[i];

		if (!(b->from & ETW_FROM_COMPRESSION))
			continue;
		cr_assert_eq(b->from, ETW_FROM_GLOBAL_LIST | ETW_FROM_COMPRESSION);
		if (b->n_events == 4)
			subs++;
	}
	cr_assert_eq(subs, 2);
	cr_assert_eq(w.f.notes.n, 1, "%s", w.f.notes.v[0].detail);
	cr_assert_eq(w.f.notes.v[0].what, NOTE_RECORD_BAD);
	world_close(&w);
}

Test(recover_consumers, providers)
{
	struct world w;
	struct etw_provider *p;
	struct guid kernel_process, other, group;
	uint64_t dtb, process, entry, second, grp, reg[3], node[2], bucket;
	size_t n;

	OPEN(w, 19041);
	cr_assert(guid_parse("22fb2cd6-0e7b-422b-a0c7-2fad1fd0e716", &kernel_process));
	cr_assert(guid_parse("00000001-0002-0003-0405-060708090a0b", &other));
	cr_assert(guid_parse("ffffffff-0002-0003-0405-060708090a0b", &group));
	process = add_process(&w, 4321, "tracer.exe", false, &dtb);
	entry = fk_pages(&w.f, 1);
	second = entry + 0x400;
	grp = entry + 0x800;
	for (unsigned i = 0; i < 16; i++) {
		fk_put(&w.f, fk_va(&w.f, entry, F_GUIDENTRY_Guid) + i, 1, kernel_process.b[i]);
		fk_put(&w.f, fk_va(&w.f, second, F_GUIDENTRY_Guid) + i, 1, other.b[i]);
		fk_put(&w.f, fk_va(&w.f, grp, F_GUIDENTRY_Guid) + i, 1, group.b[i]);
	}
	for (unsigned slot = 0; slot < 8; slot += 5) { /* slots 0 and 5: two sessions */
		uint64_t e = fk_va(&w.f, entry, F_GUIDENTRY_EnableInfo) + slot * 0x20;

		fk_field(&w.f, e, F_ENABLE_IsEnabled, 4, 1);
		fk_field(&w.f, e, F_ENABLE_Level, 1, 3 + slot);
		fk_field(&w.f, e, F_ENABLE_LoggerId, 2, slot ? ID : 30);
		fk_field(&w.f, e, F_ENABLE_MatchAnyKeyword, 8, 0x10 + slot);
	}
	bucket = fk_va(&w.f, w.state, F_SILO_EtwpGuidHashTable) + 9 * 0x38;
	node[0] = fk_va(&w.f, entry, F_GUIDENTRY_GuidList);
	node[1] = fk_va(&w.f, second, F_GUIDENTRY_GuidList);
	fk_ring(&w.f, bucket, node, 2);
	node[0] = fk_va(&w.f, grp, F_GUIDENTRY_GuidList);
	fk_ring(&w.f, bucket + 0x20, node, 1);
	for (unsigned i = 0; i < 3; i++)
		reg[i] = fk_pages(&w.f, 1);
	node[0] = fk_va(&w.f, reg[0], F_REG_RegList);
	node[1] = fk_va(&w.f, reg[1], F_REG_RegList);
	fk_ring(&w.f, fk_va(&w.f, entry, F_GUIDENTRY_RegListHead), node, 2);
	node[0] = fk_va(&w.f, reg[2], F_REG_RegList);
	fk_ring(&w.f, fk_va(&w.f, second, F_GUIDENTRY_RegListHead), node, 1);
	fk_ring(&w.f, fk_va(&w.f, grp, F_GUIDENTRY_RegListHead), NULL, 0);
	for (unsigned i = 0; i < 3; i++)
		fk_field(&w.f, reg[i], F_REG_GuidEntry, 8, i == 2 ? second : entry);
	fk_field(&w.f, reg[0], F_REG_Process, 8, process);
	fk_field(&w.f, reg[0], F_REG_GroupEntry, 8, grp);
	fk_field(&w.f, reg[1], F_REG_Callback, 8, w.ctx);
	fk_field(&w.f, reg[2], F_REG_Process, 8, process);
	fk_field(&w.f, reg[2], F_REG_Traits, 8, w.ctx + 0x1000);
	for (unsigned i = 0; i < 9; i++) /* u16 size, name, NUL */
		fk_put(&w.f, w.ctx + 0x1000 + prof_off(&w.f.k.prof, F_TRAITS_Traits) + i, 1, (uint8_t) "\x0b\0MyProv"[i]);
	open_view(&w);
	cr_assert_eq(kview_find(w.v), 0);
	cr_assert_eq(ksession_load(w.v, &w.v->ref[0], &w.o, &w.budget, &w.s), 0);
	cr_assert_eq(w.s.n_providers, 1);
	cr_assert_str_eq(w.s.providers[0].name, "Microsoft-Windows-Kernel-Process");
	cr_assert_eq(w.s.providers[0].n_enabled, 1);
	cr_assert_eq(w.s.providers[0].enabled[0].level, 8);
	cr_assert_eq(w.s.providers[0].enabled[0].match_any, 0x15);

	cr_assert_eq(providers_list(w.v, &p, &n), 0);
	cr_assert_eq(n, 4);
	cr_assert_str_eq(p[0].name, "MyProv");
	cr_assert(p[0].registered && p[0].n_enabled == 0 && p[0].pid == 4321);
	cr_assert(guid_equal(&p[1].guid, &kernel_process) && guid_equal(&p[2].guid, &kernel_process));
	cr_assert_eq(p[1].pid, 4);
	cr_assert_eq(p[1].n_enabled, 2);
	cr_assert_eq(p[2].pid, 4321);
	cr_assert_str_eq(p[2].process, "tracer.exe");
	cr_assert_eq(p[2].n_enabled, 2);
	cr_assert(p[2].has_group && guid_equal(&p[2].group, &group));
	cr_assert(p[3].is_group && !p[3].registered);
	recover_providers_free(p, n);
	/* the second enable slot names a session that nothing leads to: said once, although two providers and a group name it */
	cr_assert_eq(w.f.notes.n, 1);
	cr_assert_eq(w.f.notes.v[0].what, NOTE_CONTEXT_BAD);
	cr_assert_eq(w.f.notes.v[0].session, 30);
	world_close(&w);
}
