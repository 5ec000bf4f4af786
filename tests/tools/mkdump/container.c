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

/* DUMP_HEADER64; what nobody writes is filled with "PAGE". */
static void crash_header(struct winimg *w, uint8_t h[0x2000], uint32_t type)
{
	uint64_t first[2], count[2];
	unsigned n = container_runs(&w->m, first, count);

	for (unsigned i = 0; i < 0x2000; i += 4)
		memcpy(h + i, "PAGE", 4);
	memcpy(h + 4, "DU64", 4);
	put_le32(h + 8, 15);
	put_le32(h + 0xc, w->p.build);
	put_le64(h + 0x10, container_root(w));
	put_le64(h + 0x20, w->p.symbol[S_PsLoadedModuleList] ? w->base + w->p.symbol[S_PsLoadedModuleList] : 0);
	put_le64(h + 0x28, w->head_process);
	put_le32(h + 0x30, 0x8664);
	put_le32(h + 0x34, w->o.cpus);
	put_le64(h + 0x80, w->p.symbol[S_KdDebuggerDataBlock] ? w->base + w->p.symbol[S_KdDebuggerDataBlock] : 0);
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

bool write_full(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	uint8_t h[0x2000];
	bool ok;

	crash_header(w, h, 1);
	ok = fwrite(h, 1, sizeof(h), f) == sizeof(h);
	for (uint64_t i = 0; ok && i < w->m.frames; i++)
		ok = container_put_page(f, wm_peek(&w->m, i));
	return ok;
}

/* Types 5 (all of RAM) and 6 (pages in use): a bitmap, then the pages. */
static bool write_bitmap(struct winimg *w, FILE *f, uint32_t type)
{
	uint64_t bits = wm_pa(&w->m, w->m.frames - 1) / WM_PAGE + 1, bytes = (bits + 7) / 8, at = 0x2038 + bytes, pages = 0;
	uint64_t first_page = (at + 0xfff) & ~UINT64_C(0xfff);
	uint8_t h[0x2000], s[0x38] = {0}, *map = calloc(1, first_page - 0x2038);
	bool ok;

	crash_header(w, h, type);
	for (uint64_t i = 0; i < w->m.frames; i++) {
		uint64_t pfn = wm_pa(&w->m, i) / WM_PAGE;

		if (type == 6 && !wm_peek(&w->m, i))
			continue;
		map[pfn / 8] |= (uint8_t)(1u << pfn % 8);
		pages++;
	}
	memcpy(s, type == 5 ? "FDMP" : "SDMP", 4);
	memcpy(s + 4, "DUMP", 4);
	put_le64(s + 0x20, first_page);
	put_le64(s + 0x28, pages);
	put_le64(s + 0x30, bits);
	ok = fwrite(h, 1, sizeof(h), f) == sizeof(h) && fwrite(s, 1, sizeof(s), f) == sizeof(s) &&
	     fwrite(map, 1, first_page - 0x2038, f) == first_page - 0x2038;
	for (uint64_t i = 0; ok && i < w->m.frames; i++)
		if (type == 5 || wm_peek(&w->m, i))
			ok = container_put_page(f, wm_peek(&w->m, i));
	free(map);
	return ok;
}

bool write_bitmap_full(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return write_bitmap(w, f, 5);
}

bool write_bitmap_kernel(struct winimg *w, FILE *f, const char *path)
{
	(void)path;
	return write_bitmap(w, f, 6);
}

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
