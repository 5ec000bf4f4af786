/* src/addrspace: translations of page tables that are written down as text (testdata/pt; the format is in its README.md), and what text
 * can't say: caches, padded reads, scans, hostile tables. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fakemem.h"
#include "rd.h"
#include "vm.h"

#define LINE_MAX_ 4096

struct script {
	struct fakemem *fm;
	struct phys *phys;
	struct vm *vm, *child;
	enum vm_arch arch;
	uint64_t dtb, kernel_dtb;
	struct vm_traits traits;
	uint8_t pf[8 * 4096];
	unsigned pf_n;
	size_t pf_len;
	struct input *pf_in;
	unsigned checks;
};

static uint64_t num(void)
{
	const char *t = strtok(NULL, " \t\n");

	cr_assert_not_null(t, "a number is missing");
	return strtoull(t, NULL, 16);
}

static const char *word(void)
{
	return strtok(NULL, " \t\n");
}

static void ready(struct script *s)
{
	struct vm *vm = NULL;

	if (s->vm)
		return;
	s->phys = fm_phys(s->fm);
	cr_assert_eq(vm_open(&vm, s->phys, s->arch, s->kernel_dtb ? s->kernel_dtb : s->dtb, NULL), 0);
	vm_set_traits(vm, &s->traits);
	if (s->pf_len) {
		cr_assert_eq(input_open_memory(&s->pf_in, s->pf, s->pf_len, "pagefile", NULL), 0);
		cr_assert_eq(vm_set_pagefile(vm, s->pf_n, s->pf_in, NULL), 0);
	}
	s->vm = vm;
	if (s->kernel_dtb)
		cr_assert_eq(vm_open_like(&s->child, vm, s->dtb, NULL), 0);
}

static struct vm *target(struct script *s)
{
	ready(s);
	return s->child ? s->child : s->vm;
}

static const char *why_word(enum vm_why w)
{
	static const char *const t[] = {"ok", "not_mapped", "paged_out", "not_in_image", "not_canonical", "proto_lost", "demand_zero"};

	return t[w];
}

static void do_page(struct script *s, const char *file, unsigned line)
{
	uint64_t va = num();
	const char *want = word();
	struct vm_page p;
	char rights[5] = "----";

	vm_page(target(s), va, &p);
	s->checks++;
	if (!strcmp(want, "pagefile")) {
		cr_assert(p.why == VM_OK && p.in_pagefile, "%s:%u: %s", file, line, why_word(p.why));
		cr_assert_eq(p.pagefile_n, num(), "%s:%u", file, line);
		cr_assert_eq(p.pagefile_off, num(), "%s:%u: %llx", file, line, (unsigned long long)p.pagefile_off);
		return;
	}
	cr_assert_str_eq(why_word(p.why), want, "%s:%u: %s", file, line, why_word(p.why));
	if (p.why == VM_OK)
		cr_assert_eq(p.pa, num(), "%s:%u: pa %llx", file, line, (unsigned long long)p.pa);
	want = word();
	if (want)
		cr_assert_eq(p.page_size, strtoull(want, NULL, 16), "%s:%u: size %llx", file, line, (unsigned long long)p.page_size);
	want = word();
	if (want) {
		rights[0] = p.page_size ? 'r' : '-';
		rights[1] = p.writable ? 'w' : '-';
		rights[2] = p.executable ? 'x' : '-';
		rights[3] = p.user ? 'u' : '-';
		cr_assert_str_eq(rights, want, "%s:%u: %s", file, line, rights);
	}
}

static void do_read(struct script *s, const char *file, unsigned line)
{
	uint64_t va = num(), at;
	const char *want = word();
	uint8_t b[8];
	int rc = vm_read(target(s), va, b, 8);

	s->checks++;
	if (rc == 0) {
		cr_assert_eq(le64(b), strtoull(want, NULL, 16), "%s:%u: %llx", file, line, (unsigned long long)le64(b));
		return;
	}
	cr_assert_eq(rc, ERR_FAULT);
	cr_assert_str_eq(why_word(vm_fault(target(s), &at)), want, "%s:%u", file, line);
}

static void do_next(struct script *s, const char *file, unsigned line)
{
	uint64_t va = num(), end = num(), start = 0, len = 0;
	bool ok = vm_next_mapped(target(s), va, end, &start, &len);
	const char *want = word();

	s->checks++;
	if (!strcmp(want, "none")) {
		cr_assert_not(ok, "%s:%u: %llx", file, line, (unsigned long long)start);
		return;
	}
	cr_assert(ok, "%s:%u: none", file, line);
	cr_assert_eq(start, strtoull(want, NULL, 16), "%s:%u: start %llx", file, line, (unsigned long long)start);
	cr_assert_eq(len, num(), "%s:%u: len %llx", file, line, (unsigned long long)len);
}

static void do_line(struct script *s, char *text, const char *file, unsigned line)
{
	const char *v = strtok(text, " \t\n"), *t;
	uint64_t at;

	if (!v || v[0] == '#')
		return;
	if (!strcmp(v, "arch")) {
		static const char *const names[] = {"x64", "la57", "x86", "pae", "arm64"};

		t = word();
		for (s->arch = VM_X64; s->arch <= VM_ARM64 && strcmp(names[s->arch], t) != 0;)
			s->arch++;
		cr_assert_leq(s->arch, VM_ARM64, "%s:%u", file, line);
	} else if (!strcmp(v, "dtb")) {
		s->dtb = num();
	} else if (!strcmp(v, "kernel_dtb")) {
		s->kernel_dtb = num();
	} else if (!strcmp(v, "mask")) {
		s->traits.invalid_pte_mask = num();
	} else if (!strcmp(v, "old_bits")) { /* before the L1TF update: number at bit 1, no swizzle */
		s->traits.pagefile_low_shift = 1;
		s->traits.has_swizzle = false;
	} else if (!strcmp(v, "pfn_bits")) {
		s->traits.pfn_bits = (uint8_t)num();
	} else if (!strcmp(v, "q") || !strcmp(v, "d")) {
		for (at = num(); (t = word()); at += v[0] == 'q' ? 8 : 4) {
			if (v[0] == 'q')
				fm_w64(s->fm, at, strtoull(t, NULL, 16));
			else
				fm_w32(s->fm, at, (uint32_t)strtoul(t, NULL, 16));
		}
	} else if (!strcmp(v, "pagefile")) {
		s->pf_n = (unsigned)num();
		s->pf_len = num();
		cr_assert_leq(s->pf_len, sizeof(s->pf));
	} else if (!strcmp(v, "pq")) {
		at = num();
		cr_assert_leq(at, sizeof(s->pf) - 8);
		put_le64(s->pf + at, num());
	} else if (!strcmp(v, "page")) {
		do_page(s, file, line);
	} else if (!strcmp(v, "read")) {
		do_read(s, file, line);
	} else if (!strcmp(v, "next")) {
		do_next(s, file, line);
	} else {
		cr_assert_fail("%s:%u: what is %s?", file, line, v);
	}
}

static unsigned run_file(const char *path)
{
	static struct script s;
	char line[LINE_MAX_];
	unsigned n = 0;
	FILE *f = fopen(path, "r");

	cr_assert_not_null(f, "%s", path);
	memset(&s, 0, sizeof(s));
	s.traits = vm_traits_default;
	s.fm = fm_new();
	while (fgets(line, sizeof(line), f))
		do_line(&s, line, path, ++n);
	fclose(f);
	vm_close(s.child);
	vm_close(s.vm);
	input_close(s.pf_in);
	phys_free(s.phys);
	fm_free(s.fm);
	return s.checks;
}

Test(vm, page_tables_as_text)
{
	DIR *d = opendir("testdata/pt");
	struct dirent *e;
	unsigned files = 0;

	cr_assert_not_null(d);
	while ((e = readdir(d))) {
		char path[512];
		size_t n = strlen(e->d_name);

		if (n < 5 || strcmp(e->d_name + n - 4, ".txt") != 0)
			continue;
		snprintf(path, sizeof(path), "testdata/pt/%s", e->d_name);
		cr_assert_gt(run_file(path), 3u, "%s checks nothing", path);
		files++;
	}
	closedir(d);
	cr_assert_geq(files, 8u);
}

struct world {
	struct fakemem *fm;
	uint64_t root;
	struct phys *phys;
	struct vm *vm;
};

static void world_open(struct world *w)
{
	w->phys = fm_phys(w->fm);
	cr_assert_eq(vm_open(&w->vm, w->phys, VM_X64, w->root, NULL), 0);
}

static void world_close(struct world *w)
{
	vm_close(w->vm);
	phys_free(w->phys);
	fm_free(w->fm);
}

Test(vm, padded_read_names_every_hole)
{
	const uint64_t va = UINT64_C(0xffffa00000000000);
	struct world w = {.fm = fm_new()};
	struct vm_missing m[3];
	static uint8_t b[8 * 4096];
	size_t n;

	w.root = fm_root(w.fm);
	for (unsigned i = 0; i < 8; i++) {
		if (i == 1 || i == 2)
			continue;
		fm_map_new(w.fm, VM_X64, w.root, va + i * 4096, 4096, 0);
		fm_v8(w.fm, VM_X64, w.root, va + i * 4096, (uint8_t)(i + 1));
	}
	fm_w64(w.fm, fm_pte(w.fm, VM_X64, w.root, va + 2 * 4096), UINT64_C(0x0000000700000080)); /* in pagefile 0 */
	fm_drop(w.fm, fm_r64(w.fm, fm_pte(w.fm, VM_X64, w.root, va + 5 * 4096)) & ~UINT64_C(0xfff));
	fm_drop(w.fm, fm_r64(w.fm, fm_pte(w.fm, VM_X64, w.root, va + 6 * 4096)) & ~UINT64_C(0xfff));
	world_open(&w);

	memset(b, 0xee, sizeof(b));
	n = vm_read_padded(w.vm, va + 8, b, sizeof(b) - 16, m, 3);
	cr_assert_eq(n, 3);
	cr_assert(m[0].va == va + 4096 && m[0].len == 4096 && m[0].why == VM_NOT_MAPPED);
	cr_assert(m[1].va == va + 2 * 4096 && m[1].len == 4096 && m[1].why == VM_PAGED_OUT);
	cr_assert(m[2].va == va + 5 * 4096 && m[2].len == 2 * 4096 && m[2].why == VM_NOT_IN_IMAGE);
	cr_assert_eq(b[4096 - 8], 0);
	cr_assert_eq(b[3 * 4096 - 8], 4);
	cr_assert_eq(b[5 * 4096 + 100], 0);
	cr_assert_eq(b[7 * 4096 - 8], 8);
	cr_assert_eq(b[sizeof(b) - 16], 0xee);

	/* fewer slots than holes: the last one covers the rest of the trouble */
	n = vm_read_padded(w.vm, va, b, sizeof(b), m, 1);
	cr_assert_eq(n, 1);
	cr_assert(m[0].va == va + 4096 && m[0].len == 6 * 4096);
	/* all or nothing */
	cr_assert_eq(vm_read(w.vm, va + 4000, b, 200), ERR_FAULT);
	cr_assert_eq(vm_read(w.vm, va + 3 * 4096 + 4000, b, 200), 0);
	cr_assert_eq(vm_read(w.vm, UINT64_MAX - 3, b, 8), ERR_FAULT);
	world_close(&w);
}

Test(vm, many_pages_through_a_small_cache)
{
	const uint64_t va = UINT64_C(0xffff900000000000);
	struct world w = {.fm = fm_new()};
	uint8_t b[8];

	w.root = fm_root(w.fm);
	fm_map_new(w.fm, VM_X64, w.root, va, 6000 * 4096, FM_WRITE);
	for (uint64_t i = 0; i < 6000; i++)
		fm_v64(w.fm, VM_X64, w.root, va + i * 4096 + 16, i * 3);
	world_open(&w);
	for (unsigned pass = 0; pass < 2; pass++)
		for (uint64_t i = 0; i < 6000; i++) {
			uint64_t k = pass ? (i * 1237) % 6000 : i;

			cr_assert_eq(vm_read(w.vm, va + k * 4096 + 16, b, 8), 0);
			cr_assert_eq(le64(b), k * 3);
		}
	world_close(&w);
}

Test(vm, tables_that_point_at_themselves_end)
{
	struct world w = {.fm = fm_new()};
	uint64_t start, len, at = 0, total = 0;
	struct vm_page p;

	/* a root whose every second entry is itself: everything is "mapped" to it, and every walk still has four steps */
	w.root = fm_root(w.fm);
	for (unsigned i = 0; i < 512; i += 2)
		fm_w64(w.fm, w.root + 8 * i, w.root | 0x63);
	world_open(&w);
	vm_page(w.vm, 0, &p);
	cr_assert(p.why == VM_OK && p.pa == w.root);
	for (unsigned i = 0; i < 100; i++) {
		cr_assert(vm_next_mapped(w.vm, at, UINT64_MAX, &start, &len));
		cr_assert_gt(start + len, at);
		at = start + len;
		total += len;
	}
	cr_assert_eq(total, 100u * 4096);
	world_close(&w);
}

Test(vm, empty_tables_shared_by_everyone_end)
{
	struct world w = {.fm = fm_new()};
	uint64_t start, len, t[3];

	/* 2^27 walks lead to one empty page table: the scan gives up at its limit instead of running for hours */
	w.root = fm_root(w.fm);
	for (unsigned i = 0; i < 3; i++)
		t[i] = fm_alloc(w.fm, 1);
	for (unsigned i = 0; i < 512; i++) {
		fm_w64(w.fm, w.root + 8 * i, t[0] | 0x63);
		fm_w64(w.fm, t[0] + 8 * i, t[1] | 0x63);
		fm_w64(w.fm, t[1] + 8 * i, t[2] | 0x63);
	}
	world_open(&w);
	cr_assert_not(vm_next_mapped(w.vm, 0, UINT64_MAX, &start, &len));
	world_close(&w);
}

/* Entries of 1 GiB to memory that no image has: one step each, and the pieces of one that is there in part are all seen. */
Test(vm, large_pages_outside_of_the_image_are_one_hole)
{
	const uint64_t gib = UINT64_C(1) << 30, base = UINT64_C(0xffff900000000000);
	struct world w = {.fm = fm_new()};
	uint64_t start, len, there;
	struct vm_page p;

	w.root = fm_root(w.fm);
	fm_map_new(w.fm, VM_X64, w.root, base + 511 * gib, 4096, FM_WRITE);
	there = fm_r64(w.fm, fm_pte(w.fm, VM_X64, w.root, base + 511 * gib)) & ~UINT64_C(0xfff);
	for (uint64_t i = 0; i < 510; i++) {
		uint64_t top = fm_r64(w.fm, w.root + 8 * (base >> 39 & 511)) & UINT64_C(0xffffffffff000);

		fm_w64(w.fm, top + 8 * i, ((64 + i) * gib) | 0xe3);
	}
	world_open(&w);
	vm_page(w.vm, base + 5 * gib + 12345, &p);
	cr_assert(p.why == VM_NOT_IN_IMAGE && p.page_size == gib && p.pa == 69 * gib + 12345);
	cr_assert(vm_next_mapped(w.vm, base, UINT64_MAX, &start, &len)); /* by 4 K it were over the limit */
	cr_assert(start == base + 511 * gib && len == 4096);
	vm_close(w.vm);
	/* one of which the image has some */
	fm_w64(w.fm, fm_r64(w.fm, w.root + 8 * (base >> 39 & 511)) & UINT64_C(0xffffffffff000), (there & ~(gib - 1)) | 0xe3);
	phys_free(w.phys);
	world_open(&w);
	cr_assert(vm_next_mapped(w.vm, base, base + gib, &start, &len));
	while (start + len <= base + (there & (gib - 1)))
		cr_assert(vm_next_mapped(w.vm, start + len, base + gib, &start, &len));
	cr_assert(start <= base + (there & (gib - 1)));
	vm_page(w.vm, base + gib - 1, &p);
	cr_assert(p.why == VM_NOT_IN_IMAGE && p.page_size >= 4096 && p.page_size < gib && (p.page_size & (p.page_size - 1)) == 0);
	world_close(&w);
}
