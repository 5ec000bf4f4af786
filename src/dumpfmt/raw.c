/* raw.c - physical memory as it is: byte n of the file stands at physical address n. Takes everything nobody else does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dirlist.h"
#include "dumpfmt.h"
#include "hiber.h"
#include "refuse.h"
#include "vmware.h"

#define RAW_MIN 0x10000u /* less than this is no machine's memory */

static bool probe(const uint8_t *head, size_t n)
{
	(void)head;
	(void)n;
	return true;
}

/* The two files of a saved state of Hyper-V on Windows Server 2008 to 2012 R2 have no public magic: what tells is that they lie beside each other.
 * Not more than a word to the user: the bytes are taken as they are. */
static void look_for_old_hyperv(struct dump *d)
{
	const char *name = input_name(d->in);
	size_t n = strlen(name);
	bool bin = n > 4 && strcasecmp(name + n - 4, ".bin") == 0, vsv = n > 4 && strcasecmp(name + n - 4, ".vsv") == 0;
	char *other = bin || vsv ? strdup(name) : NULL;

	if (!other)
		return;
	for (size_t i = 0; i < 3; i++)
		other[n - 3 + i] = (char)((bin ? "vsv" : "bin")[i] - (name[n - 1] >= 'a' ? 0 : 'a' - 'A'));
	if (path_is_file(other) && !d->advice[0])
		snprintf(d->advice, sizeof(d->advice),
			 "beside it lies a .%s: a saved state of an old Hyper-V? Its form is not public: convert it on that host (vm2dmp, "
			 "LiveKd), and "
			 "give the crash dump",
			 bin ? "vsv" : "bin");
	free(other);
}

static int open_raw(struct dump *d, struct err *e)
{
	uint8_t last;
	int rc;

	if (input_read(d->in, RAW_MIN - 1, &last, 1, NULL) == 0)
		return err_set(e, ERR_NOIMAGE, "%llu byte%s too few for a memory image", (unsigned long long)input_size(d->in),
			       input_size(d->in) == 1 ? " is" : "s are");
	rc = hiber_open_headerless(d, e);
	if (rc == 0)
		rc = vmware_open_memory(d, e);
	if (rc == 0)
		look_for_old_hyperv(d);
	return rc ? rc < 0 ? rc : 0 : phys_add_rest(d->phys, 0, d->in, 0, e);
}

const struct dumpfmt dumpfmt_raw = {"raw", probe, open_raw, NULL};
