/* cont_vmware.c - the image as VMware has it: IMAGE.vmem with IMAGE.vmss beside it, or a state with the memory inside. See tests/lib/mkvmss.h. */
#include <stdlib.h>
#include <string.h>

#include "container.h"
#include "mkvmss.h"

static bool put_memory(struct winimg *w, FILE *f)
{
	static const uint8_t zeros[WM_PAGE];
	bool ok = true;

	for (uint64_t i = 0; ok && i < w->m.frames; i++) {
		const uint8_t *p = wm_peek(&w->m, i);

		ok = p || i + 1 == w->m.frames ? fwrite(p ? p : zeros, 1, WM_PAGE, f) == WM_PAGE : fseeko(f, WM_PAGE, SEEK_CUR) == 0;
	}
	return ok;
}

static void state_of(struct winimg *w, struct buf *b, bool inside)
{
	const struct winmem *m = &w->m;
	uint32_t below = (uint32_t)(m->hole_frames < m->frames ? m->hole_frames : m->frames);
	struct mkvmss_region r[2] = {{0, 0, below}, {below, 0x100000, (uint32_t)(m->frames - below)}};
	struct mkvmss o = {.region = r,
			   .n_regions = r[1].pages ? 2 : 1,
			   .cr3 = m->kernel_dtb,
			   .cpus = w->o.cpus,
			   .mem_mb = (uint32_t)(m->frames / 256),
			   .inside = inside ? m->frames * WM_PAGE : 0};

	buf_init(b);
	mkvmss_build(b, &o);
}

bool cont_vmware(struct winimg *w, FILE *f, const char *path)
{
	const char *dot = strrchr(path, '.');
	size_t n = dot && !strchr(dot, '/') ? (size_t)(dot - path) : strlen(path);
	char *name = malloc(n + 6);
	struct buf b;
	FILE *s;
	bool ok;

	sprintf(name, "%.*s.vmss", (int)n, path);
	state_of(w, &b, false);
	s = fopen(name, "wb");
	ok = s && fwrite(b.p, 1, b.n, s) == b.n;
	ok = s && fclose(s) == 0 && ok && put_memory(w, f);
	buf_free(&b);
	free(name);
	return ok;
}

bool cont_vmsn(struct winimg *w, FILE *f, const char *path)
{
	struct buf b;
	bool ok;

	(void)path;
	state_of(w, &b, true);
	ok = fwrite(b.p, 1, b.n, f) == b.n && put_memory(w, f);
	buf_free(&b);
	return ok;
}
