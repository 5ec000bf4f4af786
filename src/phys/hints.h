/* hints.h - what a container says beyond the bytes of memory: plain data, nothing taken on faith by those who read it. */
#ifndef ETLIFT_HINTS_H
#define ETLIFT_HINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guid.h"
#include "input.h"

#define HINTS_CPUS_MAX  4096
#define HINTS_BLOBS_MAX 65536

enum machine { MACHINE_UNKNOWN = 0, MACHINE_X86, MACHINE_X64, MACHINE_ARM64 };

struct hint_cpu {
	bool has_cr3, has_cr4, has_idt, has_kernel_gs;
	uint64_t cr3, cr4, idt_base, kernel_gs_base;
};

struct hint_blob { /* GUID-tagged bytes of a crash dump's secondary data */
	struct guid tag;
	uint64_t file_off, len; /* len: as many bytes as the file holds */
	uint64_t claimed;       /* what the block's header says */
};

struct hints {
	enum machine machine;
	bool is_crash_dump, pae;
	uint32_t dump_type;      /* crash dump: DUMP_TYPE value */
	uint32_t build;          /* crash dump header's MinorVersion; 0 unknown */
	uint32_t n_cpus_claimed; /* 0 unknown */
	bool has_dtb, has_kdbg, has_loaded_modules, has_process_head, has_pfn_database, has_kernel_base;
	uint64_t dtb, kdbg, loaded_modules, process_head, pfn_database, kernel_base;
	int64_t system_time;   /* FILETIME; 0 unknown */
	int64_t up_time;       /* 100 ns; 0 unknown */
	struct hint_cpu *cpus; /* owned */
	size_t n_cpus, cap_cpus;
	struct hint_blob *blobs; /* owned, in file order */
	size_t n_blobs, cap_blobs;
	bool blobs_broken;  /* the walk over the blobs ended at something that is neither a block nor padding */
	bool needs_sidecar; /* VMware: memory above the hole without its side file */
};

void hints_init(struct hints *h);
void hints_free(struct hints *h);
struct hint_cpu *hints_add_cpu(struct hints *h);   /* zeroed; NULL at the limit or out of memory */
void hints_add_cr3(struct hints *h, uint64_t cr3); /* a processor of which nothing else is known; 0: none */
struct hint_blob *hints_add_blob(struct hints *h);

#endif
