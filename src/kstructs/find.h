/* find.h - the steps of kernel_open(). Inside kstructs only.
 *
 * The offsets in these files belong to no kernel build: they are the PE format, the shared user page (one layout since Windows XP, public in
 * the SDK as KUSER_SHARED_DATA) and the debugger data block (wdbgexts.h, KDDEBUGGER_DATA64). docs/finding-the-kernel.md has the facts. */
#ifndef ETLIFT_FIND_H
#define ETLIFT_FIND_H

#include "kernel.h"

#define FIND_IMAGE_MAX UINT64_C(0x2000000) /* bytes from a kernel image's start to any address in it */

/* ---- find_image.c: the kernel's PE image ---- */
struct kimage {
	uint64_t base, size;
	uint64_t rsds; /* VA of the record, when it is all that there is; else 0 */
	bool guessed;  /* then: base is the lowest page mapped without a gap before it */
	uint32_t timestamp;
	uint16_t machine;
	char pdb[40];
	struct guid guid;
	uint32_t age;
};

/* True when a kernel image with an RSDS record that names a kernel's PDB starts at base. */
bool kimage_at(struct vm *vm, uint64_t base, struct kimage *out);
/* Down from an address inside the image. */
bool kimage_below(struct vm *vm, uint64_t va, struct kimage *out);
/* Without any hint: over the mapped pages of the kernel's half, or of where kernels usually stand in it. *budget counts tested pages down to 0. */
bool kimage_scan(struct vm *vm, bool usual, uint64_t *budget, struct kimage *out);
/* ---- find_headless.c: the same without its headers ---- */
struct kuser;
/* An RSDS record somewhere in physical memory that vm maps, and a start of the image that other facts bear out. */
bool kimage_headless(struct vm *vm, const struct hints *hints, struct profset *profiles, const struct kuser *user, struct kimage *out);
/* The number that NtBuildLab begins with; 0: there is none in the image. */
uint32_t kimage_build_lab(struct vm *vm, uint64_t base);
/* The record in these bytes, of which n are there. */
bool kimage_rsds(const uint8_t *b, size_t n, struct kimage *out);

/* An exported symbol's address; 0 none. */
uint64_t kimage_export(struct vm *vm, const struct kimage *im, const char *name);
/* The i-th section: false behind the last. Of an image without headers: all that an image may span, as one that can be written to. */
bool kimage_section(struct vm *vm, uint64_t base, unsigned i, uint64_t *va, uint64_t *size, bool *writable);

/* ---- find_kuser.c ---- */
struct kuser {
	bool there;                   /* it could be read */
	bool mapped;                  /* it is mapped, but its page is not in the image */
	uint32_t major, minor, build; /* build 0: not in this version's page */
	int64_t system_time, interrupt_time, bias_100ns;
	uint64_t qpc_frequency; /* 0 none */
	uint16_t machine;       /* as in a PE header; 0 unknown */
	uint32_t n_cpus;
};

void kuser_read(struct vm *vm, struct kuser *out);
bool kuser_sane(const struct kuser *u);
/* The build that this NT version was released as, when that is one only (6.2, 6.3); else 0. Can a build be of it? (0.0: any.) */
uint32_t kuser_only_build(unsigned major, unsigned minor);
bool kuser_may_be(unsigned major, unsigned minor, uint32_t build);
/* Windows before Vista: its version as users know it, or NULL. */
const char *kuser_old(const struct kuser *u);

/* ---- find_dtb.c: roots ---- */
struct root_hint {
	enum vm_arch arch;
	uint64_t dtb;
	uint64_t va; /* inside the kernel image; 0 none */
};

/* Tries one root. True: proven, *out is filled and *vm is open. */
typedef bool try_root_fn(void *ctx, const struct root_hint *h);

/* Roots that the container and the start of memory name, in order. True when one of them was taken. */
bool roots_hinted(const struct phys *phys, const struct hints *hints, const struct kernel_opts *o, try_root_fn *fn, void *ctx);

/* ---- find_scan.c: all of physical memory, upwards ---- */
bool roots_scanned(const struct phys *phys, try_root_fn *fn, void *ctx);

/* ---- find_kdbg.c ---- */
enum { KDBG_MODULES = 0x48, KDBG_PROCESSES = 0x50, KDBG_PRCBS = 0x218, KDBG_ETW = 0x330 };

/* Finds the block, plain or encoded; fills k->kdbg*. Needs k->base; uses symbols when there are some. */
void kdbg_find(struct kernel *k, const struct hints *hints);
/* A field of 8 bytes; 0 when there is no block or it is shorter. */
uint64_t kdbg_field(const struct kernel *k, unsigned off);
/* k->debugger_data by symbol, KDBG or its byte pattern. */
void debugger_data_find(struct kernel *k);
/* The host's logger table as EtwpDebuggerData names it; 0 unknown. */
uint64_t kernel_logger_table(const struct kernel *k);

/* Where neither a symbol nor KDBG nor a dump's header nor an export leads to the list of processes: its head by shape, in the kernel's image. Looked for
 * once. */
void process_head_find(struct kernel *k);

/* ---- find_profile.c ---- */
/* Picks k->prof and k->match. 0, ERR_NOTFOUND (nothing fits; the message says what is wanted), ERR_USAGE/ERR_NOKERNEL for a profile that was
 * given and is wrong. */
int profile_choose(struct kernel *k, const struct hints *hints, const struct kernel_opts *o, struct err *e);
/* Does k->prof fit this memory? 0, or ERR_NOKERNEL with the name of the invariant that failed; *checks counts what holds, by weight. */
int profile_prove(struct kernel *k, unsigned *checks, struct err *e);

/* The head of the process ring by symbol, KDBG, the dump's header or the first process; 0 unknown. */
uint64_t kernel_process_head(const struct kernel *k);
/* The _EPROCESS of System by what the kernel exports; 0 unknown. */
uint64_t kernel_system_process(const struct kernel *k);

/* Does this root map the kernel that was found? */
bool kernel_maps(const struct kernel *k, struct vm *vm);

/* ---- infer_process.c ---- */
/* Where k->prof lacks what leads along the processes: finds it out, and adds the evidence to k->inferred. Needs k->kdbg. */
void infer_process(struct kernel *k);

#endif
