/* libvirt.c - what libvirt writes around a QEMU stream (`virsh save`, managed saves): a header, the machine's XML, then the stream, packed or not; or,
 * "sparse" (11.2 and later), one with mapped-ram, whose offsets count from the beginning of this file. Facts: docs/formats/qevm.md. */
#include <string.h>

#include "dumpfmt.h"
#include "rd.h"

#define LIBVIRT_HEADER 92u

static bool libvirt_probe(const uint8_t *head, size_t n)
{
	return n >= LIBVIRT_HEADER && memcmp(head, "LibvirtQemudSave", 16) == 0;
}

/* Magic, u32 version, u32 length of the XML, ...; then the XML, then the stream, packed or not. */
static int open_libvirt(struct dump *d, struct err *e)
{
	uint8_t h[LIBVIRT_HEADER];
	struct input *stream;
	int rc = input_read_all(d->in, 0, h, sizeof(h), e);
	uint32_t version, xml;

	if (rc < 0)
		return rc;
	version = le32(h + 16);
	xml = le32(h + 20);
	if (version == 0 || version > 2)
		return err_set(e, ERR_UNSUPPORTED, "a libvirt saved state of version %u", version);
	if (LIBVIRT_HEADER + (uint64_t)xml >= input_size(d->in))
		return err_set(e, ERR_TRUNC, "a libvirt saved state that ends before its stream");
	d->in_at = LIBVIRT_HEADER + (uint64_t)xml;
	rc = input_open_window(&stream, d->in, d->in_at, UINT64_MAX, e);
	return rc < 0 ? rc : dump_open_inside(d, stream, e);
}

const struct dumpfmt dumpfmt_libvirt = {"libvirt-save", libvirt_probe, open_libvirt, NULL};
