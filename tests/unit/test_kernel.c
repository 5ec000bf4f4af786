/* src/kstructs: from a physical memory to the kernel, its profile, processes and handles. The memory is built here from the profile of a real
 * kernel (19041.329), with the page tables of fakemem. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakemem.h"
#include "kernel.h"
#include "object.h"
#include "process.h"
#include "rd.h"

#define A          VM_X64
#define KERNEL_ID  "BBED7C2955FBE4522AAA23F4B8677AD9-1"
#define BASE       UINT64_C(0xfffff80312a00000)
#define IMAGE_SIZE 0x1046000u
#define DATA_RVA   0xc00000u
#define DATA_SIZE  0x140000u
#define POOL       UINT64_C(0xffffa00000000000)
#define KUSER      UINT64_C(0xfffff78000000000)
#define NOW        INT64_C(133596804351234567)
#define KDBG_SIZE  0x380u

struct world {
	struct fakemem *fm;
	struct profset *set;
	struct profile p;
	uint64_t root, kdbg, proc[3], consumer, ctx[2], silo;
	struct phys *phys;
	struct hints hints;
	struct kernel_opts opts;
	struct notes notes;
	struct kernel *k;
	struct err e;
};

static void w16(struct world *w, uint64_t va, uint16_t v)
{
	fm_v16(w->fm, A, w->root, va, v);
}
static void w32(struct world *w, uint64_t va, uint32_t v)
{
	fm_v32(w->fm, A, w->root, va, v);
}
static void w64(struct world *w, uint64_t va, uint64_t v)
{
	fm_v64(w->fm, A, w->root, va, v);
}
static uint64_t sym(struct world *w, enum prof_symbol s)
{
	cr_assert_neq(w->p.symbol[s], 0);
	return BASE + w->p.symbol[s];
}
static void f64(struct world *w, uint64_t obj, enum prof_field f, uint64_t v)
{
	cr_assert(prof_has(&w->p, f), "%s", prof_field_member(f));
	w64(w, obj + prof_off(&w->p, f), v);
}
static void ring(struct world *w, const uint64_t *node, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		w64(w, node[i], node[(i + 1) % n]);
		w64(w, node[i] + 8, node[(i + n - 1) % n]);
	}
}
static void text(struct world *w, uint64_t ustr, uint64_t buf, const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		w16(w, buf + 2 * i, (uint8_t)s[i]);
	w16(w, ustr, (uint16_t)(2 * n));
	w16(w, ustr + 2, (uint16_t)(2 * n + 2));
	w64(w, ustr + 8, buf);
}

static void put_image(struct world *w, const struct guid *guid)
{
	const uint64_t nt = BASE + 0x100, opt = nt + 24, sec = opt + 0xf0;

	fm_map_new(w->fm, A, w->root, BASE, 0x3000, 0);
	fm_map_new(w->fm, A, w->root, BASE + DATA_RVA, DATA_SIZE, FM_WRITE);
	w16(w, BASE, 0x5a4d);
	w32(w, BASE + 0x3c, 0x100);
	w32(w, nt, 0x4550);
	w16(w, nt + 4, 0x8664);
	w16(w, nt + 6, 1);
	w32(w, nt + 8, 0x5ec3a1b2);
	w16(w, nt + 0x14, 0xf0);
	w16(w, opt, 0x20b);
	w32(w, opt + 0x38, IMAGE_SIZE);
	w32(w, opt + 0x6c, 16);
	w32(w, opt + 0x70 + 6 * 8, 0x1000); /* debug directory */
	w32(w, opt + 0x70 + 6 * 8 + 4, 28);
	w32(w, sec + 8, DATA_SIZE);
	w32(w, sec + 12, DATA_RVA);
	w32(w, sec + 36, 0xc0000040);
	w32(w, BASE + 0x1000 + 12, 2);
	w32(w, BASE + 0x1000 + 20, 0x2000);
	fm_vwrite(w->fm, A, w->root, BASE + 0x2000, "RSDS", 4);
	fm_vwrite(w->fm, A, w->root, BASE + 0x2004, guid->b, 16);
	w32(w, BASE + 0x2014, 1);
	fm_vwrite(w->fm, A, w->root, BASE + 0x2018, "ntkrnlmp.pdb", 13);
}

static void ksystem_time(struct world *w, uint64_t va, uint64_t v)
{
	w32(w, va, (uint32_t)v);
	w32(w, va + 4, (uint32_t)(v >> 32));
	w32(w, va + 8, (uint32_t)(v >> 32));
}

static void put_kuser(struct world *w)
{
	fm_map_new(w->fm, A, w->root, KUSER, 4096, 0);
	ksystem_time(w, KUSER + 8, UINT64_C(36000000000));
	ksystem_time(w, KUSER + 0x14, (uint64_t)NOW);
	ksystem_time(w, KUSER + 0x20, (uint64_t)(INT64_C(-120) * 600000000));
	w32(w, KUSER + 0x260, 0xf0000000u | 19042);
	w32(w, KUSER + 0x26c, 10);
	w64(w, KUSER + 0x300, 10000000);
	w32(w, KUSER + 0x3c0, 4);
}

static void put_processes(struct world *w)
{
	static const char *const names[] = {"System", "svchost.exe", "x32.exe"};
	uint64_t node[4];

	node[0] = sym(w, S_PsActiveProcessHead);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t ep = w->proc[i] = POOL + 0x10000 + i * 0x2000;

		f64(w, ep, F_EPROCESS_UniqueProcessId, i ? 1000 + 4 * i : 4);
		fm_vwrite(w->fm, A, w->root, ep + prof_off(&w->p, F_EPROCESS_ImageFileName), names[i], strlen(names[i]) + 1);
		f64(w, ep, F_KPROCESS_DirectoryTableBase, w->root);
		f64(w, ep, F_EPROCESS_CreateTime, (uint64_t)NOW - 1000);
		if (i == 2)
			f64(w, ep, F_EPROCESS_WoW64Process, POOL + 0x800);
		node[i + 1] = ep + prof_off(&w->p, F_EPROCESS_ActiveProcessLinks);
	}
	ring(w, node, 4);
}

/* Types Type (2), Directory (3), EtwConsumer (17 hex); svchost has a two-level handle table whose last entry is a consumer. */
static void put_objects(struct world *w)
{
	static const struct {
		const char *name;
		unsigned index;
	} types[] = {{"Type", 2}, {"Directory", 3}, {"EtwConsumer", 0x17}};
	const uint32_t body = prof_off(&w->p, F_OHDR_Body), ti = prof_off(&w->p, F_OHDR_TypeIndex);
	const uint8_t cookie = 0x5d;
	uint64_t table = sym(w, S_ObTypeIndexTable), level1 = POOL + 0x30000, entries = POOL + 0x31000, ht = POOL + 0x2f000, hdr;

	fm_v8(w->fm, A, w->root, sym(w, S_ObHeaderCookie), cookie);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t t = POOL + 0x20000 + i * 0x400 + body;

		hdr = t - body;
		fm_v8(w->fm, A, w->root, hdr + ti, (uint8_t)(2 ^ cookie ^ (hdr >> 8)));
		text(w, t + prof_off(&w->p, F_OTYPE_Name), t + 0x200, types[i].name);
		fm_v8(w->fm, A, w->root, t + prof_off(&w->p, F_OTYPE_Index), (uint8_t)types[i].index);
		w64(w, table + 8 * types[i].index, t);
	}
	w->consumer = POOL + 0x40300 + body;
	hdr = w->consumer - body;
	fm_v8(w->fm, A, w->root, hdr + ti, (uint8_t)(0x17 ^ cookie ^ (hdr >> 8)));
	hdr = POOL + 0x41000; /* an object of another type */
	fm_v8(w->fm, A, w->root, hdr + ti, (uint8_t)(3 ^ cookie ^ (hdr >> 8)));
	f64(w, ht, F_HTABLE_TableCode, level1 | 1);
	f64(w, w->proc[1], F_EPROCESS_ObjectTable, ht);
	w64(w, level1, entries);
	w64(w, level1 + 8, entries + 0x1000);
	w64(w, entries + 16, (POOL + 0x41000) << 16 | 1);
	w64(w, entries + 0x1000 + 255 * 16, (w->consumer - body) << 16 | 0xe0001);
}

static void put_sessions(struct world *w)
{
	uint64_t table = POOL + 0x50000, dd = sym(w, S_EtwpDebuggerData);
	static const uint8_t head[] = {1, 0, 0x2c, 8, 4, 0x38, 0xc};

	fm_vwrite(w->fm, A, w->root, dd, head, sizeof(head));
	w64(w, dd + 0x10, table);
	w->silo = POOL + 0x60000;
	f64(w, w->silo, F_SILO_EtwpLoggerContext, table);
	f64(w, w->silo, F_SILO_SiloGlobals, sym(w, S_PspHostSiloGlobals));
	f64(w, sym(w, S_PspHostSiloGlobals), F_SILOGLOBALS_EtwSiloState, w->silo);
	for (unsigned i = 0; i < 64; i++) {
		uint64_t bucket = w->silo + prof_off(&w->p, F_SILO_EtwpGuidHashTable) + (uint64_t)i * prof_size(&w->p, T_BUCKET);

		ring(w, &bucket, 1);
		w64(w, table + 8 * i, 1);
	}
	for (unsigned i = 0; i < 2; i++) {
		uint64_t c = w->ctx[i] = POOL + 0x52000 + i * 0x1000, list = c + prof_off(&w->p, F_CTX_GlobalList);

		w64(w, table + 8 * (2 + 3 * i), c);
		w32(w, c + prof_off(&w->p, F_CTX_LoggerId), 2 + 3 * i);
		w32(w, c + prof_off(&w->p, F_CTX_BufferSize), 0x10000);
		f64(w, c, F_CTX_SiloState, w->silo);
		text(w, c + prof_off(&w->p, F_CTX_LoggerName), c + 0x800, "EventLog-System");
		ring(w, &list, 1);
	}
}

static uint64_t ror64(uint64_t v, unsigned s)
{
	s &= 63;
	return s ? v >> s | v << (64 - s) : v;
}

static void put_kdbg(struct world *w, bool encoded)
{
	const uint64_t never = UINT64_C(0x8d3ce0f172b1a95b), always = UINT64_C(0x0123456789abcdef), at = BASE + DATA_RVA + 0x5f5f8;
	uint8_t b[KDBG_SIZE] = {0};

	w->kdbg = sym(w, S_KdDebuggerDataBlock);
	put_le64(b, BASE + DATA_RVA + 0x777000);
	put_le64(b + 8, BASE + DATA_RVA + 0x777000);
	memcpy(b + 0x10, "KDBG", 4);
	put_le32(b + 0x14, KDBG_SIZE);
	put_le64(b + 0x18, BASE);
	put_le64(b + 0x50, sym(w, S_PsActiveProcessHead));
	put_le64(b + 0x330, sym(w, S_EtwpDebuggerData));
	for (unsigned i = 0; encoded && i < KDBG_SIZE; i += 8)
		put_le64(b + i, ror64(__builtin_bswap64(le64(b + i) ^ always) ^ at, (unsigned)never) ^ never);
	fm_vwrite(w->fm, A, w->root, w->kdbg, b, sizeof(b));
}

/* Everything; other_guid: a kernel that no profile knows. */
static void make(struct world *w, bool other_guid, bool encoded)
{
	struct guid guid;

	memset(w, 0, sizeof(*w));
	notes_init(&w->notes);
	hints_init(&w->hints);
	cr_assert_eq(profset_new(&w->set, NULL), 0);
	cr_assert_eq(profset_named(w->set, KERNEL_ID, &w->p, &w->e), 0, "%s", w->e.msg);
	w->fm = fm_new();
	w->root = fm_root(w->fm);
	fm_w64(w->fm, w->root + 8 * 0x1e3, w->root | 0x63); /* the self-map */
	fm_map_new(w->fm, A, w->root, POOL, 0x70000, FM_WRITE | FM_NX);
	guid = w->p.guid;
	if (other_guid)
		guid.b[3] ^= 0x5a;
	put_image(w, &guid);
	put_kuser(w);
	put_processes(w);
	put_objects(w);
	put_sessions(w);
	put_kdbg(w, encoded);
	w->opts.profiles = w->set;
	w->opts.need_profile = true;
}

static int open_it(struct world *w)
{
	w->phys = fm_phys(w->fm);
	return kernel_open(&w->k, w->phys, &w->hints, &w->opts, &w->notes, &w->e);
}

static void done(struct world *w)
{
	kernel_close(w->k);
	phys_free(w->phys);
	fm_free(w->fm);
	profset_free(w->set);
	notes_free(&w->notes);
	hints_free(&w->hints);
}

static int count_object(void *ctx, const struct object_ref *o)
{
	struct object_ref *last = ctx;

	last[0] = *o;
	last[1].handle++;
	return 0;
}

static void check_all(struct world *w)
{
	struct object_ref seen[2] = {{0}};
	struct process_list l;
	uint8_t index;

	cr_assert_eq(w->k->base, BASE);
	cr_assert_eq(w->k->image_size, IMAGE_SIZE);
	cr_assert_eq(vm_dtb(w->k->vm), w->root);
	cr_assert_eq(w->k->build, 19042);
	cr_assert_eq(w->k->n_cpus, 4);
	cr_assert_eq(w->k->system_time, NOW);
	cr_assert_eq(w->k->boot_time, NOW - INT64_C(36000000000));
	cr_assert_eq(w->k->qpc_frequency, 10000000);
	cr_assert_eq(w->k->bias, -120);
	cr_assert_str_eq(w->k->pdb_name, "ntkrnlmp.pdb");
	cr_assert_eq(w->k->debugger_data, BASE + w->p.symbol[S_EtwpDebuggerData]);

	cr_assert_eq(processes_list(&l, w->k, NULL), 0);
	cr_assert_eq(l.n, 3);
	cr_assert_not(l.broken);
	cr_assert(l.v[0].pid == 4 && strcmp(l.v[0].name, "System") == 0 && l.v[0].dtb == w->root);
	cr_assert(l.v[2].pid == 1008 && l.v[2].wow64 && !l.v[1].wow64);
	cr_assert_eq(objects_find(w->k, &l, "EtwConsumer", count_object, seen), 0);
	cr_assert_eq(seen[1].handle, 1);
	cr_assert_eq(seen[0].body, w->consumer);
	cr_assert_eq(seen[0].process, w->proc[1]);
	cr_assert_eq(seen[0].pid, 1004);
	cr_assert_eq(seen[0].handle, (256 + 255) * 4);
	cr_assert_eq(objects_find(w->k, &l, "NoSuchType", count_object, seen), ERR_NOTFOUND);
	cr_assert(object_index_of(w->k, w->consumer, &index));
	cr_assert_eq(index, 0x17);
	processes_free(&l);
}

Test(kernel, exact_profile_after_a_scan)
{
	struct world w;

	make(&w, false, false);
	cr_assert_eq(open_it(&w), 0, "%s", w.e.msg);
	cr_assert_str_eq(w.k->match, "guid");
	check_all(&w);
	done(&w);
}

Test(kernel, unknown_kernel_of_a_known_build)
{
	for (int encoded = 0; encoded < 2; encoded++) {
		struct world w;

		make(&w, true, encoded);
		cr_assert_eq(open_it(&w), 0, "%s", w.e.msg);
		cr_assert_str_eq(w.k->match, "build");
		cr_assert_eq(w.k->kdbg, w.kdbg);
		cr_assert_eq(w.k->kdbg_encoded, (bool)encoded);
		/* this kernel's own layouts, not those of a later update of the build */
		cr_assert_eq(prof_off(&w.k->prof, F_SILO_EtwpLoggerContext), prof_off(&w.p, F_SILO_EtwpLoggerContext));
		check_all(&w);
		done(&w);
	}
}

Test(kernel, hints_of_many_kinds_lead_to_the_same)
{
	for (int kind = 0; kind < 5; kind++) {
		struct world w;

		make(&w, false, false);
		fm_w64(w.fm, w.root + 8 * 0x1e3, 0); /* no self-map: the scan finds nothing */
		if (kind == 0) {
			w.hints.has_dtb = true;
			w.hints.dtb = w.root;
		} else if (kind == 1) {
			w.opts.has_dtb = true;
			w.opts.dtb = w.root;
		} else if (kind == 2) { /* CPU 0 has a root that maps nothing, CPU 1 the right one with an IDT */
			struct hint_cpu *c = hints_add_cpu(&w.hints);

			c->has_cr3 = true;
			c->cr3 = fm_root(w.fm);
			c = hints_add_cpu(&w.hints);
			c->has_cr3 = c->has_idt = true;
			c->cr3 = w.root | 2; /* PCID */
			c->idt_base = POOL + 0x6f000;
			w64(&w, c->idt_base,
			    (uint64_t)((BASE + DATA_RVA) >> 16 & 0xffff) << 48 | UINT64_C(0x8e0000100000) | ((BASE + DATA_RVA) & 0xffff));
			w64(&w, c->idt_base + 8, (BASE + DATA_RVA) >> 32);
			w.opts.need_profile = true;
		} else if (kind == 3) { /* a user's root under KVA shadow */
			struct hint_cpu *c = hints_add_cpu(&w.hints);

			c->has_cr3 = c->has_kernel_gs = true;
			c->cr3 = fm_root(w.fm);
			c->kernel_gs_base = UINT64_C(0xfffff80210000000);
			fm_map_new(w.fm, A, c->cr3, c->kernel_gs_base + 0x7000, 4096, FM_WRITE);
			fm_v64(w.fm, A, c->cr3, c->kernel_gs_base + 0x7000, w.root | 2);
		} else {
			fm_w64(w.fm, 0x13000, UINT64_C(0x00000001000600e9));
			fm_w64(w.fm, 0x13070, BASE + DATA_RVA);
			fm_w64(w.fm, 0x130a0, w.root);
		}
		cr_assert_eq(open_it(&w), 0, "kind %d: %s", kind, w.e.msg);
		cr_assert_eq(w.k->base, BASE);
		cr_assert_eq(vm_dtb(w.k->vm), w.root, "kind %d", kind);
		done(&w);
	}
}

Test(kernel, dummy_and_secure_roots_are_survived)
{
	struct world w;
	uint64_t dummy;

	make(&w, false, false);
	/* a root that maps itself and nothing else, below the real one */
	dummy = 0x200000;
	fm_w64(w.fm, dummy + 8 * 0x1e3, dummy | 0x63);
	/* one with a sane shared page of its own, but without a kernel */
	fm_w64(w.fm, 0x300000 + 8 * 0x1e3, 0x300063);
	fm_map_new(w.fm, A, 0x300000, KUSER, 4096, 0);
	fm_v32(w.fm, A, 0x300000, KUSER + 0x26c, 10);
	cr_assert_eq(open_it(&w), 0, "%s", w.e.msg);
	cr_assert_eq(vm_dtb(w.k->vm), w.root);
	done(&w);
}

Test(kernel, a_process_root_gives_way_to_systems)
{
	struct world w;
	uint64_t user;

	make(&w, false, false);
	user = fm_root(w.fm);
	for (unsigned i = 256; i < 512; i++)
		fm_w64(w.fm, user + 8 * i, fm_r64(w.fm, w.root + 8 * i));
	w.hints.has_dtb = true;
	w.hints.dtb = user;
	cr_assert_eq(open_it(&w), 0, "%s", w.e.msg);
	cr_assert_eq(vm_dtb(w.k->vm), w.root);
	done(&w);
}

Test(kernel, wrong_profiles_are_refused_by_name)
{
	struct world w;

	make(&w, false, false);
	w.opts.profile_name = "26100-x64/26100";
	for (size_t i = 0; i < 64; i++) { /* the name of 26100's first variant, whatever it is */
		struct profile p;

		if (profset_variant(w.set, 26100, VM_X64, i, &p, NULL) == 0) {
			w.opts.profile_name = strdup(p.name);
			break;
		}
	}
	cr_assert_eq(open_it(&w), ERR_NOKERNEL, "%s", w.e.msg);
	cr_assert_not_null(strstr(w.e.msg, "fails \""), "%s", w.e.msg);
	free((char *)(uintptr_t)w.opts.profile_name);
	done(&w);
}

Test(kernel, nothing_fits_says_what_is_wanted)
{
	struct world w;

	make(&w, true, true);
	profset_disable_builtin(w.set);
	cr_assert_eq(open_it(&w), ERR_NOKERNEL);
	cr_assert_not_null(strstr(w.e.msg, "ntkrnlmp.pdb"));
	cr_assert_not_null(strstr(w.e.msg, "age 1"));
	cr_assert_not_null(strstr(w.e.msg, "--symbols"));
	phys_free(w.phys);
	w.opts.need_profile = false; /* `info` is content */
	cr_assert_eq(open_it(&w), 0, "%s", w.e.msg);
	cr_assert_not(w.k->has_profile);
	cr_assert_null(w.k->match);
	cr_assert_eq(w.k->kdbg, w.kdbg);
	done(&w);
}

Test(kernel, no_windows_here)
{
	struct world w;

	make(&w, false, false);
	fm_free(w.fm);
	w.fm = fm_new();
	fm_alloc(w.fm, 1000); /* zeros */
	cr_assert_eq(open_it(&w), ERR_NOKERNEL);
	cr_assert_not_null(strstr(w.e.msg, "no Windows kernel"));
	phys_free(w.phys);
	/* one entry that maps itself, as a Linux module's page might have */
	fm_w64(w.fm, 0x1000000 + 8 * 0x110, 0x1000063);
	cr_assert_eq(open_it(&w), ERR_NOKERNEL);
	done(&w);
}

static const uint64_t N = POOL + 0x6e000;

Test(kernel, rings_that_are_broken)
{
	struct world w;
	struct klist l;
	uint64_t n[6];

	make(&w, false, false);
	for (unsigned i = 0; i < 6; i++)
		n[i] = N + i * 0x40;
	ring(&w, n, 6);
	cr_assert_eq(open_it(&w), 0);
	cr_assert_eq(klist_collect(&l, w.k, n[0], 100), 0);
	cr_assert(l.n == 5 && !l.broken && l.node[4] == n[5]);
	klist_free(&l);
	cr_assert_eq(klist_collect(&l, w.k, n[0], 3), 0);
	cr_assert(l.n == 3 && l.broken);
	klist_free(&l);
	kernel_close(w.k);
	phys_free(w.phys);
	/* node 3's Flink leads nowhere: 1 2 3 forward, 5 4 backward, in forward order */
	w64(&w, n[3], 0x1234);
	cr_assert_eq(open_it(&w), 0);
	cr_assert_eq(klist_collect(&l, w.k, n[0], 100), 0);
	cr_assert(l.broken && l.where == n[3]);
	cr_assert_eq(l.n, 5);
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(l.node[i], n[i + 1]);
	klist_free(&l);
	kernel_close(w.k);
	phys_free(w.phys);
	/* a loop that never comes back to the head */
	w64(&w, n[3], n[2]);
	cr_assert_eq(open_it(&w), 0);
	cr_assert_eq(klist_collect(&l, w.k, n[0], 100), 0);
	cr_assert(l.broken && l.n == 5);
	klist_free(&l);
	cr_assert_eq(klist_collect(&l, w.k, UINT64_C(0xffffb00000000000), 100), ERR_FAULT);
	done(&w);
}

Test(kernel, processes_behind_a_missing_page)
{
	struct process_list l;
	struct world w;

	make(&w, false, false);
	fm_drop(w.fm, fm_r64(w.fm, fm_pte(w.fm, A, w.root, w.proc[1] + 0x448)) & UINT64_C(0xffffff000));
	cr_assert_eq(open_it(&w), 0, "%s", w.e.msg);
	cr_assert_eq(processes_list(&l, w.k, NULL), 0);
	cr_assert(l.broken);
	cr_assert_eq(l.n, 2);
	cr_assert(l.v[0].pid == 4 && l.v[1].pid == 1008);
	cr_assert_gt(w.notes.n, 0u);
	processes_free(&l);
	done(&w);
}
