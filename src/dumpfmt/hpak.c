/* hpak.c - HPAK (HBGary FDPro): sections with a name, one of them physical memory, plain or as one gzip stream. What is in it is opened as an image of
 * its own. Facts: docs/formats/hpak.md. */
#include <stdio.h>
#include <string.h>

#include "dumpfmt.h"
#include "rd.h"

#define HEADER       0x20u
#define SECTION      0xe0u
#define SECTIONS_MAX 64u

static bool probe(const uint8_t *head, size_t n)
{
	return n >= HEADER + SECTION && memcmp(head, "HPAK", 4) == 0 && memcmp(head + HEADER, "HPAKSECT", 8) == 0;
}

/* The section of physical memory: 1, and where it lies. 0: there is none. */
static int find(struct dump *d, uint64_t *off, uint64_t *len, bool *packed)
{
	uint64_t at = HEADER, size = input_size(d->in), next;
	uint8_t s[SECTION];

	for (unsigned i = 0; i < SECTIONS_MAX; i++, at = next) {
		if (input_read_all(d->in, at, s, sizeof(s), NULL) < 0 || memcmp(s, "HPAKSECT", 8) != 0) {
			notes_add(d->notes, &NOTE_AT(NOTE_LIST_BROKEN, at, 0), "hpak: no section at file offset %llu",
				  (unsigned long long)at);
			return 0;
		}
		*packed = le32(s + 0x8c) != 0;
		*off = le64(s + 0xa8);
		*len = le64(s + (*packed ? 0xb8 : 0x98));
		next = le64(s + 0xb0);
		if (memcmp(s, "HPAKSECTHPAK_SECTION_PHYSDUMP", 29) == 0)
			return 1;
		if (!next || next >= size)
			return 0;
	}
	return 0;
}

/* How much of the file belongs to it. A length that is not there (older writers leave that of the packed bytes out) means: up to the end. */
static int window(struct dump *d, uint64_t off, uint64_t len, struct input **in, struct err *e)
{
	uint64_t size = input_size(d->in), room = off < size ? size - off : 0;

	if (off < HEADER || !room)
		return err_set(e, ERR_TRUNC, "hpak: its memory begins behind the end of the file");
	if (len > room) {
		notes_add(d->notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, size, len - room),
			  "hpak: the file ends %llu bytes before its memory does", (unsigned long long)(len - room));
		len = room;
	}
	return input_open_window(in, d->in, off, len ? len : room, e);
}

static int open_hpak(struct dump *d, struct err *e)
{
	struct input *inside = NULL, *file = d->file;
	char inner[sizeof(d->format)];
	uint64_t off = 0, len = 0;
	bool packed = false;
	int rc;

	if (!find(d, &off, &len, &packed))
		return err_set(e, ERR_FORMAT, "an HPAK archive without a section of physical memory");
	rc = window(d, off, len, &inside, e);
	if (rc < 0)
		return rc;
	rc = dump_open_inside(d, inside, e);
	d->file = file; /* the evidence is the archive */
	if (rc < 0)
		return rc;
	snprintf(inner, sizeof(inner), "%s", d->format);
	snprintf(d->format, sizeof(d->format), strcmp(inner, "raw") == 0 ? "hpak" : "hpak:%.30s", inner);
	if (packed && !d->compression[0])
		notes_add(d->notes, &NOTE_AT(NOTE_CONTEXT_BAD, off, 0), "hpak: its memory is said to be packed and is not: read as it is");
	return 0;
}

const struct dumpfmt dumpfmt_hpak = {"hpak", probe, open_hpak, NULL};
