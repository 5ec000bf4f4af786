/* kernel.c - kernel_open(): root, image, shared page, profile, debugger block, in this order. See kernel.h and find.h. */
#include "kernel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "borrow.h"
#include "find.h"
#include "pfndb.h"
#include "rd.h"

#define SCAN_BUDGET      (UINT64_C(1) << 22) /* pages looked at for an image header, over all roots */
#define LATER_MAX        32u                 /* roots that lack something, for a second look */
#define TICKS_PER_MINUTE INT64_C(600000000)

struct search {
	const struct phys *phys;
	const struct hints *hints;
	struct vm *vm; /* of the root that proved itself */
	struct kimage image;
	struct kuser user;
	uint64_t budget;
	struct root_hint later[LATER_MAX]; /* roots without the shared page, and those with it but without a kernel image */
	unsigned n_later, tried, no_image; /* seen; had a sane shared page but no kernel image */
	const char *too_old;               /* a Windows before Vista that is not read */
	uint32_t old_build;                /* of that one; 0 unknown */
	bool no_memory, saw_x86;
};

static void look_later(struct search *s, const struct root_hint *h)
{
	if (s->n_later < LATER_MAX)
		s->later[s->n_later++] = *h;
}

/* Tables of one format can look like those of another one; the image's own word decides. */
static bool of_machine(enum vm_arch arch, uint16_t machine)
{
	bool x64 = arch == VM_X64 || arch == VM_X64_LA57;

	switch (machine) {
	case 0x8664:
		return x64;
	case 0xaa64:
		return arch == VM_ARM64;
	case 0x14c:
		return arch == VM_X86 || arch == VM_X86_PAE;
	default:
		return true;
	}
}

/* A kernel image from any address that may lie in it. */
static bool find_image(struct search *s, struct vm *vm, const struct root_hint *h, bool usual)
{
	const struct hints *n = s->hints;
	const uint64_t inside[] = {h->va, n && n->has_kdbg ? n->kdbg : 0, n && n->has_loaded_modules ? n->loaded_modules : 0,
				   n && n->has_process_head ? n->process_head : 0, n && n->has_kernel_base ? n->kernel_base : 0};

	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++)
		if (inside[i] && kimage_below(vm, inside[i], &s->image) && of_machine(h->arch, s->image.machine))
			return true;
	return kimage_scan(vm, usual, &s->budget, &s->image) && of_machine(h->arch, s->image.machine);
}

static bool read_u32(struct vm *vm, uint64_t va, uint32_t *out)
{
	uint8_t b[4];

	if (!va || vm_read(vm, va, b, 4) < 0)
		return false;
	*out = le32(b);
	return true;
}

/* Which one it is, for the line that refuses it. */
static void too_old(struct search *s, struct vm *vm, const struct root_hint *h, const char *what)
{
	uint32_t v;

	if (!s->too_old && find_image(s, vm, h, false) && read_u32(vm, kimage_export(vm, &s->image, "NtBuildNumber"), &v))
		s->old_build = v & 0xffff;
	if (!s->too_old && !s->old_build && s->hints)
		s->old_build = s->hints->build;
	s->too_old = what;
}

static bool try_root(void *ctx, const struct root_hint *h)
{
	struct search *s = ctx;
	struct kuser u;
	struct vm *vm;

	s->tried++;
	s->saw_x86 |= h->arch == VM_X86 || h->arch == VM_X86_PAE;
	if (vm_open(&vm, s->phys, h->arch, h->dtb, NULL) < 0) {
		s->no_memory = true;
		return false;
	}
	kuser_read(vm, &u);
	if (kuser_sane(&u) && find_image(s, vm, h, false)) {
		s->vm = vm;
		s->user = u;
		return true;
	} else if (kuser_old(&u)) {
		too_old(s, vm, h, kuser_old(&u));
	} else if (kuser_sane(&u)) {
		s->no_image++;
		look_later(s, h);
	} else {
		look_later(s, h);
	}
	vm_close(vm);
	return false;
}

/* What lacked something, once more: a kernel image proves a root without the shared page; a record of its debug directory, found in physical memory,
 * proves one whose image has lost its headers. */
static bool try_again(struct search *s, const struct kernel_opts *o)
{
	/* tables read in another form than theirs can show the image as well, through the root's way to itself, but not where kernels usually stand */
	for (unsigned i = 0; i < 2 * s->n_later; i++) {
		const struct root_hint *h = &s->later[i % s->n_later];
		struct vm *vm;

		if (i % s->n_later == 0)
			s->budget = SCAN_BUDGET;
		if (vm_open(&vm, s->phys, h->arch, h->dtb, NULL) < 0)
			return false;
		kuser_read(vm, &s->user);
		if (!kuser_sane(&s->user))
			memset(&s->user, 0, sizeof(s->user));
		s->vm = vm;
		if (!s->user.there && !s->user.mapped && find_image(s, vm, h, i < s->n_later))
			return true;
		vm_close(vm);
	}
	for (unsigned i = 0; i < s->n_later; i++) {
		struct vm *vm;

		if (vm_open(&vm, s->phys, s->later[i].arch, s->later[i].dtb, NULL) < 0)
			return false;
		kuser_read(vm, &s->user);
		s->vm = vm;
		if (kuser_sane(&s->user) && of_machine(s->later[i].arch, s->user.machine) &&
		    kimage_headless(vm, s->hints, o->profiles, &s->user, &s->image))
			return true;
		vm_close(vm);
	}
	return false;
}

static int refuse_old(const char *what, uint32_t build, struct err *e)
{
	char number[24] = "";

	if (build)
		snprintf(number, sizeof(number), ", build %u", build);
	return err_set(e, ERR_NOKERNEL,
		       "%s%s: too old; kernels are read from Windows Vista on, and of older ones only what has the layouts of XP SP3 "
		       "(x86) and Server 2003 SP2",
		       what, number);
}

static int not_found(const struct search *s, const struct kernel_opts *o, struct err *e)
{
	if (s->no_memory)
		return err_set(e, ERR_NOMEM, "out of memory");
	if (s->too_old)
		return refuse_old(s->too_old, s->old_build, e);
	if (s->no_image)
		return err_set(e, ERR_NOKERNEL, "page tables of a Windows system, but its kernel image is not in this image");
	if (o->has_dtb)
		return err_set(e, ERR_NOKERNEL, "no Windows kernel under the page-table root %#llx that was given (--dtb)",
			       (unsigned long long)o->dtb);
	if (s->saw_x86 && !(s->hints && s->hints->machine == MACHINE_X64))
		return err_set(e, ERR_NOKERNEL, "looks like a 32-bit system, but no page-table root maps a Windows kernel");
	return err_set(e, ERR_NOKERNEL, "no Windows kernel found: no page-table root maps one");
}

static int find_root(struct search *s, const struct kernel_opts *o, struct err *e)
{
	if (roots_hinted(s->phys, s->hints, o, try_root, s))
		return 0;
	if (!o->has_dtb && roots_scanned(s->phys, try_root, s))
		return 0;
	return !s->too_old && try_again(s, o) ? 0 : not_found(s, o, e);
}

static void take_facts(struct kernel *k, const struct search *s)
{
	const struct kuser *u = &s->user;

	k->base = s->image.base;
	k->rsds = s->image.rsds;
	k->image_size = s->image.size;
	k->pe_timestamp = s->image.timestamp;
	memcpy(k->pdb_name, s->image.pdb, sizeof(k->pdb_name));
	k->pdb_guid = s->image.guid;
	k->pdb_age = s->image.age;
	if (u->there) {
		k->major = (uint8_t)u->major;
		k->minor = (uint8_t)u->minor;
		k->build = u->build;
		k->n_cpus = u->n_cpus;
		k->system_time = u->system_time > 0 ? u->system_time : 0;
		k->qpc_frequency = u->qpc_frequency;
		k->bias = (int32_t)(u->bias_100ns / TICKS_PER_MINUTE);
		k->has_bias = true;
	}
}

/* The build number where the shared page has none: the exported NtBuildNumber, else what the dump's header says. */
static void find_build(struct kernel *k, const struct search *s)
{
	uint32_t v;

	if (k->build)
		return;
	if (read_u32(k->vm, kimage_export(k->vm, &s->image, "NtBuildNumber"), &v) && (v & 0xffff))
		k->build = v & 0xffff;
	else if (s->hints && s->hints->build)
		k->build = s->hints->build;
	else
		k->build = kimage_build_lab(k->vm, k->base);
	if (!k->build)
		k->build = kuser_only_build(k->major, k->minor);
}

/* What only symbols or the profile tell. */
static void late_facts(struct kernel *k, const struct search *s)
{
	uint64_t va;
	uint32_t v;
	uint8_t b[8];

	if (k->has_profile && k->prof.version[0] && k->prof.has_guid && guid_equal(&k->prof.guid, &k->pdb_guid) &&
	    k->prof.age == k->pdb_age)
		snprintf(k->version, sizeof(k->version), "%s", k->prof.version);
	if (!k->build && kernel_symbol(k, S_NtBuildNumber, &va) && read_u32(k->vm, va, &v))
		k->build = v & 0xffff;
	if (!k->build && k->has_profile)
		k->build = k->prof.build;
	if (!k->n_cpus && kernel_symbol(k, S_KeNumberProcessors, &va) && read_u32(k->vm, va, &v) && v <= HINTS_CPUS_MAX)
		k->n_cpus = v;
	if (!k->n_cpus && read_u32(k->vm, kimage_export(k->vm, &s->image, "KeNumberProcessors"), &v)) {
		if (k->has_profile && prof_size(&k->prof, T_KUSER) && !prof_has(&k->prof, F_KUSER_ActiveProcessorCount))
			v &= 0xff; /* a CCHAR before Windows 7 (ntddk.h) */
		k->n_cpus = v <= HINTS_CPUS_MAX ? v : 0;
	}
	if (!k->n_cpus && s->hints)
		k->n_cpus = s->hints->n_cpus_claimed;
	if (!k->system_time && s->hints)
		k->system_time = s->hints->system_time;
	if (!k->qpc_frequency && kernel_symbol(k, S_EtwPerfFreq, &va) && vm_read(k->vm, va, b, 8) >= 0)
		k->qpc_frequency = le64(b);
	for (unsigned i = 0; i < 2 && !k->boot_time; i++)
		if (kernel_symbol(k, i ? S_EtwpBootTime : S_KeBootTime, &va) && vm_read(k->vm, va, b, 8) >= 0 && (int64_t)le64(b) > 0 &&
		    (!k->system_time || (int64_t)le64(b) <= k->system_time))
			k->boot_time = (int64_t)le64(b);
	if (!k->boot_time && k->system_time && s->user.there && s->user.interrupt_time > 0 && s->user.interrupt_time < k->system_time)
		k->boot_time = k->system_time - s->user.interrupt_time;
}

/* Address bits of memory that ends at `end`. An image cut short has more behind its end: 32 GiB at least are allowed for, and the mask of the
 * smallest processors (36 address bits) stands above that. */
static uint8_t memory_bits(uint64_t end)
{
	uint8_t bits = 35;

	while (bits < 52 && end > UINT64_C(1) << bits)
		bits++;
	return bits;
}

static bool mask_by_symbol(const struct kernel *k, uint64_t *mask)
{
	uint64_t va;
	uint8_t b[8];

	if (kernel_symbol(k, S_MiState, &va) && prof_has(&k->prof, F_MISYS_Hardware) && prof_has(&k->prof, F_MIHW_InvalidPteMask))
		return kread_u64(k, va + prof_off(&k->prof, F_MISYS_Hardware), F_MIHW_InvalidPteMask, mask) == 0;
	if (!kernel_symbol(k, S_MiInvalidPteMask, &va) || vm_read(k->vm, va, b, 8) < 0)
		return false;
	*mask = le64(b);
	return true;
}

/* Where software PTEs keep their bits, and the mask that servicing brought. The layouts of some builds are only known as they were before that
 * update: entries that agree on a mask show a serviced kernel. */
static void set_traits(struct kernel *k)
{
	struct vm_traits *t = &k->prof.traits.vm, newer;
	uint64_t mask = 0;

	if (!k->has_profile)
		return;
	newer = *t;
	newer.memory_bits = memory_bits(phys_end(k->phys));
	if (!t->has_swizzle) {
		newer.has_swizzle = true;
		newer.swizzle_bit = vm_traits_default.swizzle_bit;
		newer.pagefile_low_shift = vm_traits_default.pagefile_low_shift;
	}
	if (t->has_swizzle && mask_by_symbol(k, &mask)) {
		t->invalid_pte_mask = mask;
	} else if (t->has_swizzle || !(k->prof.has_guid && guid_equal(&k->prof.guid, &k->pdb_guid))) {
		vm_set_traits(k->vm, &newer);
		if (vm_learn_mask(k->vm, &mask) && (mask || t->has_swizzle)) {
			*t = newer;
			t->invalid_pte_mask = mask;
			t->memory_bits = 0;
		} else if (t->has_swizzle) {
			*t = newer;
		}
	}
	vm_set_traits(k->vm, t);
}

bool kernel_maps(const struct kernel *k, struct vm *vm)
{
	uint64_t here, there;
	struct kimage im;

	if (k->rsds)
		return vm_pa(k->vm, k->rsds, &here) && vm_pa(vm, k->rsds, &there) && here == there;
	return kimage_at(vm, k->base, &im) && guid_equal(&im.guid, &k->pdb_guid);
}

struct pfndb *kernel_pfndb(struct kernel *k)
{
	if (!k->pfndb_looked_for) {
		k->pfndb_looked_for = true; /* before: what it reads may lead here */
		if (pfndb_open(&k->pfndb, k) < 0)
			k->pfndb = NULL;
	}
	return k->pfndb;
}

size_t kernel_tables_rebuilt(const struct kernel *k)
{
	return k->pfndb ? pfndb_n_tables(k->pfndb) : 0;
}

static const uint8_t *lost_table(void *ctx, uint64_t pa)
{
	struct kernel *k = ctx;
	struct pfndb *db = kernel_pfndb(k);
	const uint8_t *table = db ? pfndb_table(db, pa) : NULL;

	if (db && pfndb_limited(db))
		notes_add(k->notes, &NOTE(NOTE_LIMIT_REACHED), "more than %u page tables are lost: the others are not put together",
			  PFNDB_TABLES_MAX);
	return table;
}

/* A dump's header may name the root of whatever process ran: go over to System's, so that every container of one memory says the same. */
static void system_root(struct kernel *k, const struct search *s)
{
	uint64_t head = k->has_profile ? kernel_process_head(k) : 0, link, ep, pid, dtb;
	struct vm *vm;
	struct kuser u;
	bool ok;

	if (!head || !prof_has(&k->prof, F_EPROCESS_ActiveProcessLinks) || kread_ptr_at(k, head, &link) < 0)
		return;
	ep = link - prof_off(&k->prof, F_EPROCESS_ActiveProcessLinks);
	if (kread_ptr(k, ep, F_EPROCESS_UniqueProcessId, &pid) < 0 || pid != 4)
		return;
	if (kread_ptr(k, ep, F_KPROCESS_DirectoryTableBase, &dtb) < 0 || !dtb || dtb == vm_dtb(k->vm))
		return;
	if (vm_open(&vm, k->phys, vm_arch(k->vm), dtb, NULL) < 0)
		return;
	kuser_read(vm, &u);
	ok = (kuser_sane(&u) || !s->user.there) && kernel_maps(k, vm);
	if (!ok) {
		vm_close(vm);
		return;
	}
	vm_close(k->vm);
	k->vm = vm;
	vm_set_traits(vm, &k->prof.traits.vm);
	vm_set_lost_tables(vm, lost_table, k);
}

static int give_pagefiles(struct kernel *k, const struct kernel_opts *o, struct err *e)
{
	for (size_t i = 0; i < o->n_pagefiles; i++) {
		int rc = vm_set_pagefile(k->vm, (unsigned)i, o->pagefiles[i], e);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int choose(struct kernel *k, const struct kernel_opts *o, const struct hints *hints, struct err *e)
{
	int rc;

	if (!o->profiles)
		return o->need_profile ? err_set(e, ERR_NOKERNEL, "no profiles") : 0;
	rc = profile_choose(k, hints, o, e);
	if (rc != ERR_NOTFOUND)
		return rc;
	if (!o->need_profile)
		return 0;
	if (e)
		e->code = ERR_NOKERNEL;
	return ERR_NOKERNEL;
}

int kernel_open(struct kernel **out, const struct phys *phys, const struct hints *hints, const struct kernel_opts *o, struct notes *notes,
		struct err *e)
{
	struct search s = {.phys = phys, .hints = hints, .budget = SCAN_BUDGET};
	struct kernel *k;
	int rc = find_root(&s, o, e);

	if (rc < 0)
		return rc;
	k = calloc(1, sizeof(*k));
	if (!k) {
		vm_close(s.vm);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	k->phys = phys;
	k->vm = s.vm;
	k->notes = notes;
	take_facts(k, &s);
	if (s.image.guessed) {
		struct note n = NOTE_AT(NOTE_PAGE_MISSING, k->base, 0);

		notes_add(notes, &n, "the kernel's headers: it is taken to begin at the lowest page before its debug record");
	}
	(void)kernel_version(k->pe_timestamp, k->image_size, k->version);
	find_build(k, &s);
	k->claimed_pfn_database = hints && hints->has_pfn_database ? hints->pfn_database : 0;
	k->claimed_head = hints && hints->has_process_head ? hints->process_head : 0;
	rc = choose(k, o, hints, e);
	if ((rc == 0 && !k->has_profile) || rc == ERR_NOKERNEL) {
		const char *old = kuser_old(&s.user);

		rc = old && !o->profile_name ? refuse_old(old, k->build, e) : rc;
	}
	if (rc == 0) {
		set_traits(k);
		if (!k->kdbg)
			kdbg_find(k, hints);
		if (k->has_profile && o->profiles)
			borrow_pages(k, o->profiles);
		vm_set_lost_tables(k->vm, lost_table, k);
		if (!k->debugger_data)
			debugger_data_find(k);
		process_head_find(k);
		if (k->has_profile)
			infer_process(k);
		system_root(k, &s);
		late_facts(k, &s);
		if (k->has_profile && o->profiles)
			borrow_processors(k, o->profiles);
		rc = give_pagefiles(k, o, e);
	}
	if (rc < 0) {
		kernel_close(k);
		return rc;
	}
	*out = k;
	return 0;
}

void kernel_close(struct kernel *k)
{
	if (!k)
		return;
	pfndb_close(k->pfndb);
	vm_close(k->vm);
	free(k->inferred);
	free(k);
}

bool kernel_symbol(const struct kernel *k, enum prof_symbol s, uint64_t *va)
{
	if (!k->has_profile || !prof_has_symbol(&k->prof, s) || k->prof.symbol[s] >= k->image_size)
		return false;
	*va = k->base + k->prof.symbol[s];
	return true;
}
