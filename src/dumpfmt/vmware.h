/* vmware.h - VMware's memory files: what raw.c asks about a file that might be a .vmem. Facts: docs/formats/vmware.md. */
#ifndef ETLIFT_VMWARE_H
#define ETLIFT_VMWARE_H

#include "dumpfmt.h"

/* d->in has no magic. 1: it is the memory of a VMware machine (by --sidecar, by a state file of its name or that fits it in its folder, or by its
 * name and size alone), and its runs are registered. 0: nothing says so. ERR_*. */
int vmware_open_memory(struct dump *d, struct err *e);

/* The name of the state file that vmware_open_memory() would take for this one, if that has another name than it. */
void vmware_state_name(struct input *in, void (*fn)(void *ctx, const char *path), void *ctx);

#endif
