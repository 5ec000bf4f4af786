/* qevmmapped.c - see qevmmapped.h */
#include "qevmmapped.h"

#include <stdlib.h>
#include <string.h>

#include "rd.h"

#define HEADER       28u /* u32 version, u64 page size, u64 offset of the bitmap, u64 offset of the pages */
#define VERSION      1u
#define PAGE_SIZE_LO 0x1000u
#define PAGE_SIZE_HI 0x10000u
#define SAMPLES      1024u

bool qevmmapped_take(struct qevm_mapped *m, struct input *in, uint64_t before, uint64_t size, uint64_t *at)
{
	uint64_t behind = *at + HEADER;
	uint8_t h[HEADER];

	memset(m, 0, sizeof(*m));
	m->size = size;
	if (input_read_all(in, *at, h, sizeof(h), NULL) < 0 || be32(h) != VERSION)
		return false;
	m->page_size = be64(h + 4);
	m->bitmap_off = be64(h + 12);
	m->pages_off = be64(h + 20);
	*at = behind;
	m->left_out = m->bitmap_off == 0 && m->pages_off == 0;
	if (m->left_out)
		return true;
	if (m->bitmap_off != behind) {   /* else they count from the beginning of the stream */
		m->bitmap_off -= before; /* what is too small becomes too large */
		m->pages_off -= before;
	}
	if (m->bitmap_off < behind || m->pages_off <= m->bitmap_off || size > UINT64_MAX - m->pages_off) {
		m->bitmap_off = m->pages_off = UINT64_MAX; /* over what stands before: a lie */
		return false;
	}
	*at = m->pages_off + size;
	return true;
}

static bool none_set(const uint8_t *p, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* Is anything but zeros in the file, where its pages would be? At places all over it. */
static bool any_data(const struct qevm_mapped *m, struct input *in)
{
	uint64_t step = m->there / SAMPLES / m->page * m->page;
	uint8_t b[PAGE_SIZE_HI];

	for (uint64_t off = 0; off < m->there; off += step ? step : m->page)
		if (input_read(in, m->pages_off + off, b, m->page, NULL) > 0 && !none_set(b, m->page))
			return true;
	return false;
}

/* How much of the block is there: the file must reach so far, in the bitmap and in the pages; zeros behind its end are no more believed than data, since a
 * bit of them costs nothing. */
static void clamp(struct qevm_mapped *m, uint64_t file)
{
	uint64_t pages = m->size / m->page, held;

	held = m->pages_off < file ? (file - m->pages_off) / m->page : 0;
	if (pages > held)
		pages = held;
	held = m->bitmap_off < file ? file - m->bitmap_off : 0;
	if (held > m->pages_off - m->bitmap_off)
		held = m->pages_off - m->bitmap_off;
	if (pages / 8 >= held && pages > held * 8)
		pages = held * 8;
	m->there = pages * m->page;
}

int qevmmapped_load(struct qevm_mapped *m, struct input *in, struct notes *notes, const char *name, struct err *e)
{
	uint64_t n;
	int rc;

	if (m->left_out)
		return notes_add(notes, &NOTE_AT(NOTE_PAGE_MISSING, 0, m->size),
				 "qevm: the RAM block %s was left out: its memory was shared, and is in a file of its own", name),
		       0;
	if (m->page_size < PAGE_SIZE_LO || m->page_size > PAGE_SIZE_HI || (m->page_size & (m->page_size - 1)) || m->pages_off == UINT64_MAX)
		return notes_add(notes, &NOTE_AT(NOTE_PAGE_MISSING, 0, m->size),
				 "qevm: where the pages of the RAM block %s stand is not told: they are left out", name),
		       0;
	m->page = (uint32_t)m->page_size;
	clamp(m, input_size(in));
	if (m->there < m->size)
		notes_add(notes, &NOTE_AT(NOTE_IMAGE_TRUNCATED, m->there, m->size - m->there),
			  "qevm: the RAM block %s: the file ends before its last %llu bytes", name,
			  (unsigned long long)(m->size - m->there));
	n = (m->there / m->page + 7) / 8;
	if (!n)
		return 0;
	m->bits = malloc((size_t)n);
	if (!m->bits)
		return err_set(e, ERR_NOMEM, "out of memory");
	rc = input_read_all(in, m->bitmap_off, m->bits, (size_t)n, e);
	if (rc == 0 &&
	    none_set(m->bits, n)) { /* QEMU writes the bitmap last. A page that was not written is one of zeros in the file too */
		qevmmapped_free(m);
		if (any_data(m, in))
			notes_add(notes, &NOTE_AT(NOTE_CONTEXT_BAD, 0, m->there),
				  "qevm: the RAM block %s has pages, and an empty bitmap of those that were written: all are taken", name);
	}
	return rc;
}

void qevmmapped_free(struct qevm_mapped *m)
{
	free(m->bits);
	m->bits = NULL;
}

static bool written(const struct qevm_mapped *m, uint64_t page)
{
	return !m->bits || (m->bits[page / 8] >> (page % 8) & 1);
}

int qevmmapped_read(const struct qevm_mapped *m, struct input *in, uint64_t off, void *buf, size_t n)
{
	uint8_t *out = buf;

	while (n) { /* pages that are alike at once */
		uint64_t page = off / m->page, last = (off + n - 1) / m->page, next = page + 1;
		bool file = written(m, page);
		size_t k = n;
		int rc;

		while (next <= last && written(m, next) == file)
			next++;
		if (next <= last)
			k = (size_t)(next * m->page - off);
		if (!file) {
			memset(out, 0, k);
		} else {
			rc = input_read_all(in, m->pages_off + off, out, k, NULL);
			if (rc < 0)
				return rc;
		}
		out += k;
		off += k;
		n -= k;
	}
	return 0;
}
