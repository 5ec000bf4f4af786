/* names.h - process and file names that the trace itself tells: starts, ends and rundowns say which name a process id, file key or file object has
 * and when. Gathered in one pass over each source before events are decoded; kept within named limits.
 *
 * Told by: kernel classics Process (1 Start, 2 End, 3 DCStart, 4 DCEnd, 39 Defunct) and FileIo (0 Name, 32 FileCreate, 35 FileDelete, 36 FileRundown,
 * 64 Create); Microsoft-Windows-Kernel-Process (1, 2, 15) and Microsoft-Windows-Kernel-File (10, 11, 12). Facts: Microsoft Learn, MOF classes
 * Process_TypeGroup1, FileIo_Name, FileIo_Create: FileObject of a Name event is what other events call FileKey. */
#ifndef ETLIFT_NAMES_H
#define ETLIFT_NAMES_H

#include "event.h"

#define NAMES_MAX       (1u << 19)         /* names of all sources; more are counted and passed over */
#define NAMES_BYTES_MAX ((size_t)64 << 20) /* and their text */

struct names;

struct names *names_new(void);    /* NULL: out of memory */
void names_free(struct names *n); /* takes NULL */

/* True if the event may tell a name: then decode it and call names_learn(). Looks at the header only. `guid`, `opcode`: of a kernel hook, else NULL. */
bool names_wants(const struct names *n, const struct event *ev, const struct guid *hook_guid, uint8_t hook_opcode);
void names_learn(struct names *n, const struct event *ev, const struct guid *hook_guid, uint8_t hook_opcode);

/* Sets ev->process_name and ev->file_name where they are known for that source and time; they live as long as n. */
void names_event(struct names *n, struct event *ev);

uint64_t names_dropped(const struct names *n); /* by the limits */

#endif
