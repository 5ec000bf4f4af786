/* vmwarebeside.h - the companion of one of VMware's files: looked for beside it and beside what a link of its name leads to, by name, else by what the
 * caller says of the contents. An ending has its dot (".vmem"); those of pieces (.001) and of packed files (.gz, .zst ...)
 * may stand behind it. Facts: docs/formats/vmware.md. */
#ifndef ETLIFT_VMWAREBESIDE_H
#define ETLIFT_VMWAREBESIDE_H

#include <stdbool.h>

#include "input.h"

/* In lower or upper case. */
bool vmware_has_ending(const char *name, const char *ending);
/* The same of the name, or of what a link of this name leads to. */
bool vmware_is_named(const char *name, const char *ending);

/* The file called like `name` but for its ending, in lower or upper case; a packed one is opened as it is. *out is the caller's. Negative: there is none,
 * or it can't be opened. */
int vmware_open_beside(struct input **out, const char *name, const char *ending);

typedef bool vmware_fits_fn(const void *ctx, struct input *in);

/* The only file of the folder, of any name with one of these endings, that fits. *out is the caller's. ERR_NOTFOUND: there is none, or more than one;
 * ERR_NOMEM. */
int vmware_open_fitting(struct input **out, const char *name, const char *const ending[2], vmware_fits_fn *fits, const void *ctx);

#endif
