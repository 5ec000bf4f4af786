/* VMware's memory files: what a state says is believed as far as it can be, and what is a guess is told. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dumpfmt.h"
#include "mklayer.h"
#include "mkvmss.h"
#include "rd.h"

TestSuite(vmware, .timeout = 60);

#define PAGES 32u

static const struct mkvmss_region two[] = {{0, 0, 20}, {20, 0x100000, 12}};

struct world {
	char dir[64], vmem[96], vmss[96];
	struct notes notes;
	struct dump *d;
	struct err e;
	int rc;
};

static void begin(struct world *w)
{
	memset(w, 0, sizeof(*w));
	snprintf(w->dir, sizeof(w->dir), "/tmp/etlift-vm-XXXXXX");
	cr_assert_not_null(mkdtemp(w->dir));
	snprintf(w->vmem, sizeof(w->vmem), "%s/m.vmem", w->dir);
	snprintf(w->vmss, sizeof(w->vmss), "%s/m.vmss", w->dir);
	notes_init(&w->notes);
}

static void done(struct world *w)
{
	dump_close(w->d);
	notes_free(&w->notes);
	unlink(w->vmem);
	unlink(w->vmss);
	rmdir(w->dir);
}

/* Pages are filled with their number in the file. */
static void put_pages(struct buf *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		buf_fill(b, (uint8_t)(i + 1), 4096);
}

static void put_file(const char *path, const struct buf *b)
{
	FILE *f = fopen(path, "wb");

	cr_assert(f && fwrite(b->p, 1, b->n, f) == b->n && fclose(f) == 0);
}

static void open_pair(struct world *w, const struct mkvmss *o, const char *first)
{
	struct buf b;

	begin(w);
	buf_init(&b);
	put_pages(&b, PAGES);
	put_file(w->vmem, &b);
	buf_clear(&b);
	mkvmss_build(&b, o);
	put_file(w->vmss, &b);
	buf_free(&b);
	w->rc = dump_open(&w->d, first ? first : w->vmem, NULL, &w->notes, &w->e);
}

/* The number of the file page that stands at pa; 0: none. */
static unsigned page_at(const struct world *w, uint64_t pa)
{
	uint8_t p[4096];

	return phys_read(w->d->phys, pa, p, sizeof(p)) == 0 && p[0] == p[4095] ? p[0] : 0;
}

static unsigned told(const struct world *w, const char *what)
{
	unsigned n = 0;

	for (size_t i = 0; i < w->notes.n; i++)
		n += strstr(w->notes.v[i].detail, what) != NULL;
	return n;
}

Test(vmware, two_regions)
{
	struct world w;

	open_pair(&w, &(struct mkvmss){.region = two, .n_regions = 2, .cr3 = 0x1ad000, .cpus = 3}, NULL);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert_str_eq(w.d->format, "vmware");
	cr_assert_eq(w.d->n_segments, 2);
	cr_assert_eq(w.notes.n, 0);
	cr_assert_eq(page_at(&w, 0), 1);
	cr_assert_eq(page_at(&w, 19 * 4096), 20);
	cr_assert_eq(page_at(&w, 20 * 4096), 0);
	cr_assert_eq(page_at(&w, UINT64_C(0x100000000)), 21);
	cr_assert_eq(page_at(&w, UINT64_C(0x10000b000)), 32);
	cr_assert(w.d->hints.has_dtb && w.d->hints.dtb == 0x1ad000);
	cr_assert_eq(w.d->hints.n_cpus, 3);
	cr_assert_eq(w.d->hints.cpus[2].cr3, 0x1af000);
	cr_assert_eq(w.d->hints.cpus[1].cr4, 0x370678);
	done(&w);
}

/* Every magic, memory inside, with and without regions; the data stands behind padding of any length. */
Test(vmware, memory_inside)
{
	static const uint32_t magics[] = {0xbed2bed0u, 0xbad1bad1u, 0xbed2bed2u, 0xbed3bed3u};

	for (unsigned i = 0; i < 8; i++) {
		struct mkvmss o = {.magic = magics[i % 4], .region = two, .n_regions = i < 4 ? 2 : 0, .inside = PAGES * 4096};
		struct world w;
		struct buf b;

		begin(&w);
		buf_init(&b);
		mkvmss_build(&b, &o);
		put_pages(&b, PAGES);
		put_file(w.vmss, &b);
		w.rc = dump_open(&w.d, w.vmss, NULL, &w.notes, &w.e);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert_eq(w.notes.n, 0);
		cr_assert_eq(page_at(&w, 4096), 2);
		cr_assert_eq(page_at(&w, i < 4 ? UINT64_C(0x100002000) : 22 * 4096), 23);
		done(&w);
		/* cut inside the memory */
		begin(&w);
		b.n -= 5 * 4096;
		put_file(w.vmss, &b);
		w.rc = dump_open(&w.d, w.vmss, NULL, &w.notes, &w.e);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		cr_assert_geq(told(&w, "ends"), 1);
		cr_assert_eq(page_at(&w, 4096), 2);
		buf_free(&b);
		done(&w);
	}
}

Test(vmware, lying_regions)
{
	/* overlapping, out of order, past the file's end, absurd; all that is there stands where it is said to be first */
	static const struct mkvmss_region lies[] = {{20, 0x100000, 12},        {0, 0, 20}, {5, 0x100004, 4}, {30, 0x200000, 0xffffffff},
						    {0xffffffff, 0x300000, 1}, {0, 0, 0}};
	struct world w;

	open_pair(&w, &(struct mkvmss){.region = lies, .n_regions = 6, .claims = 77}, NULL);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert_eq(page_at(&w, 0), 1);
	cr_assert_eq(page_at(&w, UINT64_C(0x100004000)), 25);
	cr_assert_eq(page_at(&w, UINT64_C(0x200001000)), 32);
	cr_assert_eq(page_at(&w, UINT64_C(0x200002000)), 0);
	cr_assert_eq(page_at(&w, UINT64_C(0x300000000)), 0);
	cr_assert_eq(told(&w, "has 83 regions, and describes 6"), 1);
	cr_assert_geq(told(&w, "the file ends before it"), 1);
	done(&w);
	/* a part of the memory file in no region */
	open_pair(&w, &(struct mkvmss){.region = two, .n_regions = 1}, NULL);
	cr_assert_eq(told(&w, "49152 bytes of the memory file are in no region"), 1);
	done(&w);
}

/* The pair, with the state's bytes changed: what[0, n) + behind becomes v (4 bytes). */
static void open_changed(struct world *w, const char *what, uint32_t index, int behind, uint32_t v, unsigned parts)
{
	struct buf b;
	uint8_t *at;

	begin(w);
	buf_init(&b);
	put_pages(&b, PAGES);
	put_file(w->vmem, &b);
	buf_clear(&b);
	mkvmss_build(&b, &(struct mkvmss){.region = two, .n_regions = 2, .cr3 = 0x1ad000});
	at = b.p;
	do {
		at = memmem(at, b.n - (size_t)(at - b.p), what, strlen(what));
		cr_assert_not_null(at);
		at += strlen(what);
	} while (index != UINT32_MAX && le32(at) != index);
	if (parts == UINT32_MAX)
		put_le32(at + behind, v);
	else
		put_le32(b.p + 8, parts);
	put_file(w->vmss, &b);
	buf_free(&b);
	w->rc = dump_open(&w->d, w->vmem, NULL, &w->notes, &w->e);
	cr_assert_eq(w->rc, 0, "%s", w->e.msg);
}

/* Each number that says where regions stand in the file, and each way to the part on memory: mended by the others, and told. */
Test(vmware, regions_that_lie)
{
	static const struct {
		const char *tag;
		uint32_t index, lie;
	} lies[] = {{"regionPageNum", 0, 1},       {"regionPageNum", 0, 20}, {"regionPageNum", 1, 0},  {"regionPageNum", 1, 19},
		    {"regionPageNum", 1, 21},      {"regionSize", 0, 19},    {"regionSize", 0, 21},    {"regionSize", 0, 32},
		    {"regionSize", 0, 0xffffffff}, {"regionSize", 0, 1},     {"regionPageNum", 1, 500}};
	struct world w;

	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		open_changed(&w, lies[i].tag, lies[i].index, 4, lies[i].lie, UINT32_MAX);
		for (unsigned k = 0; k < PAGES; k++)
			cr_assert_eq(page_at(&w, k < 20 ? k * 4096 : UINT64_C(0x100000000) + (k - 20) * 4096), k + 1,
				     "%s[%u] = %u: page %u", lies[i].tag, lies[i].index, lies[i].lie, k);
		cr_assert_eq(told(&w, "by the others"), 1, "%zu", i);
		done(&w);
	}
	for (unsigned parts = 0; parts < 3; parts++) {
		open_changed(&w, "regionsCount", UINT32_MAX, 0, 0, parts);
		cr_assert_eq(page_at(&w, UINT64_C(0x100000000)), 21, "%u parts", parts);
		cr_assert_eq(page_at(&w, 20 * 4096), 0);
		cr_assert_leq(told(&w, "table of parts"), 1);
		done(&w);
	}
	for (unsigned behind = 58; behind < 66; behind += 4) { /* where the part stands */
		open_changed(&w, "memory", UINT32_MAX, (int)behind, 0x7777, UINT32_MAX);
		cr_assert_eq(page_at(&w, UINT64_C(0x100000000)), 21, "%u", behind);
		done(&w);
	}
}

/* A link of any name to a memory file is one. */
Test(vmware, a_link_to_memory)
{
	char link[96];
	struct world w;

	open_pair(&w, &(struct mkvmss){.region = two, .n_regions = 2}, NULL);
	dump_close(w.d);
	snprintf(link, sizeof(link), "%s/evidence", w.dir);
	cr_assert_eq(symlink("m.vmem", link), 0);
	w.rc = dump_open(&w.d, link, NULL, &w.notes, &w.e);
	unlink(link);
	cr_assert_eq(w.rc, 0, "%s", w.e.msg);
	cr_assert_str_eq(w.d->format, "vmware");
	cr_assert_eq(page_at(&w, UINT64_C(0x100000000)), 21);
	done(&w);
}

/* Any one byte of the state is wrong: no crash, and memory is always there. */
Test(vmware, each_byte)
{
	struct mkvmss o = {.region = two, .n_regions = 2, .cr3 = 0x1ad000, .inside = PAGES * 4096};
	struct buf b;
	size_t n;

	buf_init(&b);
	mkvmss_build(&b, &o);
	n = b.n;
	put_pages(&b, PAGES);
	for (size_t i = 12; i<n; i += i> 900 ? 97 : 1)
		for (unsigned k = 0; k < 2; k++) {
			uint8_t old = b.p[i];
			struct input *in;
			struct dump *d;
			struct err e;

			b.p[i] = k ? 0xff : old ^ 0x11;
			cr_assert_eq(input_open_memory(&in, b.p, b.n, "state", &e), 0);
			if (dump_open_input(&d, in, NULL, NULL, &e) == 0) {
				uint8_t p[4096];

				phys_read(d->phys, 0, p, sizeof(p));
				dump_close(d);
			} else {
				cr_assert(e.code == ERR_NOIMAGE || e.code == ERR_UNSUPPORTED, "byte %zu: %s", i, e.msg);
			}
			b.p[i] = old;
		}
	buf_free(&b);
}

Test(vmware, arm)
{
	struct world w;

	open_pair(&w, &(struct mkvmss){.platform = 3}, NULL);
	cr_assert_eq(w.rc, 0);
	cr_assert_eq(w.d->hints.machine, MACHINE_ARM64);
	cr_assert_eq(page_at(&w, UINT64_C(0x80001000)), 2);
	done(&w);
}

/* A .vmem by itself: as it is up to 3 GiB; above, a guess that is told; unless zeros stand where the hole is. */
Test(vmware, alone)
{
	for (unsigned k = 0; k < 3; k++) {
		struct world w;
		uint8_t byte = 0x77;
		FILE *f;

		begin(&w);
		f = fopen(w.vmem, "wb");
		cr_assert_not_null(f);
		for (uint64_t at = k == 1 ? UINT64_C(3) << 30 : 0; k && at < UINT64_C(0x100000000); at += UINT64_C(1) << 22)
			cr_assert(fseeko(f, (off_t)at, SEEK_SET) == 0 && fputc(byte, f) == byte);
		cr_assert(fseeko(f, k ? (off_t)(UINT64_C(5) << 30) - 1 : (off_t)(UINT64_C(3) << 30) - 1, SEEK_SET) == 0 &&
			  fputc(0x55, f) == 0x55);
		if (k == 2) /* the hole's place is blank */
			cr_assert(fflush(f) == 0 && ftruncate(fileno(f), (off_t)3 << 30) == 0 && ftruncate(fileno(f), (off_t)5 << 30) == 0);
		cr_assert_eq(fclose(f), 0);
		w.rc = dump_open(&w.d, w.vmem, NULL, &w.notes, &w.e);
		cr_assert_eq(w.rc, 0);
		cr_assert_str_eq(w.d->format, k == 1 ? "vmware" : "raw");
		cr_assert_eq(w.d->hints.needs_sidecar, k == 1);
		cr_assert_eq(strstr(w.d->advice, "--sidecar") != NULL, k == 1);
		cr_assert_eq(w.notes.n, k == 1);
		cr_assert_eq(phys_end(w.d->phys), k == 0 ? UINT64_C(3) << 30 : k == 1 ? UINT64_C(6) << 30 : UINT64_C(5) << 30);
		if (k == 1) {
			cr_assert_eq(phys_read(w.d->phys, UINT64_C(0x100000000), &byte, 1), 0);
			cr_assert_eq(byte, 0x77);
			cr_assert_eq(phys_read(w.d->phys, UINT64_C(0xc0000000), &byte, 1), ERR_FAULT);
		}
		done(&w);
	}
}

Test(vmware, no_memory)
{
	struct world w;
	struct buf b;

	begin(&w);
	buf_init(&b);
	mkvmss_build(&b, &(struct mkvmss){.region = two, .n_regions = 2});
	put_file(w.vmss, &b);
	buf_free(&b);
	w.rc = dump_open(&w.d, w.vmss, NULL, &w.notes, &w.e);
	cr_assert_eq(w.rc, ERR_NOIMAGE);
	cr_assert(strstr(w.e.msg, "--sidecar"), "%s", w.e.msg);
	done(&w);
}

/* Bytes into a file, packed as `how` says ("": as they are). */
static void put_packed(const char *path, const struct buf *b, const char *how)
{
	struct buf z;

	buf_init(&z);
	if (!*how)
		buf_put(&z, b->p, b->n);
	else if (!mklayer(&z, how, b->p, b->n))
		cr_skip("%s is not built in", how);
	put_file(path, &z);
	buf_free(&z);
}

/* Either half, or both, packed: found by name without the packed file's ending, and told by content. Regions that are not in the memory's order show
 * whether the state was read. */
Test(vmware, packed_halves)
{
	static const struct mkvmss_region swapped[] = {{0, 0x100000, 20}, {20, 0, 12}};
	static const struct {
		const char *vmem, *how, *vmss, *how_state;
	} pairs[] = {{"m.vmem", "gzip", "m.vmss", ""},
		     {"m.vmem.gz", "gzip", "m.vmss", ""},
		     {"m.vmem.xz", "xz", "m.vmsn", ""},
		     {"m.VMEM.GZ", "gzip", "m.VMSS", ""},
		     {"m.vmem", "", "m.vmss.gz", "gzip"},
		     {"m.vmem.zst", "zstd", "m.vmss.zst", "zstd"},
		     {"m.x.vmem.gz", "gzip", "m.x.vmss.lz4", "lz4"},
		     {"m.vmem", "zstd-frames", "m.vmss", "gzip"}};

	for (unsigned i = 0; i < 3 * sizeof(pairs) / sizeof(pairs[0]); i++) {
		unsigned way = i % 3; /* the memory is given; the state; the memory, and the state by --sidecar */
		struct dump_opts o = {0};
		struct world w;
		struct buf mem, state;

		if (way == 1 && strcmp(pairs[i / 3].vmss, "m.vmsn") == 0)
			continue; /* as good as the next one */
		begin(&w);
		snprintf(w.vmem, sizeof(w.vmem), "%s/%s", w.dir, pairs[i / 3].vmem);
		snprintf(w.vmss, sizeof(w.vmss), "%s/%s", w.dir, pairs[i / 3].vmss);
		buf_init(&mem);
		buf_init(&state);
		put_pages(&mem, PAGES);
		mkvmss_build(&state, &(struct mkvmss){.region = swapped, .n_regions = 2});
		put_packed(w.vmem, &mem, pairs[i / 3].how);
		put_packed(w.vmss, &state, pairs[i / 3].how_state);
		o.sidecar = way == 2 ? w.vmss : NULL;
		w.rc = dump_open(&w.d, way == 1 ? w.vmss : w.vmem, &o, &w.notes, &w.e);
		cr_assert_eq(w.rc, 0, "%u: %s", i, w.e.msg);
		cr_assert_str_eq(w.d->format, "vmware", "%u", i);
		cr_assert_eq(w.d->n_segments, 2);
		cr_assert_eq(w.notes.n, 0, "%u: %s", i, w.notes.n ? w.notes.v[0].detail : "");
		cr_assert_eq(page_at(&w, 0), 21, "%u", i);
		cr_assert_eq(page_at(&w, UINT64_C(0x100000000)), 1, "%u", i);
		cr_assert_eq(phys_bytes(w.d->phys), PAGES * 4096);
		cr_assert(strncmp(w.d->compression, pairs[i / 3].how, 3) == 0, "%u: %s", i, w.d->compression);
		buf_free(&mem);
		buf_free(&state);
		done(&w);
	}
}

/* A packed half that is damaged: what is left counts and is named, and memory never stands in a wrong place without a word. */
Test(vmware, damaged_halves)
{
	struct world w;
	struct buf mem, state, z;

	for (unsigned i = 0; i < 2; i++) {
		begin(&w);
		snprintf(w.vmem, sizeof(w.vmem), "%s/m.vmem.gz", w.dir);
		snprintf(w.vmss, sizeof(w.vmss), "%s/m.vmss.gz", w.dir);
		buf_init(&mem);
		buf_init(&state);
		buf_init(&z);
		put_pages(&mem, PAGES);
		mkvmss_build(&state, &(struct mkvmss){.region = two, .n_regions = 2});
		cr_assert(mklayer(&z, "gzip", i ? state.p : mem.p, i ? state.n : mem.n));
		z.n = i ? 12 : z.n - 60;
		put_packed(w.vmem, &mem, "gzip");
		put_packed(w.vmss, &state, "gzip");
		put_file(i ? w.vmss : w.vmem, &z);
		w.rc = dump_open(&w.d, i ? w.vmem : w.vmss, NULL, &w.notes, &w.e);
		cr_assert_eq(w.rc, 0, "%s", w.e.msg);
		if (i) {
			cr_assert_eq(told(&w, "is not used"), 1);
		} else {
			cr_assert_geq(told(&w, "can be unpacked"), 1);
			cr_assert_eq(page_at(&w, 0), 1);
			cr_assert_lt(phys_bytes(w.d->phys), PAGES * 4096);
		}
		buf_free(&mem);
		buf_free(&state);
		buf_free(&z);
		done(&w);
	}
}
