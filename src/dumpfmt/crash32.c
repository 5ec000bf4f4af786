/* crash32.c - 32-bit Windows crash dumps (DUMP_HEADER32, 0x1000 bytes; PAE or not). Facts: docs/formats/crash.md. */
#include <string.h>

#include "crash.h"
#include "rd.h"

#define HEADER 0x1000u

static const struct crash_layout layout = {"crash32", HEADER, 0x64, 0x6c, 8, (0x320 - 0x6c) / 8};

static bool probe(const uint8_t *head, size_t n)
{
	return n >= 8 && memcmp(head, "PAGEDUMP", 8) == 0;
}

static bool take(const uint8_t *h, uint32_t off, uint64_t *out)
{
	*out = le32(h + off);
	return *out && *out != CRASH_FILL32;
}

static void take_hints(struct hints *k, const uint8_t *h)
{
	uint64_t v;

	k->machine = MACHINE_X86;
	k->pae = h[0x5c] == 1;
	k->build = take(h, 0xc, &v) ? (uint32_t)v : 0;
	k->n_cpus_claimed = take(h, 0x24, &v) ? (uint32_t)v : 0;
	k->has_dtb = take(h, 0x10, &k->dtb);
	k->has_pfn_database = take(h, 0x14, &k->pfn_database);
	k->has_loaded_modules = take(h, 0x18, &k->loaded_modules);
	k->has_process_head = take(h, 0x1c, &k->process_head);
	k->has_kdbg = take(h, 0x60, &k->kdbg);
	v = le64(h + 0xfc0);
	if (v != CRASH_FILL64 && v < (UINT64_C(1) << 62))
		k->system_time = (int64_t)v;
	v = le64(h + 0xfb8);
	if (v != CRASH_FILL64 && v < (UINT64_C(1) << 62))
		k->up_time = (int64_t)v;
}

static int open_crash32(struct dump *d, struct err *e)
{
	uint8_t h[HEADER];
	int rc = input_read_all(d->in, 0, h, sizeof(h), e);

	if (rc < 0)
		return err_set(e, ERR_NOIMAGE, "a crash dump that ends inside its header");
	take_hints(&d->hints, h);
	return crash_open(d, &layout, h, le32(h + 0xf88), e);
}

const struct dumpfmt dumpfmt_crash32 = {"crash32", probe, open_crash32, NULL};
