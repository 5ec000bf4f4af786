/* container.c - see container.h. Layouts: docs/formats/crash.md. */
#include "container.h"

#include <stdlib.h>
#include <string.h>

#include "rd.h"

static const uint8_t zero_page[WM_PAGE];

unsigned container_runs(const struct winmem *m, uint64_t first[2], uint64_t count[2])
{
	first[0] = 0;
	count[0] = m->hole_frames;
	first[1] = wm_pa(m, m->hole_frames) / WM_PAGE;
	count[1] = m->frames - m->hole_frames;
	return count[1] ? 2 : 1;
}

const uint8_t *container_page(const struct winimg *w, uint64_t pfn)
{
	const struct winmem *m = &w->m;
	uint64_t above = wm_pa(m, m->hole_frames) / WM_PAGE;

	if (pfn < m->hole_frames)
		return pfn < m->frames ? wm_peek(m, pfn) : NULL;
	return pfn >= above && pfn - above < m->frames - m->hole_frames ? wm_peek(m, m->hole_frames + (pfn - above)) : NULL;
}

uint64_t container_end(const struct winimg *w)
{
	return wm_pa(&w->m, w->m.frames - 1) / WM_PAGE + 1;
}

bool container_put_page(FILE *f, const uint8_t *p)
{
	if (p)
		return fwrite(p, 1, WM_PAGE, f) == WM_PAGE;
	return fwrite(zero_page, 1, WM_PAGE, f) == WM_PAGE;
}

bool write_raw(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	bool ok = true;

	for (uint64_t i = 0; ok && i < w->m.frames; i++) {
		const uint8_t *p = wm_peek(&w->m, i);

		if (p)
			ok = fseeko(f, (off_t)wm_pa(&w->m, i), SEEK_SET) == 0 && container_put_page(f, p);
	}
	/* the last page makes the file as long as memory */
	return ok && fseeko(f, (off_t)wm_pa(&w->m, w->m.frames - 1), SEEK_SET) == 0 &&
	       container_put_page(f, wm_peek(&w->m, w->m.frames - 1));
}

/* The root that the header names: the kernel's, a process' (as live dumps have), one of user mode (of no use), or none. */
uint64_t container_root(const struct winimg *w)
{
	const struct wi_process *p = &w->proc[w->n_proc - 1];

	switch (w->o.hint) {
	case HINT_PROCESS:
		return p->space.dtb;
	case HINT_USER:
		return p->user_root ? p->user_root : 0x1000;
	case HINT_NONE:
		return UINT64_C(0x4547415045474150);
	default:
		return w->m.kernel_dtb;
	}
}

/* A symbol's address in the width that the header has. */
static uint64_t symbol(const struct winimg *w, enum prof_symbol s)
{
	return w->p.symbol[s] ? w->base + w->p.symbol[s] : 0;
}

/* DUMP_HEADER64; what nobody writes is filled with "PAGE". */
static void header64(struct winimg *w, uint8_t *h, uint32_t type)
{
	uint64_t first[2], count[2];
	unsigned n = container_runs(&w->m, first, count);

	memcpy(h + 4, "DU64", 4);
	put_le32(h + 8, 15);
	put_le32(h + 0xc, w->p.build);
	put_le64(h + 0x10, container_root(w));
	put_le64(h + 0x20, symbol(w, S_PsLoadedModuleList));
	put_le64(h + 0x28, w->head_process);
	put_le32(h + 0x30, wi_machine(w));
	put_le32(h + 0x34, w->o.cpus);
	put_le64(h + 0x80, symbol(w, S_KdDebuggerDataBlock));
	put_le32(h + 0x88, n);
	put_le64(h + 0x90, w->m.frames);
	for (unsigned i = 0; i < n; i++) {
		put_le64(h + 0x98 + 16 * i, first[i]);
		put_le64(h + 0xa0 + 16 * i, count[i]);
	}
	put_le32(h + 0xf98, type);
	put_le64(h + 0xfa8, (uint64_t)w->o.system_time);
	put_le64(h + 0x1030, (uint64_t)(w->o.system_time - w->o.boot_time));
}

/* DUMP_HEADER32. */
static void header32(struct winimg *w, uint8_t *h, uint32_t type)
{
	uint64_t first[2], count[2];
	unsigned n = container_runs(&w->m, first, count);

	memcpy(h + 4, "DUMP", 4);
	put_le32(h + 8, 15);
	put_le32(h + 0xc, w->p.build);
	put_le32(h + 0x10, (uint32_t)container_root(w));
	put_le32(h + 0x18, (uint32_t)symbol(w, S_PsLoadedModuleList));
	put_le32(h + 0x1c, (uint32_t)w->head_process);
	put_le32(h + 0x20, wi_machine(w));
	put_le32(h + 0x24, w->o.cpus);
	h[0x5c] = w->m.arch == WM_PAE;
	put_le32(h + 0x60, (uint32_t)symbol(w, S_KdDebuggerDataBlock));
	put_le32(h + 0x64, n);
	put_le32(h + 0x68, (uint32_t)w->m.frames);
	for (unsigned i = 0; i < n; i++) {
		put_le32(h + 0x6c + 8 * i, (uint32_t)first[i]);
		put_le32(h + 0x70 + 8 * i, (uint32_t)count[i]);
	}
	put_le32(h + 0xf88, type);
	put_le64(h + 0xfb8, (uint64_t)(w->o.system_time - w->o.boot_time));
	put_le64(h + 0xfc0, (uint64_t)w->o.system_time);
}

/* The header of the machine's width; returns its size. */
static uint32_t crash_header(struct winimg *w, uint8_t h[0x2000], uint32_t type)
{
	for (unsigned i = 0; i < 0x2000; i += 4)
		memcpy(h + i, "PAGE", 4);
	if (w->ps == 8)
		header64(w, h, type);
	else
		header32(w, h, type);
	return w->ps == 8 ? 0x2000 : 0x1000;
}

static bool wants(const struct winimg *w, unsigned ps)
{
	return w->ps == ps;
}

static bool crash_full(struct winimg *w, FILE *f)
{
	uint8_t h[0x2000];
	uint32_t size = crash_header(w, h, 1);
	bool ok = fwrite(h, 1, size, f) == size;

	for (uint64_t i = 0; ok && i < w->m.frames; i++)
		ok = container_put_page(f, wm_peek(&w->m, i));
	return ok;
}

/* Types 5 (all of RAM) and 6 (pages in use): a bitmap, then the pages. Type 2, which XP to Windows 7 wrote: the same idea, another head. */
static bool crash_bitmap(struct winimg *w, FILE *f, uint32_t type)
{
	uint32_t head = type != 2 ? 0x38 : w->ps == 8 ? 0x28 : 0x20, size;
	uint64_t bits = wm_pa(&w->m, w->m.frames - 1) / WM_PAGE + 1, bytes = (bits + 7) / 8, pages = 0, first_page;
	uint8_t h[0x2000], s[0x38] = {0}, *map;
	bool ok;

	size = crash_header(w, h, type);
	first_page = (size + head + bytes + 0xfff) & ~UINT64_C(0xfff);
	bytes = first_page - size - head;
	map = calloc(1, bytes);
	for (uint64_t i = 0; i < w->m.frames; i++) {
		uint64_t pfn = wm_pa(&w->m, i) / WM_PAGE;

		if (type != 5 && !wm_peek(&w->m, i))
			continue;
		map[pfn / 8] |= (uint8_t)(1u << pfn % 8);
		pages++;
	}
	memcpy(s, type == 5 ? "FDMP" : "SDMP", 4);
	memcpy(s + 4, "DUMP", 4);
	if (type == 2) {
		put_le32(s + 0xc, (uint32_t)first_page);
		put_le32(s + 0x10, (uint32_t)bits);
		put_le32(s + 0x14, (uint32_t)pages);
		put_le32(s + 0x18, (uint32_t)bytes);
	} else {
		put_le64(s + 0x20, first_page);
		put_le64(s + 0x28, pages);
		put_le64(s + 0x30, bits);
	}
	ok = fwrite(h, 1, size, f) == size && fwrite(s, 1, head, f) == head && fwrite(map, 1, bytes, f) == bytes;
	for (uint64_t i = 0; ok && i < w->m.frames; i++)
		if (type == 5 || wm_peek(&w->m, i))
			ok = container_put_page(f, wm_peek(&w->m, i));
	free(map);
	return ok;
}

#define CRASH(name, ps, write)                                                                                                             \
	bool name(struct winimg *w, FILE *f, const char *path)                                                                             \
	{                                                                                                                                  \
		(void)path;                                                                                                                \
		return wants(w, ps) && (write);                                                                                            \
	}
CRASH(crash64_full, 8, crash_full(w, f))
CRASH(crash64_bitmap, 8, crash_bitmap(w, f, 5))
CRASH(crash64_kernel, 8, crash_bitmap(w, f, 6))
CRASH(crash64_summary, 8, crash_bitmap(w, f, 2))
CRASH(crash32_full, 4, crash_full(w, f))
CRASH(crash32_bitmap, 4, crash_bitmap(w, f, 5))
CRASH(crash32_kernel, 4, crash_bitmap(w, f, 6))
CRASH(crash32_summary, 4, crash_bitmap(w, f, 2))
#undef CRASH

static const struct {
	const char *name;
	container_fn *write;
} containers[] = {
#define CONTAINER(name, fn) {name, fn},
#include "containers.def"
#undef CONTAINER
};

const char *container_names(void)
{
#define CONTAINER(name, fn) name " "
	return
#include "containers.def"
		"";
#undef CONTAINER
}

bool container_write(struct winimg *w, const char *name, const char *path)
{
	for (size_t i = 0; i < sizeof(containers) / sizeof(containers[0]); i++)
		if (strcmp(containers[i].name, name) == 0) {
			FILE *f = fopen(path, "wb");
			bool ok = f && containers[i].write(w, f, path);

			return f && fclose(f) == 0 && ok;
		}
	return false;
}
