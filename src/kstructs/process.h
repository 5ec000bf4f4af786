/* process.h - the processes of an image, by PsActiveProcessHead (symbol, else KDBG). */
#ifndef ETLIFT_PROCESS_H
#define ETLIFT_PROCESS_H

#include "kernel.h"

#define PROCESSES_MAX 65536

struct process {
	uint64_t va; /* _EPROCESS */
	uint64_t pid, parent_pid;
	char name[16];             /* ImageFileName: at most 15 bytes, any byte but NUL; "" unreadable */
	uint64_t dtb;              /* _KPROCESS.DirectoryTableBase: under KPTI the root that maps the kernel too; 0 unreadable */
	bool wow64;                /* a 32-bit process on a 64-bit system */
	uint64_t peb;              /* 0 none */
	int64_t create_time;       /* FILETIME; 0 unknown */
	int64_t exit_time;         /* FILETIME; 0: runs */
	uint64_t object_table;     /* _HANDLE_TABLE; 0 none */
	uint64_t job, server_silo; /* _EJOB; 0 none, or this kernel has no such member */
};

struct process_list {
	struct process *v; /* owned; in list order */
	size_t n, cap;
	bool broken; /* the ring did not close: a note says so */
};

/* Members that can't be read are 0. False: not even the pid can. */
bool process_read(const struct kernel *k, uint64_t eprocess, struct process *out);

/* 0 (also for an empty list: no head is known, noted) or ERR_NOMEM. */
int processes_list(struct process_list *l, const struct kernel *k, struct err *e);
void processes_free(struct process_list *l);

#endif
