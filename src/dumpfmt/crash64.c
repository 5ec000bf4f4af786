/* crash64.c - 64-bit Windows crash dumps (DUMP_HEADER64, 0x2000 bytes; x64 and ARM64). Facts: docs/formats/crash.md. */
#include <string.h>

#include "crash.h"
#include "rd.h"

#define HEADER 0x2000u

static const struct crash_layout layout = {"crash64", HEADER, 0x88, 0x98, 16, (0x348 - 0x98) / 16};

static bool probe(const uint8_t *head, size_t n)
{
	return n >= 8 && memcmp(head, "PAGEDU64", 8) == 0;
}

static bool take(const uint8_t *h, uint32_t off, uint64_t *out)
{
	*out = le64(h + off);
	return *out && *out != CRASH_FILL64;
}

static uint32_t word(const uint8_t *h, uint32_t off)
{
	uint32_t v = le32(h + off);

	return v == CRASH_FILL32 ? 0 : v;
}

void crash64_hints(struct hints *k, const uint8_t *h)
{
	uint64_t t;

	k->machine = le32(h + 0x30) == 0x8664 ? MACHINE_X64 : le32(h + 0x30) == 0xaa64 ? MACHINE_ARM64 : MACHINE_UNKNOWN;
	k->build = word(h, 0xc);
	k->n_cpus_claimed = word(h, 0x34);
	k->has_dtb = take(h, 0x10, &k->dtb);
	k->has_pfn_database = take(h, 0x18, &k->pfn_database);
	k->has_loaded_modules = take(h, 0x20, &k->loaded_modules);
	k->has_process_head = take(h, 0x28, &k->process_head);
	k->has_kdbg = take(h, 0x80, &k->kdbg);
	if (take(h, 0xfa8, &t) && t < (UINT64_C(1) << 62))
		k->system_time = (int64_t)t;
	if (take(h, 0x1030, &t) && t < (UINT64_C(1) << 62))
		k->up_time = (int64_t)t;
}

static int open_crash64(struct dump *d, struct err *e)
{
	uint8_t h[HEADER];
	int rc = input_read_all(d->in, 0, h, sizeof(h), e);

	if (rc < 0)
		return err_set(e, ERR_NOIMAGE, "a crash dump that ends inside its header");
	crash64_hints(&d->hints, h);
	return crash_open(d, &layout, h, le32(h + 0xf98), e);
}

const struct dumpfmt dumpfmt_crash64 = {"crash64", probe, open_crash64, NULL};
