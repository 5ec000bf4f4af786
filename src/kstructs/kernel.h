/* kernel.h - the kernel that was found in an image, and typed reads in its structures.
 *
 * kernel_open() finds the page-table root and the kernel image (every candidate proves itself by a PE image with an RSDS record), picks the
 * profile, and collects what every caller wants. kread_* then read members by name: no offset is seen above this line. */
#ifndef ETLIFT_KERNEL_H
#define ETLIFT_KERNEL_H

#include "hints.h"
#include "kernel_versions.h"
#include "note.h"
#include "phys.h"
#include "profile.h"
#include "vm.h"

struct kernel_opts {
	struct profset *profiles; /* required */
	const char *profile_name; /* --profile, or NULL */
	bool has_dtb;             /* --dtb */
	uint64_t dtb;
	struct input **pagefiles; /* --pagefile; borrowed */
	size_t n_pagefiles;
	bool need_profile; /* false: `info` is content without one */
};

struct pfndb;

struct kernel {
	const struct phys *phys;
	struct vm *vm; /* owned: the kernel's address space */
	bool has_profile;
	struct profile prof;
	const char *match;         /* "guid" "isf" "pdb" "given" "build" "inferred", or NULL */
	struct inferred *inferred; /* owned: the evidence (infer.h) for what no table had; else NULL */
	uint64_t base, image_size; /* kernel image */
	uint64_t rsds;             /* its headers are not in the image: VA of the RSDS record that it was found by; else 0 */
	uint32_t pe_timestamp;
	char pdb_name[40];
	struct guid pdb_guid;
	uint32_t pdb_age;
	char version[KERNEL_VERSION_MAX]; /* of the kernel file: by the profile of exactly this kernel, else by its PE header; "" unknown */
	uint32_t build;                   /* NtBuildNumber without its top nibble */
	uint8_t major, minor;
	uint32_t n_cpus;                /* 0 unknown */
	int64_t system_time, boot_time; /* FILETIME; 0 unknown */
	uint64_t qpc_frequency;         /* 0 unknown */
	int32_t bias;                   /* KUSER TimeZoneBias in minutes */
	bool has_bias;
	uint64_t kdbg; /* VA of a KDBG block that proved itself (decoded or plain), 0 none */
	bool kdbg_encoded;
	uint64_t claimed_pfn_database; /* MmPfnDatabase as a dump's header has it; 0 none */
	struct pfndb *pfndb;           /* owned; NULL: there is none, or nobody asked yet: kernel_pfndb() */
	bool pfndb_looked_for;
	uint64_t claimed_head;     /* PsActiveProcessHead as a dump's header has it, or by its shape in the image; 0 none */
	bool head_looked_for;      /* by shape */
	uint8_t kdbg_bytes[0x400]; /* the block, decoded; kdbg_len of them */
	size_t kdbg_len;
	uint64_t debugger_data;       /* VA of EtwpDebuggerData; 0 unknown */
	const char *debugger_data_by; /* then: "symbol" "kdbg" "pattern" */
	struct notes *notes;          /* borrowed */
};

int kernel_open(struct kernel **out, const struct phys *phys, const struct hints *hints, const struct kernel_opts *o, struct notes *notes,
		struct err *e);
void kernel_close(struct kernel *k); /* takes NULL */

/* Address of a symbol; false when the profile has none. An RVA outside the kernel image is none. */
bool kernel_symbol(const struct kernel *k, enum prof_symbol s, uint64_t *va);

/* The page frame number database (pfndb.h), or NULL; opened by the first call. */
struct pfndb *kernel_pfndb(struct kernel *k);
/* How many lost page tables have been put together from it so far. */
size_t kernel_tables_rebuilt(const struct kernel *k);

/* The array of pointers to each processor's _KPRCB (KiProcessorBlock): by symbol, else as KDBG has it; 0 unknown. */
uint64_t kernel_processor_block(const struct kernel *k);

/* Member `f` of the object at `obj` as an unsigned number of `size` bytes (1, 2, 4, 8); bit fields are cut out. 0, ERR_FAULT, or
 * ERR_NOTFOUND when this kernel has no such member. */
int kread_uint(const struct kernel *k, uint64_t obj, enum prof_field f, unsigned size, uint64_t *out);
int kread_u16(const struct kernel *k, uint64_t obj, enum prof_field f, uint16_t *out);
int kread_u32(const struct kernel *k, uint64_t obj, enum prof_field f, uint32_t *out);
int kread_u64(const struct kernel *k, uint64_t obj, enum prof_field f, uint64_t *out);
int kread_ptr(const struct kernel *k, uint64_t obj, enum prof_field f, uint64_t *out); /* pointer-sized */
int kread_bytes(const struct kernel *k, uint64_t obj, enum prof_field f, void *buf, size_t n);
int kread_ptr_at(const struct kernel *k, uint64_t va, uint64_t *out); /* a bare pointer */

#define KREAD_STRING_MAX 65534 /* bytes of a UNICODE_STRING */

/* The UNICODE_STRING that is member f of obj (or stands at va): its UTF-16LE bytes, at most max. 0 with *n = 0 for an empty one. */
int kread_unicode(const struct kernel *k, uint64_t obj, enum prof_field f, uint8_t *buf, size_t max, size_t *n);
int kread_unicode_at(const struct kernel *k, uint64_t va, uint8_t *buf, size_t max, size_t *n);

/* A LIST_ENTRY ring, cycle-proof. Walks forward from the head; when a link is broken, takes the walk up from the head's Blink backwards
 * until it meets what it has. */
struct klist {
	const struct kernel *k;
	uint64_t head;
	size_t max;
	uint64_t *node; /* owned; in forward order where known */
	size_t n, cap;
	bool broken;    /* the ring did not close; see where */
	uint64_t where; /* first node whose link could not be followed */
	const char *why;
};

/* Collects the nodes (addresses of the LIST_ENTRY members) of the ring at head, at most max. Never fails for a broken ring: look at `broken`.
 * ERR_FAULT when the head itself can't be read, ERR_NOMEM. */
int klist_collect(struct klist *l, const struct kernel *k, uint64_t head, size_t max);
void klist_free(struct klist *l);

#endif
