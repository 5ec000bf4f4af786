/* fuzz_carve.c - carving of a hostile memory without a kernel. Input: u8 flags (1: deep, 2: the pages stand in reverse order, 4: residual), then
 * the memory, from 0. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "carve.h"
#include "evhdr.h"

#define PAGE      4096u
#define BYTES_MAX (64 * PAGE)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct found {
	size_t buffers, copies, loose;
};

/* What comes out must agree with itself: records that walk to the end of the body, inside the buffer that the header tells of. */
static int check(void *ctx, const struct carve_orphan *o, struct err *e)
{
	struct found *n = ctx;

	(void)e;
	for (size_t i = 0; i < o->s.n_buffers; i++) {
		const struct etw_buffer *b = &o->s.buffers[i];
		uint32_t off = 0, records = 0;
		struct etw_record r;

		for (; off < b->body_len && etw_record_peek(b->body, b->body_len, off, &r) == ETW_PEEK_RECORD; off += r.step)
			records++;
		if (off < b->body_len || records != b->n_events || !records ||
		    b->body_len > (b->packed_bytes ? ETW_BUFFER_SIZE_MAX : b->hdr.buffer_size) || b->from != ETW_FROM_CARVED)
			abort();
		n->loose += o->s.no_id;
		n->buffers += !o->s.no_id;
		n->copies += b->has_same_as;
		if (b->headless != o->s.no_id)
			abort();
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t mem[BYTES_MAX];
	size_t n = size ? size - 1 : 0, pages;
	struct found found = {0};
	struct dump d = {0};
	struct image im = {.dump = &d};
	struct carve_opts o = {.deep = size && data[0] & 1, .residual = size && data[0] & 4, .loose = true, .threads = 1};
	struct carve_counts counts;
	struct input *in;
	struct carve *c;
	struct err e;

	if (n == 0 || n > BYTES_MAX)
		return 0;
	pages = (n + PAGE - 1) / PAGE;
	memset(mem, 0, pages * PAGE);
	for (size_t i = 0; i < pages; i++) {
		size_t part = n - i * PAGE < PAGE ? n - i * PAGE : PAGE;

		memcpy(mem + (data[0] & 2 ? pages - 1 - i : i) * PAGE, data + 1 + i * PAGE, part);
	}
	notes_init(&im.notes);
	if (input_open_memory(&in, mem, pages * PAGE, "memory", &e) < 0)
		abort();
	if (phys_new(&d.phys, NULL, &e) < 0 || phys_add_file(d.phys, 0, pages * PAGE, in, 0, &e) < 0 || phys_seal(d.phys, &e) < 0 ||
	    carve_open(&c, &im, &o, &e) < 0 || carve_run(c, check, &found, &e) < 0)
		abort();
	carve_counts(c, &counts);
	if (counts.copies != found.copies || counts.orphans > found.buffers || counts.orphans + counts.copies < found.buffers ||
	    found.buffers > counts.shapes || found.loose != counts.loose)
		abort();
	carve_close(c);
	phys_free(d.phys);
	input_close(in);
	notes_free(&im.notes);
	return 0;
}
