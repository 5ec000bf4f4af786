/* kworld.c - see kworld.h */
#include "kworld.h"

#include <stdlib.h>
#include <string.h>

#include "rd.h"

static void need(bool ok)
{
	if (!ok)
		abort();
}

void kw_16(struct kworld *w, uint64_t va, uint16_t v)
{
	fm_v16(w->fm, KW_A, w->root, va, v);
}
void kw_32(struct kworld *w, uint64_t va, uint32_t v)
{
	fm_v32(w->fm, KW_A, w->root, va, v);
}
void kw_64(struct kworld *w, uint64_t va, uint64_t v)
{
	fm_v64(w->fm, KW_A, w->root, va, v);
}
static uint64_t sym(struct kworld *w, enum prof_symbol s)
{
	need(w->p.symbol[s] != 0);
	return KW_BASE + w->p.symbol[s];
}
static void f64(struct kworld *w, uint64_t obj, enum prof_field f, uint64_t v)
{
	need(prof_has(&w->p, f));
	kw_64(w, obj + prof_off(&w->p, f), v);
}
void kw_ring(struct kworld *w, const uint64_t *node, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		kw_64(w, node[i], node[(i + 1) % n]);
		kw_64(w, node[i] + 8, node[(i + n - 1) % n]);
	}
}
static void text(struct kworld *w, uint64_t ustr, uint64_t buf, const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		kw_16(w, buf + 2 * i, (uint8_t)s[i]);
	kw_16(w, ustr, (uint16_t)(2 * n));
	kw_16(w, ustr + 2, (uint16_t)(2 * n + 2));
	kw_64(w, ustr + 8, buf);
}

static void put_image(struct kworld *w, const struct guid *guid)
{
	const uint64_t nt = KW_BASE + 0x100, opt = nt + 24, sec = opt + 0xf0;

	fm_map_new(w->fm, KW_A, w->root, KW_BASE, 0x3000, 0);
	fm_map_new(w->fm, KW_A, w->root, KW_BASE + KW_DATA_RVA, KW_DATA_SIZE, FM_WRITE);
	kw_16(w, KW_BASE, 0x5a4d);
	kw_32(w, KW_BASE + 0x3c, 0x100);
	kw_32(w, nt, 0x4550);
	kw_16(w, nt + 4, 0x8664);
	kw_16(w, nt + 6, 1);
	kw_32(w, nt + 8, 0x5ec3a1b2);
	kw_16(w, nt + 0x14, 0xf0);
	kw_16(w, opt, 0x20b);
	kw_32(w, opt + 0x38, KW_IMAGE_SIZE);
	kw_32(w, opt + 0x6c, 16);
	kw_32(w, opt + 0x70 + 6 * 8, 0x1000); /* debug directory */
	kw_32(w, opt + 0x70 + 6 * 8 + 4, 28);
	kw_32(w, sec + 8, KW_DATA_SIZE);
	kw_32(w, sec + 12, KW_DATA_RVA);
	kw_32(w, sec + 36, 0xc0000040);
	kw_32(w, KW_BASE + 0x1000 + 12, 2);
	kw_32(w, KW_BASE + 0x1000 + 20, 0x2000);
	fm_vwrite(w->fm, KW_A, w->root, KW_BASE + 0x2000, "RSDS", 4);
	fm_vwrite(w->fm, KW_A, w->root, KW_BASE + 0x2004, guid->b, 16);
	kw_32(w, KW_BASE + 0x2014, 1);
	fm_vwrite(w->fm, KW_A, w->root, KW_BASE + 0x2018, "ntkrnlmp.pdb", 13);
}

static void ksystem_time(struct kworld *w, uint64_t va, uint64_t v)
{
	kw_32(w, va, (uint32_t)v);
	kw_32(w, va + 4, (uint32_t)(v >> 32));
	kw_32(w, va + 8, (uint32_t)(v >> 32));
}

static void put_kuser(struct kworld *w)
{
	fm_map_new(w->fm, KW_A, w->root, KW_KUSER, 4096, 0);
	ksystem_time(w, KW_KUSER + 8, UINT64_C(36000000000));
	ksystem_time(w, KW_KUSER + 0x14, (uint64_t)KW_NOW);
	ksystem_time(w, KW_KUSER + 0x20, (uint64_t)(INT64_C(-120) * 600000000));
	kw_32(w, KW_KUSER + 0x260, 0xf0000000u | 19042);
	kw_32(w, KW_KUSER + 0x26c, 10);
	kw_64(w, KW_KUSER + 0x300, 10000000);
	kw_32(w, KW_KUSER + 0x3c0, 4);
}

static void put_processes(struct kworld *w)
{
	static const char *const names[] = {"System", "svchost.exe", "x32.exe"};
	uint64_t node[4];

	node[0] = sym(w, S_PsActiveProcessHead);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t ep = w->proc[i] = KW_POOL + 0x10000 + i * 0x2000;

		f64(w, ep, F_EPROCESS_UniqueProcessId, i ? 1000 + 4 * i : 4);
		fm_vwrite(w->fm, KW_A, w->root, ep + prof_off(&w->p, F_EPROCESS_ImageFileName), names[i], strlen(names[i]) + 1);
		f64(w, ep, F_KPROCESS_DirectoryTableBase, w->root);
		f64(w, ep, F_EPROCESS_CreateTime, (uint64_t)KW_NOW - 1000);
		if (i == 2)
			f64(w, ep, F_EPROCESS_WoW64Process, KW_POOL + 0x800);
		node[i + 1] = ep + prof_off(&w->p, F_EPROCESS_ActiveProcessLinks);
	}
	kw_ring(w, node, 4);
	kw_64(w, sym(w, S_PsInitialSystemProcess), w->proc[0]);
}

/* Types Type (2), Directory (3), EtwConsumer (17 hex); svchost has a two-level handle table whose last entry is a consumer. */
static void put_objects(struct kworld *w)
{
	static const struct {
		const char *name;
		unsigned index;
	} types[] = {{"Type", 2}, {"Directory", 3}, {"EtwConsumer", 0x17}};
	const uint32_t body = prof_off(&w->p, F_OHDR_Body), ti = prof_off(&w->p, F_OHDR_TypeIndex);
	const uint8_t cookie = 0x5d;
	uint64_t table = sym(w, S_ObTypeIndexTable), level1 = KW_POOL + 0x30000, entries = KW_POOL + 0x31000, ht = KW_POOL + 0x2f000, hdr;

	fm_v8(w->fm, KW_A, w->root, sym(w, S_ObHeaderCookie), cookie);
	for (unsigned i = 0; i < 3; i++) {
		uint64_t t = KW_POOL + 0x20000 + i * 0x400 + body;

		hdr = t - body;
		fm_v8(w->fm, KW_A, w->root, hdr + ti, (uint8_t)(2 ^ cookie ^ (hdr >> 8)));
		text(w, t + prof_off(&w->p, F_OTYPE_Name), t + 0x200, types[i].name);
		fm_v8(w->fm, KW_A, w->root, t + prof_off(&w->p, F_OTYPE_Index), (uint8_t)types[i].index);
		kw_64(w, table + 8 * types[i].index, t);
	}
	w->consumer = KW_POOL + 0x40300 + body;
	hdr = w->consumer - body;
	fm_v8(w->fm, KW_A, w->root, hdr + ti, (uint8_t)(0x17 ^ cookie ^ (hdr >> 8)));
	hdr = KW_POOL + 0x41000; /* an object of another type */
	fm_v8(w->fm, KW_A, w->root, hdr + ti, (uint8_t)(3 ^ cookie ^ (hdr >> 8)));
	f64(w, ht, F_HTABLE_TableCode, level1 | 1);
	f64(w, w->proc[1], F_EPROCESS_ObjectTable, ht);
	kw_64(w, level1, entries);
	kw_64(w, level1 + 8, entries + 0x1000);
	kw_64(w, entries + 16, (KW_POOL + 0x41000) << 16 | 1);
	kw_64(w, entries + 0x1000 + 255 * 16, (w->consumer - body) << 16 | 0xe0001);
}

static void put_sessions(struct kworld *w)
{
	uint64_t table = KW_POOL + 0x50000, dd = sym(w, S_EtwpDebuggerData);
	static const uint8_t head[] = {1, 0, 0x2c, 8, 4, 0x38, 0xc};

	fm_vwrite(w->fm, KW_A, w->root, dd, head, sizeof(head));
	kw_64(w, dd + 0x10, table);
	w->silo = KW_POOL + 0x60000;
	f64(w, w->silo, F_SILO_EtwpLoggerContext, table);
	f64(w, w->silo, F_SILO_SiloGlobals, sym(w, S_PspHostSiloGlobals));
	f64(w, sym(w, S_PspHostSiloGlobals), F_SILOGLOBALS_EtwSiloState, w->silo);
	for (unsigned i = 0; i < 64; i++) {
		uint64_t bucket = w->silo + prof_off(&w->p, F_SILO_EtwpGuidHashTable) + (uint64_t)i * prof_size(&w->p, T_BUCKET);

		kw_ring(w, &bucket, 1);
		kw_64(w, table + 8 * i, 1);
	}
	for (unsigned i = 0; i < 2; i++) {
		uint64_t c = w->ctx[i] = KW_POOL + 0x52000 + i * 0x1000, list = c + prof_off(&w->p, F_CTX_GlobalList);

		kw_64(w, table + 8 * (2 + 3 * i), c);
		kw_32(w, c + prof_off(&w->p, F_CTX_LoggerId), 2 + 3 * i);
		kw_32(w, c + prof_off(&w->p, F_CTX_BufferSize), 0x10000);
		f64(w, c, F_CTX_SiloState, w->silo);
		text(w, c + prof_off(&w->p, F_CTX_LoggerName), c + 0x800, "EventLog-System");
		kw_ring(w, &list, 1);
	}
}

static uint64_t ror64(uint64_t v, unsigned s)
{
	s &= 63;
	return s ? v >> s | v << (64 - s) : v;
}

static void put_kdbg(struct kworld *w, bool encoded)
{
	const uint64_t never = UINT64_C(0x8d3ce0f172b1a95b), always = UINT64_C(0x0123456789abcdef), at = KW_BASE + KW_DATA_RVA + 0x5f5f8;
	uint8_t b[KW_KDBG_SIZE] = {0};

	w->kdbg = sym(w, S_KdDebuggerDataBlock);
	put_le64(b, KW_BASE + KW_DATA_RVA + 0x777000);
	put_le64(b + 8, KW_BASE + KW_DATA_RVA + 0x777000);
	memcpy(b + 0x10, "KDBG", 4);
	put_le32(b + 0x14, KW_KDBG_SIZE);
	put_le64(b + 0x18, KW_BASE);
	put_le64(b + 0x50, sym(w, S_PsActiveProcessHead));
	put_le64(b + 0x330, sym(w, S_EtwpDebuggerData));
	for (unsigned i = 0; encoded && i < KW_KDBG_SIZE; i += 8)
		put_le64(b + i, ror64(__builtin_bswap64(le64(b + i) ^ always) ^ at, (unsigned)never) ^ never);
	fm_vwrite(w->fm, KW_A, w->root, w->kdbg, b, sizeof(b));
}

/* Everything; other_guid: a kernel that no profile knows. */
void kw_make(struct kworld *w, bool other_guid, bool encoded)
{
	struct guid guid;

	memset(w, 0, sizeof(*w));
	notes_init(&w->notes);
	hints_init(&w->hints);
	need(profset_new(&w->set, NULL) == 0);
	need(profset_named(w->set, KW_KERNEL_ID, &w->p, &w->e) == 0);
	w->fm = fm_new();
	w->root = fm_root(w->fm);
	fm_w64(w->fm, w->root + 8 * 0x1e3, w->root | 0x63); /* the self-map */
	fm_map_new(w->fm, KW_A, w->root, KW_POOL, 0x70000, FM_WRITE | FM_NX);
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

int kw_open(struct kworld *w)
{
	w->phys = fm_phys(w->fm);
	return kernel_open(&w->k, w->phys, &w->hints, &w->opts, &w->notes, &w->e);
}

void kw_free(struct kworld *w)
{
	kernel_close(w->k);
	phys_free(w->phys);
	fm_free(w->fm);
	profset_free(w->set);
	notes_free(&w->notes);
	hints_free(&w->hints);
}
