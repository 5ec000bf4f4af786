/* raw.c - physical memory as it is: byte n of the file stands at physical address n. Takes everything nobody else does. */
#include "dumpfmt.h"
#include "hiber.h"
#include "refuse.h"
#include "vmware.h"

#define RAW_MIN 0x10000u /* less than this is no machine's memory */

static bool probe(const uint8_t *head, size_t n, uint64_t file_size)
{
	(void)head;
	(void)n;
	(void)file_size;
	return true;
}

static int open_raw(struct dump *d, struct err *e)
{
	uint64_t size = input_size(d->in);
	int rc;

	if (size < RAW_MIN)
		return err_set(e, ERR_NOIMAGE, "%llu bytes are too few for a memory image", (unsigned long long)size);
	rc = hiber_open_headerless(d, e);
	if (rc == 0)
		rc = vmware_open_memory(d, e);
	return rc ? rc < 0 ? rc : 0 : phys_add_file(d->phys, 0, size, d->in, 0, e);
}

const struct dumpfmt dumpfmt_raw = {"raw", probe, open_raw, NULL};
