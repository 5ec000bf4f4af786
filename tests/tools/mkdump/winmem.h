/* winmem.h - the physical memory of a made machine: scattered frames and the page tables of its architecture. Used by mkdump only; shares no code
 * with src/ but the profile's offsets and the little-endian helpers. */
#ifndef ETLIFT_WINMEM_H
#define ETLIFT_WINMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WM_PAGE 4096u

enum wm_arch { WM_X64, WM_LA57, WM_PAE, WM_X86, WM_ARM64 };

struct winmem {
	uint64_t frames;      /* of RAM */
	uint64_t hole_frames; /* frames of RAM below the hole under 4 GiB; the rest stands at 4 GiB */
	uint8_t **page;       /* by frame number of RAM; NULL: zeros */
	uint8_t *taken;
	uint64_t *entry;       /* by frame: physical address of the entry that last mapped it; 0: none */
	uint64_t *freed;       /* the same, where that was undone */
	uint64_t large_frames; /* frames below this one are kept for large pages */
	uint64_t seed;
	enum wm_arch arch;
	bool self_map; /* each root maps itself, as Windows' do */
	uint64_t kernel_dtb;
	uint64_t roots; /* PAE: the next root's place in a page of them; 0: none begun */
	uint8_t *fill;  /* what pages that nobody wrote hold, three MiB of four; NULL: zeros */
	uint64_t fill_frames;
};

struct winspace {
	struct winmem *m;
	uint64_t dtb;
};

/* hole_mib: MiB of RAM below the hole; 0: 3 GiB. */
void wm_init(struct winmem *m, uint64_t mib, uint64_t hole_mib, enum wm_arch arch, bool self_map, uint64_t seed);
void wm_free(struct winmem *m);
uint64_t wm_rand(struct winmem *m);

uint64_t wm_pa(const struct winmem *m, uint64_t frame);         /* RAM frame -> physical address */
uint8_t *wm_at(struct winmem *m, uint64_t pa);                  /* the bytes at a physical address; makes the page */
const uint8_t *wm_peek(const struct winmem *m, uint64_t frame); /* NULL: zeros */
uint64_t wm_frame(struct winmem *m);                            /* a free frame at a scattered place: its physical address */
uint64_t wm_large(const struct winmem *m);                      /* bytes of a large page: 2 or 4 MiB */
uint64_t wm_frames_large(struct winmem *m);                     /* as many frames, aligned */
unsigned wm_pointer_size(const struct winmem *m);
bool wm_is_kernel(const struct winmem *m, uint64_t va);

/* A new root; user roots share the kernel's upper half (call when the kernel's tables are there). */
uint64_t wm_new_root(struct winmem *m, bool kernel);
void wm_map(struct winspace *s, uint64_t va, uint64_t pa); /* one page */
void wm_map_large(struct winspace *s, uint64_t va, uint64_t pa);
void wm_unmap(struct winspace *s, uint64_t va); /* a page that is lost: its entry becomes 0 */
void wm_given(struct winmem *m, uint64_t pa);   /* a page that was unmapped went to somebody else */
void wm_set_pte(struct winspace *s, uint64_t va, uint64_t pte);
bool wm_translate(struct winspace *s, uint64_t va, uint64_t *pa);

/* Reads and writes through the tables; pages are mapped on the first write. */
void wm_write(struct winspace *s, uint64_t va, const void *p, size_t n);
void wm_read(struct winspace *s, uint64_t va, void *p, size_t n); /* unmapped: zeros */
void wm_put(struct winspace *s, uint64_t va, uint64_t v, unsigned size);
uint64_t wm_get(struct winspace *s, uint64_t va, unsigned size);
void wm_touch(struct winspace *s, uint64_t va, uint64_t n); /* maps [va, va + n) */

#endif
