/* src/kstructs: from a physical memory to the kernel, its profile, processes and handles. The memory is built here from the profile of a real
 * kernel (19041.329), with the page tables of fakemem. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kworld.h"
#include "object.h"
#include "process.h"
#include "rd.h"

static int count_object(void *ctx, const struct object_ref *o)
{
	struct object_ref *last = ctx;

	last[0] = *o;
	last[1].handle++;
	return 0;
}

static void check_all(struct kworld *w)
{
	struct object_ref seen[2] = {{0}};
	struct process_list l;
	uint8_t index;

	cr_assert_eq(w->k->base, KW_BASE);
	cr_assert_eq(w->k->image_size, KW_IMAGE_SIZE);
	cr_assert_eq(vm_dtb(w->k->vm), w->root);
	cr_assert_eq(w->k->build, 19042);
	cr_assert_eq(w->k->n_cpus, 4);
	cr_assert_eq(w->k->system_time, KW_NOW);
	cr_assert_eq(w->k->boot_time, KW_NOW - INT64_C(36000000000));
	cr_assert_eq(w->k->qpc_frequency, 10000000);
	cr_assert_eq(w->k->bias, -120);
	cr_assert_str_eq(w->k->pdb_name, "ntkrnlmp.pdb");
	cr_assert_eq(w->k->debugger_data, KW_BASE + w->p.symbol[S_EtwpDebuggerData]);

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
	struct kworld w;

	kw_make(&w, false, false);
	cr_assert_eq(kw_open(&w), 0, "%s", w.e.msg);
	cr_assert_str_eq(w.k->match, "guid");
	check_all(&w);
	kw_free(&w);
}

Test(kernel, unknown_kernel_of_a_known_build)
{
	for (int encoded = 0; encoded < 2; encoded++) {
		struct kworld w;

		kw_make(&w, true, encoded);
		cr_assert_eq(kw_open(&w), 0, "%s", w.e.msg);
		cr_assert_str_eq(w.k->match, "build");
		cr_assert_eq(w.k->kdbg, w.kdbg);
		cr_assert_eq(w.k->kdbg_encoded, (bool)encoded);
		/* this kernel's own layouts, not those of a later update of the build */
		cr_assert_eq(prof_off(&w.k->prof, F_SILO_EtwpLoggerContext), prof_off(&w.p, F_SILO_EtwpLoggerContext));
		check_all(&w);
		kw_free(&w);
	}
}

Test(kernel, hints_of_many_kinds_lead_to_the_same)
{
	for (int kind = 0; kind < 5; kind++) {
		struct kworld w;

		kw_make(&w, false, false);
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
			c->idt_base = KW_POOL + 0x6f000;
			kw_64(&w, c->idt_base,
			      (uint64_t)((KW_BASE + KW_DATA_RVA) >> 16 & 0xffff) << 48 | UINT64_C(0x8e0000100000) |
				      ((KW_BASE + KW_DATA_RVA) & 0xffff));
			kw_64(&w, c->idt_base + 8, (KW_BASE + KW_DATA_RVA) >> 32);
			w.opts.need_profile = true;
		} else if (kind == 3) { /* a user's root under KVA shadow */
			struct hint_cpu *c = hints_add_cpu(&w.hints);

			c->has_cr3 = c->has_kernel_gs = true;
			c->cr3 = fm_root(w.fm);
			c->kernel_gs_base = UINT64_C(0xfffff80210000000);
			fm_map_new(w.fm, KW_A, c->cr3, c->kernel_gs_base + 0x7000, 4096, FM_WRITE);
			fm_v64(w.fm, KW_A, c->cr3, c->kernel_gs_base + 0x7000, w.root | 2);
		} else {
			fm_w64(w.fm, 0x13000, UINT64_C(0x00000001000600e9));
			fm_w64(w.fm, 0x13070, KW_BASE + KW_DATA_RVA);
			fm_w64(w.fm, 0x130a0, w.root);
		}
		cr_assert_eq(kw_open(&w), 0, "kind %d: %s", kind, w.e.msg);
		cr_assert_eq(w.k->base, KW_BASE);
		cr_assert_eq(vm_dtb(w.k->vm), w.root, "kind %d", kind);
		kw_free(&w);
	}
}

Test(kernel, dummy_and_secure_roots_are_survived)
{
	struct kworld w;
	uint64_t dummy;

	kw_make(&w, false, false);
	/* a root that maps itself and nothing else, below the real one */
	dummy = 0x200000;
	fm_w64(w.fm, dummy + 8 * 0x1e3, dummy | 0x63);
	/* one with a sane shared page of its own, but without a kernel */
	fm_w64(w.fm, 0x300000 + 8 * 0x1e3, 0x300063);
	fm_map_new(w.fm, KW_A, 0x300000, KW_KUSER, 4096, 0);
	fm_v32(w.fm, KW_A, 0x300000, KW_KUSER + 0x26c, 10);
	cr_assert_eq(kw_open(&w), 0, "%s", w.e.msg);
	cr_assert_eq(vm_dtb(w.k->vm), w.root);
	kw_free(&w);
}

Test(kernel, a_process_root_gives_way_to_systems)
{
	struct kworld w;
	uint64_t user;

	kw_make(&w, false, false);
	user = fm_root(w.fm);
	for (unsigned i = 256; i < 512; i++)
		fm_w64(w.fm, user + 8 * i, fm_r64(w.fm, w.root + 8 * i));
	w.hints.has_dtb = true;
	w.hints.dtb = user;
	cr_assert_eq(kw_open(&w), 0, "%s", w.e.msg);
	cr_assert_eq(vm_dtb(w.k->vm), w.root);
	kw_free(&w);
}

Test(kernel, wrong_profiles_are_refused_by_name)
{
	struct kworld w;

	kw_make(&w, false, false);
	w.opts.profile_name = "26100-x64/26100";
	for (size_t i = 0; i < 64; i++) { /* the name of 26100's first variant, whatever it is */
		struct profile p;

		if (profset_variant(w.set, 26100, VM_X64, i, &p, NULL) == 0) {
			w.opts.profile_name = strdup(p.name);
			break;
		}
	}
	cr_assert_eq(kw_open(&w), ERR_NOKERNEL, "%s", w.e.msg);
	cr_assert_not_null(strstr(w.e.msg, "fails \""), "%s", w.e.msg);
	free((char *)(uintptr_t)w.opts.profile_name);
	kw_free(&w);
}

Test(kernel, nothing_fits_says_what_is_wanted)
{
	struct kworld w;

	kw_make(&w, true, true);
	profset_disable_builtin(w.set);
	cr_assert_eq(kw_open(&w), ERR_NOKERNEL);
	cr_assert_not_null(strstr(w.e.msg, "ntkrnlmp.pdb"));
	cr_assert_not_null(strstr(w.e.msg, "age 1"));
	cr_assert_not_null(strstr(w.e.msg, "--symbols"));
	phys_free(w.phys);
	w.opts.need_profile = false; /* `info` is content */
	cr_assert_eq(kw_open(&w), 0, "%s", w.e.msg);
	cr_assert_not(w.k->has_profile);
	cr_assert_null(w.k->match);
	cr_assert_eq(w.k->kdbg, w.kdbg);
	kw_free(&w);
}

Test(kernel, no_windows_here)
{
	struct kworld w;

	kw_make(&w, false, false);
	fm_free(w.fm);
	w.fm = fm_new();
	fm_alloc(w.fm, 1000); /* zeros */
	cr_assert_eq(kw_open(&w), ERR_NOKERNEL);
	cr_assert_not_null(strstr(w.e.msg, "no Windows kernel"));
	phys_free(w.phys);
	/* one entry that maps itself, as a Linux module's page might have */
	fm_w64(w.fm, 0x1000000 + 8 * 0x110, 0x1000063);
	cr_assert_eq(kw_open(&w), ERR_NOKERNEL);
	kw_free(&w);
}

static const uint64_t N = KW_POOL + 0x6e000;

Test(kernel, rings_that_are_broken)
{
	struct kworld w;
	struct klist l;
	uint64_t n[6];

	kw_make(&w, false, false);
	for (unsigned i = 0; i < 6; i++)
		n[i] = N + i * 0x40;
	kw_ring(&w, n, 6);
	cr_assert_eq(kw_open(&w), 0);
	cr_assert_eq(klist_collect(&l, w.k, n[0], 100), 0);
	cr_assert(l.n == 5 && !l.broken && l.node[4] == n[5]);
	klist_free(&l);
	cr_assert_eq(klist_collect(&l, w.k, n[0], 3), 0);
	cr_assert(l.n == 3 && l.broken);
	klist_free(&l);
	kernel_close(w.k);
	phys_free(w.phys);
	/* node 3's Flink leads nowhere: 1 2 3 forward, 5 4 backward, in forward order */
	kw_64(&w, n[3], 0x1234);
	cr_assert_eq(kw_open(&w), 0);
	cr_assert_eq(klist_collect(&l, w.k, n[0], 100), 0);
	cr_assert(l.broken && l.where == n[3]);
	cr_assert_eq(l.n, 5);
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(l.node[i], n[i + 1]);
	klist_free(&l);
	kernel_close(w.k);
	phys_free(w.phys);
	/* a loop that never comes back to the head */
	kw_64(&w, n[3], n[2]);
	cr_assert_eq(kw_open(&w), 0);
	cr_assert_eq(klist_collect(&l, w.k, n[0], 100), 0);
	cr_assert(l.broken && l.n == 5);
	klist_free(&l);
	cr_assert_eq(klist_collect(&l, w.k, UINT64_C(0xffffb00000000000), 100), ERR_FAULT);
	kw_free(&w);
}

Test(kernel, processes_behind_a_missing_page)
{
	struct process_list l;
	struct kworld w;

	kw_make(&w, false, false);
	fm_drop(w.fm, fm_r64(w.fm, fm_pte(w.fm, KW_A, w.root, w.proc[1] + 0x448)) & UINT64_C(0xffffff000));
	cr_assert_eq(kw_open(&w), 0, "%s", w.e.msg);
	cr_assert_eq(processes_list(&l, w.k, NULL), 0);
	cr_assert(l.broken);
	cr_assert_eq(l.n, 2);
	cr_assert(l.v[0].pid == 4 && l.v[1].pid == 1008);
	cr_assert_gt(w.notes.n, 0u);
	processes_free(&l);
	kw_free(&w);
}

/* The page of the list's head is lost, or holds other bytes: System is on the ring too. */
Test(kernel, processes_without_the_head)
{
	for (int noise = 0; noise < 2; noise++) {
		uint64_t head, page, system;
		struct process_list l;
		struct kworld w;

		kw_make(&w, false, false);
		head = KW_BASE + w.p.symbol[S_PsActiveProcessHead];
		system = KW_BASE + w.p.symbol[S_PsInitialSystemProcess];
		cr_assert_neq(head >> 12, system >> 12, "the test needs them on two pages");
		page = fm_r64(w.fm, fm_pte(w.fm, KW_A, w.root, head)) & UINT64_C(0xffffff000);
		if (noise)
			for (unsigned i = 0; i < 0x1000; i += 8)
				fm_w64(w.fm, page + i, UINT64_C(0x123456789abcdef) * (i + 1));
		else
			fm_drop(w.fm, page);
		cr_assert_eq(kw_open(&w), 0, "%s", w.e.msg);
		cr_assert_eq(processes_list(&l, w.k, NULL), 0);
		cr_assert(l.broken);
		cr_assert_eq(l.n, 3, "%zu processes", l.n);
		cr_assert(l.v[0].pid == 4 && l.v[1].pid == 1004 && l.v[2].pid == 1008);
		processes_free(&l);
		kw_free(&w);
	}
}
