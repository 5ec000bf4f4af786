/* ksnap.h - one kernel structure, read once: members are then taken from the copy, and a page that was not there costs only the members that
 * lay in it.
 *
 * For structures of which many members are wanted (logger context, GUID entry, registration, consumer). Members come by their profile
 * name; a member that this kernel does not have, or whose page is missing, is an ordinary negative answer. */
#ifndef ETLIFT_KSNAP_H
#define ETLIFT_KSNAP_H

#include "kernel.h"

#define KSNAP_MAX   0x2000u /* bytes kept of one structure */
#define KSNAP_HOLES 4u

struct ksnap {
	const struct kernel *k;
	enum prof_type type;
	uint64_t va;
	uint32_t len;
	struct vm_missing hole[KSNAP_HOLES];
	size_t n_holes;
	uint8_t p[KSNAP_MAX];
};

/* Reads the structure at va: as many bytes as the members of fields.def need. Number of holes (0: whole). ERR_FAULT when nothing of it is
 * there; ERR_NOTFOUND when the profile knows nothing of the type. */
int ksnap_read(struct ksnap *s, const struct kernel *k, enum prof_type type, uint64_t va);

/* Pointer to n bytes of member f (+ `at` bytes), or NULL: no such member (*why ERR_NOTFOUND), page missing (ERR_FAULT). `why` may be NULL. */
const uint8_t *ksnap_at(const struct ksnap *s, enum prof_field f, uint32_t at, uint32_t n, int *why);

/* Member f as a number of `size` bytes (1, 2, 4, 8), a bit field cut out. 0, ERR_NOTFOUND or ERR_FAULT; *out is written only on success. */
int ksnap_uint(const struct ksnap *s, enum prof_field f, unsigned size, uint64_t *out);
int ksnap_u32(const struct ksnap *s, enum prof_field f, uint32_t *out);
int ksnap_u64(const struct ksnap *s, enum prof_field f, uint64_t *out);
int ksnap_ptr(const struct ksnap *s, enum prof_field f, uint64_t *out);

/* Address of member f; false when this kernel has none. */
bool ksnap_va(const struct ksnap *s, enum prof_field f, uint64_t *va);

#endif
