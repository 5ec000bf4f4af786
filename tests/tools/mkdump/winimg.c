/* winimg.c - see winimg.h: the machine, the kernel image and its symbols, processes, objects, silos. Sessions are winses.c's. */
#include "winimg.h"
#include "winpaged.h"

#include <stdlib.h>
#include <string.h>

#include "payload.h"
#include "rd.h"

#define POOL         UINT64_C(0xffff9a0000000000)
#define POOL_44      UINT64_C(0xfffffa8000000000) /* Windows 7 and 8 have a kernel half of 8 TB */
#define POOL_32      UINT64_C(0x8b000000)
#define SLOTS_OFF_32 0x2cu /* in EtwSupport: a place of our own, nobody has published the real one */

bool wi_has(const struct winimg *w, enum prof_field f)
{
	return prof_has(&w->p, f);
}

uint64_t wi_alloc(struct winimg *w, uint64_t n, uint64_t align)
{
	uint64_t va = (w->pool + align - 1) & ~(align - 1);

	w->pool = va + n + 16;
	wm_touch(&w->k, va, n);
	return va;
}

void wi_set(struct winimg *w, uint64_t obj, enum prof_field f, uint64_t v, unsigned size)
{
	const struct prof_member *m = &w->p.field[f];

	if (m->off == PROF_ABSENT)
		return;
	if (m->bits) {
		uint64_t mask = (m->bits == 64 ? ~UINT64_C(0) : (UINT64_C(1) << m->bits) - 1) << m->bit;
		uint64_t old = wm_get(&w->k, obj + m->off, 8);

		wm_put(&w->k, obj + m->off, (old & ~mask) | (v << m->bit & mask), 8);
		return;
	}
	wm_put(&w->k, obj + m->off, v, size);
}

void wi_symbol(struct winimg *w, enum prof_symbol s, uint64_t v, unsigned size)
{
	if (w->p.symbol[s])
		wm_put(&w->k, w->base + w->p.symbol[s], v, size);
}

uint64_t wi_symbol_va(const struct winimg *w, enum prof_symbol s)
{
	return w->p.symbol[s] ? w->base + w->p.symbol[s] : 0;
}

uint64_t wi_kuser(const struct winimg *w)
{
	return w->ps == 8 ? UINT64_C(0xfffff78000000000) : 0xffdf0000;
}

uint64_t wi_nowhere(const struct winimg *w)
{
	return w->ps == 8 ? UINT64_C(0xffff9a00deadb000) : 0xbdeab000;
}

void wi_put_ptr(struct winimg *w, uint64_t va, uint64_t v)
{
	wm_put(&w->k, va, v, w->ps);
}

uint64_t wi_get_ptr(struct winimg *w, uint64_t va)
{
	return wm_get(&w->k, va, w->ps);
}

void wi_ring_init(struct winimg *w, uint64_t head)
{
	wi_put_ptr(w, head, head);
	wi_put_ptr(w, head + w->ps, head);
}

/* Appends an entry to the ring at head. */
void wi_ring_add(struct winimg *w, uint64_t head, uint64_t entry)
{
	uint64_t last = wi_get_ptr(w, head + w->ps);

	wi_put_ptr(w, entry, head);
	wi_put_ptr(w, entry + w->ps, last);
	wi_put_ptr(w, last, entry);
	wi_put_ptr(w, head + w->ps, entry);
}

/* ---- the kernel image --------------------------------------------------------------------------------------------------------------------- */

static uint64_t image_size(const struct winimg *w)
{
	uint64_t top = 0x100000;

	for (unsigned i = 0; i < PROF_SYMBOLS; i++)
		if (w->p.symbol[i] > top)
			top = w->p.symbol[i];
	return (top + 0x200000) & ~UINT64_C(0xfff);
}

/* An export directory with the data symbols that every kernel exports (layouts.md section 6), sorted by name. */
static void put_exports(const struct winimg *w, uint8_t *h, uint8_t *dirs)
{
	static const enum prof_symbol sym[] = {S_KeNumberProcessors, S_NtBuildNumber, S_PsInitialSystemProcess};
	static const char *const name[] = {"KeNumberProcessors", "NtBuildNumber", "PsInitialSystemProcess"};
	uint8_t *dir = h + 0x800;
	uint32_t text = 0x880;

	put_le32(dir + 0x10, 1);
	put_le32(dir + 0x14, 3);
	put_le32(dir + 0x18, 3);
	put_le32(dir + 0x1c, 0x830);
	put_le32(dir + 0x20, 0x840);
	put_le32(dir + 0x24, 0x850);
	for (unsigned i = 0; i < 3; i++) {
		put_le32(h + 0x830 + 4 * i, (uint32_t)w->p.symbol[sym[i]]);
		put_le32(h + 0x840 + 4 * i, text);
		put_le16(h + 0x850 + 2 * i, (uint16_t)i);
		memcpy(h + text, name[i], strlen(name[i]));
		text += (uint32_t)strlen(name[i]) + 1;
	}
	put_le32(dirs, 0x800);
	put_le32(dirs + 4, 0x100);
}

uint16_t wi_machine(const struct winimg *w)
{
	return w->ps == 4 ? 0x14c : w->m.arch == WM_ARM64 ? 0xaa64 : 0x8664;
}

/* Headers: MZ, PE, two sections, a debug directory with an RSDS record ("PE Format", Microsoft Learn). */
static void put_headers(struct winimg *w, uint64_t size)
{
	uint8_t h[0x1000] = {'M', 'Z'};
	bool wide = w->ps == 8;
	uint8_t *nt = h + 0x100, *opt = nt + 24, *dirs = opt + (wide ? 0x70 : 0x60), *sec = dirs + 0x80, *dbg = h + 0x600,
		*rsds = h + 0x700;
	const char *pdb = w->p.pdb[0] ? w->p.pdb : "ntkrnlmp.pdb";

	put_le32(h + 0x3c, 0x100);
	memcpy(nt, "PE\0\0", 4);
	put_le16(nt + 4, wi_machine(w));
	put_le16(nt + 6, 2);
	put_le32(nt + 8, w->o.pe_time ? w->o.pe_time : 0x5e3c1b2a);
	put_le16(nt + 0x14, (uint16_t)(sec - opt));
	put_le16(nt + 0x16, wide ? 0x22 : 0x102);
	put_le16(opt, wide ? 0x20b : 0x10b);
	if (wide)
		put_le64(opt + 0x18, w->base);
	else
		put_le32(opt + 0x1c, (uint32_t)w->base);
	put_le32(opt + 0x20, 0x1000);
	put_le32(opt + 0x24, 0x200);
	put_le32(opt + 0x38, w->o.pe_size ? w->o.pe_size : (uint32_t)size);
	put_le32(opt + 0x3c, 0x1000);
	put_le32(dirs - 4, 16);
	put_exports(w, h, dirs);
	put_le32(dirs + 6 * 8, 0x600);
	put_le32(dirs + 6 * 8 + 4, 28);
	memcpy(sec, ".text", 5);
	put_le32(sec + 8, 0x1000);
	put_le32(sec + 12, 0x1000);
	put_le32(sec + 36, 0x68000020);
	memcpy(sec + 40, ".data", 5);
	put_le32(sec + 48, (uint32_t)size - 0x2000);
	put_le32(sec + 52, 0x2000);
	put_le32(sec + 76, 0xc8000040);
	put_le32(dbg + 12, 2);
	put_le32(dbg + 16, (uint32_t)(24 + strlen(pdb) + 1));
	put_le32(dbg + 20, 0x700);
	put_le32(dbg + 24, 0x700);
	memcpy(rsds, "RSDS", 4);
	memcpy(rsds + 4, w->p.guid.b, 16);
	if (w->o.foreign_guid)
		rsds[4] ^= 0x5a; /* one that nobody knows */
	put_le32(rsds + 20, w->p.age ? w->p.age : 1);
	memcpy(rsds + 24, pdb, strlen(pdb));
	wm_write(&w->k, w->base, h, sizeof(h));
}

static void map_image(struct winimg *w)
{
	uint64_t size = image_size(w), large = wm_large(&w->m), end;

	/* 64-bit kernels of Windows 10 begin a large page, 32-bit ones stand where the loader put them */
	w->base = w->ps == 8 ? UINT64_C(0xfffff80000000000) + ((wm_rand(&w->m) % 0x4000 + 0x100) << 21)
			     : 0x8104f000 + (wm_rand(&w->m) % 0x10 << 22);
	end = w->base + size;
	for (uint64_t va = w->base & ~(large - 1); w->o.large_pages && va < end; va += large)
		wm_map_large(&w->k, va, wm_frames_large(&w->m));
	if (!w->o.large_pages)
		wm_touch(&w->k, w->base, size);
	put_headers(w, size);
}

/* ---- KUSER_SHARED_DATA and the clock -------------------------------------------------------------------------------------------------------- */

static void put_ksystem_time(struct winimg *w, uint64_t va, uint64_t t)
{
	wm_put(&w->k, va, t & 0xffffffffu, 4);
	wm_put(&w->k, va + 4, t >> 32, 4);
	wm_put(&w->k, va + 8, t >> 32, 4);
}

static void put_kuser(struct winimg *w)
{
	bool ten = w->p.build >= 10000;
	uint64_t kuser = wi_kuser(w);

	wm_map(&w->k, kuser, wm_frame(&w->m));
	put_ksystem_time(w, kuser + 8, (uint64_t)(w->o.system_time - w->o.boot_time));
	put_ksystem_time(w, kuser + 0x14, (uint64_t)w->o.system_time);
	put_ksystem_time(w, kuser + 0x20, (uint64_t)((int64_t)w->o.bias * 600000000));
	wm_put(&w->k, kuser + 0x2c, wi_machine(w), 2); /* ImageNumberLow, ImageNumberHigh */
	wm_put(&w->k, kuser + 0x2e, wi_machine(w), 2);
	wm_put(&w->k, kuser + 0x30, 0x003a0043, 4); /* NtSystemRoot: C: */
	if (ten)
		wm_put(&w->k, kuser + 0x260, w->p.build, 4);
	wm_put(&w->k, kuser + 0x264, 1, 4);
	wm_put(&w->k, kuser + 0x26c, w->o.nt_major ? w->o.nt_major : ten ? 10 : w->p.build < 6000 ? 5 : 6, 4);
	wm_put(&w->k, kuser + 0x270,
	       w->o.nt_major              ? w->o.nt_minor
	       : w->p.build < 6000        ? (w->p.build < 3790 ? 1 : 2)
	       : ten || w->p.build < 7600 ? 0
	       : w->p.build < 9000        ? 1
	       : w->p.build < 9600        ? 2
					  : 3,
	       4);
	if (w->p.build < 6000)
		wm_put(&w->k, kuser + 0x330, 0xbb40e64e, 4); /* Cookie: the page ends before any number of processors */
	else if (w->p.build < 7600)                          /* ActiveProcessorAffinity; the page tells no number of processors yet */
		wm_put(&w->k, kuser + 0x3a8, (UINT64_C(1) << w->o.cpus) - 1, 4);
	else
		wm_put(&w->k, kuser + 0x3c0, w->o.cpus, 4);
	if (w->p.build >= 9000)
		wm_put(&w->k, kuser + 0x300, w->o.perf_freq, 8);
}

/* ---- KDBG and EtwpDebuggerData --------------------------------------------------------------------------------------------------------------- */

static uint64_t rol(uint64_t v, unsigned n)
{
	n &= 63;
	return n ? v << n | v >> (64 - n) : v;
}

/* Inverse of: v = rol(v ^ never, never & 0xff); v = bswap(v ^ &encoded) ^ always (QEMU contrib/elf2dmp). */
static uint64_t encode(uint64_t v, uint64_t never, uint64_t always, uint64_t at)
{
	v = __builtin_bswap64(v ^ always) ^ at;
	return rol(v, 64 - (never & 63)) ^ never;
}

/* The block's words are 64 bits wide on every machine; pointers of 32 bits are sign-extended (wdbgexts.h). */
static void put_kd(const struct winimg *w, uint8_t *d, uint64_t va)
{
	put_le64(d, w->ps == 8 ? va : (uint64_t)(int64_t)(int32_t)(uint32_t)va);
}

/* Of XP to Vista: volatility's overlays. */
static uint32_t kdbg_size(uint32_t build)
{
	return build < 3790 ? 0x290 : build < 6000 ? 0x318 : build < 7600 ? 0x328 : build < 9000 ? 0x340 : 0x380;
}

static void put_kdbg(struct winimg *w)
{
	uint8_t d[0x380] = {0};
	uint64_t va = wi_symbol_va(w, S_KdDebuggerDataBlock);
	uint32_t n = kdbg_size(w->p.build);

	if (!va || w->o.no_kdbg)
		return;
	put_kd(w, d, va);
	put_kd(w, d + 8, va);
	memcpy(d + 0x10, "KDBG", 4);
	put_le32(d + 0x14, n);
	put_kd(w, d + 0x18, w->base);
	put_kd(w, d + 0x48, wi_symbol_va(w, S_PsLoadedModuleList));
	put_kd(w, d + 0x50, wi_symbol_va(w, S_PsActiveProcessHead));
	put_kd(w, d + 0xc0, wi_symbol_va(w, S_MmPfnDatabase));
	put_kd(w, d + 0x218, wi_symbol_va(w, S_KiProcessorBlock));
	if (w->p.symbol[S_EtwpDebuggerData] && n > 0x330)
		put_kd(w, d + 0x330, wi_symbol_va(w, S_EtwpDebuggerData));
	if (w->o.encoded_kdbg && w->ps == 8 && wi_symbol_va(w, S_KiWaitNever) && wi_symbol_va(w, S_KdpDataBlockEncoded)) {
		uint64_t never = wm_rand(&w->m), always = wm_rand(&w->m);

		wi_symbol(w, S_KiWaitNever, never, 8);
		wi_symbol(w, S_KiWaitAlways, always, 8);
		wi_symbol(w, S_KdpDataBlockEncoded, 1, 1);
		for (size_t i = 0; i < sizeof(d); i += 8)
			put_le64(d + i, encode(le64(d + i), never, always, wi_symbol_va(w, S_KdpDataBlockEncoded)));
	}
	wm_write(&w->k, va, d, n);
}

static void put_debugger_data(struct winimg *w)
{
	static const uint8_t head[7] = {1, 0, 0x2c, 0x08, 0x04, 0x38, 0x0c}; /* version, then header offsets the debugger reads */
	uint64_t va = wi_symbol_va(w, S_EtwpDebuggerData);

	if (!va || w->o.no_etwdata)
		return;
	wm_write(&w->k, va, head, w->o.bare_etwdata ? 2 : sizeof(head));
	wi_put_ptr(w, va + 0x10, w->silo[0].table);
}

/* ---- silos --------------------------------------------------------------------------------------------------------------------------------------------- */

/* The hash table's buckets: three empty rings each. */
static void put_hash(struct winimg *w, uint64_t hash)
{
	uint32_t stride = prof_size(&w->p, T_BUCKET) ? prof_size(&w->p, T_BUCKET) : 7 * w->ps;

	for (unsigned i = 0; i < 64; i++)
		for (unsigned k = 0; k < 3; k++)
			wi_ring_init(w, hash + i * stride + 2 * w->ps * k);
}

static void put_blocks(struct winimg *w, struct wi_silo *s, uint32_t slots)
{
	uint32_t stride = prof_size(&w->p, T_BLOCK);

	if (!wi_has(w, F_SILO_ProcessorBlocks))
		return;
	s->blocks = wi_alloc(w, (uint64_t)stride * w->o.cpus, 64);
	wi_set(w, s->state, F_SILO_ProcessorBlocks, s->blocks, w->ps);
	for (unsigned i = 0; i < w->o.cpus && i < WI_CPUS_MAX; i++) {
		s->slot[i] = w->p.traits.slots_inline ? s->blocks + i * stride : wi_alloc(w, w->ps * slots, 64);
		if (!w->p.traits.slots_inline)
			wi_set(w, s->blocks + i * stride, F_BLOCK_ProcessorBuffers, s->slot[i], w->ps);
	}
}

static unsigned add_silo(struct winimg *w)
{
	struct wi_silo *s = &w->silo[w->n_silos];
	uint32_t slots = w->p.traits.table_slots && w->p.traits.table_is_inline ? w->p.traits.table_slots : 80;

	if (!wi_has(w, F_SILO_EtwpGuidHashTable) || !prof_size(&w->p, T_SILO)) { /* Windows 7, 8.1: globals */
		s->table = wi_symbol_va(w, S_WmipLoggerContext);
		s->hash = wi_symbol_va(w, S_EtwpGuidHashTable);
		slots = 64;
	} else {
		s->state = wi_alloc(w, prof_size(&w->p, T_SILO), 64);
		s->hash = s->state + prof_off(&w->p, F_SILO_EtwpGuidHashTable);
		if (wi_has(w, F_SILO_EtwpLoggerContext)) {
			s->table = wi_alloc(w, WM_PAGE, WM_PAGE); /* a page that can be lost alone */
			wi_set(w, s->state, F_SILO_EtwpLoggerContext, s->table, w->ps);
			wi_set(w, s->state, F_SILO_MaxLoggers, slots, 4);
		} else {
			s->table = s->state + prof_off(&w->p, F_SILO_WmipLoggerContext);
			slots = 64;
		}
	}
	for (unsigned i = 0; i < slots; i++)
		wi_put_ptr(w, s->table + w->ps * i, w->p.traits.empty_slot);
	put_hash(w, s->hash);
	put_blocks(w, s, slots);
	return w->n_silos++;
}

unsigned wi_container(struct winimg *w)
{
	return wi_has(w, F_EJOB_ServerSiloGlobals) && w->silo[0].state ? add_silo(w) : 0;
}

/* KPRCBs; up to 14393 they hold the per-CPU slots (EtwSupport). */
static void put_prcbs(struct winimg *w)
{
	for (unsigned i = 0; i < w->o.cpus; i++) {
		uint64_t va = wi_alloc(w, prof_size(&w->p, T_KPRCB) + 0x1000, 64);

		wi_set(w, va, F_KPRCB_Number, i, 4);
		wi_set(w, va, F_KPRCB_MHz, 2900, 4);
		if (wi_symbol_va(w, S_KiProcessorBlock))
			wi_put_ptr(w, wi_symbol_va(w, S_KiProcessorBlock) + w->ps * i, va);
		if (w->p.traits.slots_in_prcb && i < WI_CPUS_MAX && wi_has(w, F_KPRCB_EtwSupport))
			w->silo[0].slot[i] =
				va + prof_off(&w->p, F_KPRCB_EtwSupport) + (w->ps == 8 ? w->p.traits.prcb_slots_off : SLOTS_OFF_32);
	}
}

/* TIME_ZONE_INFORMATION: bias, standard name, its date, bias, daylight name, its date, bias. */
static void put_time_zone(struct winimg *w)
{
	uint8_t z[172] = {0};
	static const char std_name[] = "@tzres.dll,-322", day_name[] = "@tzres.dll,-321";
	uint64_t globals = wi_symbol_va(w, S_PspHostSiloGlobals), tz;

	put_le32(z, (uint32_t)w->o.bias);
	for (size_t i = 0; i < sizeof(std_name); i++)
		z[4 + 2 * i] = (uint8_t)std_name[i];
	for (size_t i = 0; i < sizeof(day_name); i++)
		z[88 + 2 * i] = (uint8_t)day_name[i];
	put_le32(z + 168, (uint32_t)-60);
	if (wi_symbol_va(w, S_ExpTimeZoneInformation)) {
		wm_write(&w->k, wi_symbol_va(w, S_ExpTimeZoneInformation), z, sizeof(z));
	} else if (globals && wi_has(w, F_SILOGLOBALS_ExTimeZoneState) && wi_has(w, F_TZSTATE_TimeZoneInformation)) {
		tz = wi_alloc(w, prof_size(&w->p, T_TZSTATE), 16);
		wm_write(&w->k, tz + prof_off(&w->p, F_TZSTATE_TimeZoneInformation), z, sizeof(z));
		wi_set(w, globals, F_SILOGLOBALS_ExTimeZoneState, tz, w->ps);
	}
}

static void put_symbols(struct winimg *w)
{
	char lab[64];

	wi_symbol(w, S_KeNumberProcessors, w->p.build < 7600 ? w->o.cpus | 0x5a5a00 : w->o.cpus, 4); /* a CCHAR before Windows 7 */
	wi_symbol(w, S_EtwpBootTime, (uint64_t)w->o.boot_time, 8);
	wi_symbol(w, S_KeBootTime, (uint64_t)w->o.boot_time, 8);
	wi_symbol(w, S_EtwPerfFreq, w->o.perf_freq, 8);
	wi_symbol(w, S_EtwCPUSpeedInMHz, 2900, 4);
	wi_symbol(w, S_KeMaximumIncrement, 156250, 4);
	wi_symbol(w, S_NtBuildNumber, 0xf0000000u | (w->o.nt_build ? w->o.nt_build : w->p.build), 4);
	snprintf(lab, sizeof(lab), "%u.made.%s", w->p.build, w->ps == 4 ? "x86fre" : w->m.arch == WM_ARM64 ? "arm64fre" : "amd64fre");
	if (wi_symbol_va(w, S_NtBuildLab))
		wm_write(&w->k, wi_symbol_va(w, S_NtBuildLab), lab, strlen(lab) + 1);
	if (wi_symbol_va(w, S_MiState) && wi_has(w, F_MISYS_Hardware))
		wi_set(w, wi_symbol_va(w, S_MiState) + prof_off(&w->p, F_MISYS_Hardware), F_MIHW_InvalidPteMask, w->o.pte_mask, 8);
	if (wi_symbol_va(w, S_PsLoadedModuleList))
		wi_ring_init(w, wi_symbol_va(w, S_PsLoadedModuleList));
	if (w->o.no_globals)
		return;
	wi_symbol(w, S_EtwpHostSiloState, w->silo[0].state, w->ps);
	if (w->silo[0].state) /* the host's globals stand in the image; a container's are nobody's business here */
		wi_set(w, w->silo[0].state, F_SILO_SiloGlobals, wi_symbol_va(w, S_PspHostSiloGlobals), w->ps);
	if (wi_symbol_va(w, S_PspHostSiloGlobals))
		wi_set(w, wi_symbol_va(w, S_PspHostSiloGlobals), F_SILOGLOBALS_EtwSiloState, w->silo[0].state, w->ps);
}

/* The processor start block (Volatility 3, automagic/windows.py; MemProcFS): jump, kernel address, CR3. */
static void put_low_stub(struct winimg *w)
{
	uint8_t *p = wm_at(&w->m, 0x13000);

	put_le64(p, UINT64_C(0x00000001000600e9));
	put_le64(p + 0x70, w->base + 0x1234000 % image_size(w));
	put_le64(p + 0xa0, w->m.kernel_dtb);
}

/* Directories that map themselves as those of 32-bit systems do, and nothing else; with PAE, under a root. */
static void put_decoys32(struct winimg *w)
{
	for (unsigned i = 0; i < 3; i++) {
		uint64_t dir = wm_frame(&w->m), root = wm_frame(&w->m) + 0x20 * i;

		if (w->m.arch == WM_X86) {
			put_le32(wm_at(&w->m, dir) + 0xc00, (uint32_t)dir | 0x63);
			put_le32(wm_at(&w->m, dir) + 0x800, (uint32_t)root | 0x63);
			continue;
		}
		for (unsigned k = 0; k < 4; k++) {
			uint64_t at = k == 3 ? dir : wm_frame(&w->m);

			put_le64(wm_at(&w->m, dir) + 8 * k, at | 0x63);
			put_le64(wm_at(&w->m, root) + 8 * k, at | 1);
		}
	}
}

/* Roots that look like page-table roots and map no normal kernel: a dummy, and one that maps another program. */
static void put_decoys(struct winimg *w)
{
	if (w->ps == 4) {
		put_decoys32(w);
		return;
	}
	for (int i = 0; i < 3; i++) {
		struct winspace s = {&w->m, wm_frame(&w->m)};

		wm_put(&(struct winspace){&w->m, w->m.kernel_dtb}, w->pool + 0x1000000 + (uint64_t)i * 4096, 0, 1);
		for (int k = 0; k < 8; k++)
			put_le64(wm_at(&w->m, s.dtb) + 8 * k, 0);
		put_le64(wm_at(&w->m, s.dtb) + 8 * (300 + i), s.dtb | (w->m.arch == WM_ARM64 ? 3 : 0x63));
		if (i == 2) {
			wm_map(&s, UINT64_C(0xfffff80011000000), wm_frame(&w->m));
			wm_write(&s, UINT64_C(0xfffff80011000000), "MZ\x90", 3);
		}
	}
}

void wi_init(struct winimg *w, const struct wi_opts *o, const struct profile *p)
{
	memset(w, 0, sizeof(*w));
	w->o = *o;
	w->p = *p;
	w->ses = calloc(WI_SESSIONS_MAX, sizeof(*w->ses));
	wm_init(&w->m, o->mib, o->hole, o->arch, o->self_map, o->seed);
	w->ps = wm_pointer_size(&w->m);
	w->pool = w->ps == 4 ? POOL_32 : p->build < 9600 ? POOL_44 : POOL;
	w->k.m = &w->m;
	if (o->large_pages)
		w->m.large_frames = image_size(w) / WM_PAGE + 2 * wm_large(&w->m) / WM_PAGE;
	if (w->m.large_frames >= w->m.frames) {
		fprintf(stderr, "mkdump: the machine has too little memory\n");
		exit(1);
	}
	w->k.dtb = wm_new_root(&w->m, true);
	map_image(w);
	put_kuser(w);
	w->head_process = wi_symbol_va(w, S_PsActiveProcessHead);
	wi_ring_init(w, w->head_process);
	add_silo(w);
	put_prcbs(w);
	put_symbols(w);
	wi_types(w);
	put_time_zone(w);
	put_kdbg(w);
	put_debugger_data(w);
	if (o->low_stub && (o->arch == WM_X64 || o->arch == WM_LA57))
		put_low_stub(w);
	if (o->decoy_roots)
		put_decoys(w);
	wi_trimmed(w, o->trimmed);
	wi_process(w, 4, "System", false, 0);
}

void wi_finish(struct winimg *w)
{
	uint8_t rsds[0x100];

	if (w->o.no_headers) { /* the record stands on another page, as in a kernel's .rdata */
		wm_read(&w->k, w->base + 0x700, rsds, sizeof(rsds));
		wm_write(&w->k, w->base + 0x3000, rsds, sizeof(rsds));
		wm_unmap(&w->k, w->base);
	}
	if (w->o.no_kuser)
		wm_unmap(&w->k, wi_kuser(w));
	wi_unlink(w);
	wi_bigpool(w);
	for (unsigned i = 0; i < w->n_proc; i++)
		wi_handles(w, &w->proc[i], i == 1 ? w->o.handles : 0);
}

void wi_free(struct winimg *w)
{
	for (unsigned i = 0; i < w->n_ses; i++)
		for (unsigned k = 0; k < w->ses[i].n_buf; k++) {
			free(w->ses[i].buf[k].raw);
			free(w->ses[i].buf[k].rec);
			free(w->ses[i].buf[k].old);
			free(w->ses[i].buf[k].under);
			free(w->ses[i].buf[k].page);
		}
	for (unsigned i = 0; i < w->n_ses; i++)
		payload_free(w->ses[i].payload);
	free(w->ses);
	free(w->table);
	pagefile_free(&w->pagefile);
	wm_free(&w->m);
}
