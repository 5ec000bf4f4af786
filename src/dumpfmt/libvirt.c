/* libvirt.c - what libvirt writes around a QEMU stream (`virsh save`, managed saves): a header, the machine's XML, then the stream, packed or not; or,
 * "sparse" (11.2 and later), one with mapped-ram, whose offsets count from the beginning of this file. Facts: docs/formats/qevm.md. */
#include <string.h>

#include "dumpfmt.h"
#include "rd.h"

#define LIBVIRT_HEADER 92u
#define LOOK           (4u << 20) /* the XML of a machine takes some KiB */

static bool libvirt_probe(const uint8_t *head, size_t n)
{
	return n >= LIBVIRT_HEADER && memcmp(head, "LibvirtQemudSave", 16) == 0;
}

/* A bare stream behind XML whose length lies; 0: none. */
static uint64_t find_stream(struct input *in)
{
	static const uint8_t mark[8] = {'Q', 'E', 'V', 'M', 0, 0, 0, 3};
	uint8_t p[65536 + sizeof(mark)];

	for (uint64_t at = LIBVIRT_HEADER; at < LOOK; at += 65536) {
		int64_t n = input_read(in, at, p, sizeof(p), NULL);

		for (int64_t i = 0; i + (int64_t)sizeof(mark) <= n && i < 65536; i++)
			if (memcmp(p + i, mark, sizeof(mark)) == 0)
				return at + (uint64_t)i;
		if (n < (int64_t)sizeof(p))
			break;
	}
	return 0;
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
	d->in_at = LIBVIRT_HEADER + (uint64_t)xml;
	if (xml == 0 || d->in_at >= input_size(d->in)) {
		d->in_at = find_stream(d->in);
		if (!d->in_at)
			return err_set(e, ERR_TRUNC, "a libvirt saved state that ends before its stream");
		notes_add(d->notes, &NOTE_AT(NOTE_CONTEXT_BAD, 20, 0),
			  "libvirt: XML of %u bytes does not fit; the stream was found at file offset %llu", xml,
			  (unsigned long long)d->in_at);
	}
	rc = input_open_window(&stream, d->in, d->in_at, UINT64_MAX, e);
	return rc < 0 ? rc : dump_open_inside(d, stream, e);
}

const struct dumpfmt dumpfmt_libvirt = {"libvirt-save", libvirt_probe, open_libvirt, NULL};
