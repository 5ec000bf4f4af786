/* src/phys: runs against a plain model of memory. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "err.h"
#include "input.h"
#include "phys.h"

#define SPACE 4096 /* addresses of the model */

static int made(void *ctx, uint64_t pa, void *buf, size_t len)
{
	(void)ctx;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)(0x80 | (pa + i));
	return 0;
}

Test(phys, random_runs_agree_with_a_model)
{
	static uint8_t file[SPACE * 2];

	srand(3);
	for (size_t i = 0; i < sizeof(file); i++)
		file[i] = (uint8_t)rand() & 0x7f;
	for (int round = 0; round < 600; round++) {
		int model[SPACE];
		struct input *in;
		struct phys *p;
		struct notes notes;
		bool overlap = false;

		memset(model, 0xff, sizeof(model));
		notes_init(&notes);
		cr_assert_eq(input_open_memory(&in, file, sizeof(file), "m", NULL), 0);
		cr_assert_eq(phys_new(&p, &notes, NULL), 0);
		for (int k = rand() % 24; k > 0; k--) {
			uint64_t pa = (uint64_t)rand() % SPACE, len = 1 + (uint64_t)rand() % 300, off = (uint64_t)rand() % SPACE;

			if (pa + len > SPACE)
				len = SPACE - pa;
			bool is_made = rand() % 4 == 0;

			if (is_made)
				cr_assert_eq(phys_add(p, pa, len, made, NULL, NULL), 0);
			else
				cr_assert_eq(phys_add_file(p, pa, len, in, off, NULL), 0);
			for (uint64_t a = pa; a < pa + len; a++) {
				overlap |= model[a] >= 0;
				if (model[a] < 0)
					model[a] = is_made ? (uint8_t)(0x80 | a) : file[off + (a - pa)];
			}
		}
		cr_assert_eq(phys_seal(p, NULL), 0);
		for (uint64_t a = 0; a < SPACE; a++) {
			uint8_t b;
			int rc = phys_read(p, a, &b, 1);

			cr_assert_eq(rc, model[a] < 0 ? ERR_FAULT : 0, "address %llu", (unsigned long long)a);
			if (rc == 0)
				cr_assert_eq(b, model[a], "address %llu", (unsigned long long)a);
		}
		cr_assert_eq(notes.n > 0, overlap);
		phys_free(p);
		input_close(in);
		notes_free(&notes);
	}
}

Test(phys, reads_across_runs_and_counts)
{
	static const uint8_t file[64] = "0123456789abcdefghijklmnopqrstuvwxyz";
	struct phys_run r;
	struct input *in;
	struct phys *p;
	uint8_t b[16];
	uint64_t off;

	cr_assert_eq(input_open_memory(&in, file, sizeof(file), "m", NULL), 0);
	cr_assert_eq(phys_new(&p, NULL, NULL), 0);
	cr_assert_eq(phys_add_file(p, 0x1008, 8, in, 20, NULL), 0);
	cr_assert_eq(phys_add_file(p, 0x1000, 8, in, 0, NULL), 0);
	cr_assert_eq(phys_add_file(p, 0x1010, 8, in, 28, NULL), 0);
	cr_assert_eq(phys_seal(p, NULL), 0);
	cr_assert_eq(phys_n_runs(p), 2); /* the second and third continue each other */
	cr_assert_eq(phys_read(p, 0x1004, b, 8), 0);
	cr_assert_eq(memcmp(b, "4567klmn", 8), 0);
	cr_assert_eq(phys_read(p, 0x1014, b, 8), ERR_FAULT);
	cr_assert_eq(phys_present(p, 0x1004, 100), 0x14);
	cr_assert(phys_absent(p, 0x1004, 100) == 0 && phys_absent(p, 0x1018, 100) == 100);
	cr_assert(phys_absent(p, 0xff0, 8) == 8 && phys_absent(p, 0xff0, UINT64_MAX) == 0x10);
	cr_assert(phys_file_offset(p, 0x1009, &off) && off == 21);
	cr_assert_eq(phys_bytes(p), 24);
	cr_assert_eq(phys_end(p), 0x1018);
	cr_assert(phys_run(p, 1, &r) && r.pa == 0x1008 && r.len == 16);
	phys_free(p);
	input_close(in);
}

Test(phys, a_run_past_the_file_is_clamped_and_named)
{
	static const uint8_t file[16] = {0};
	struct notes notes;
	struct input *in;
	struct phys *p;

	notes_init(&notes);
	cr_assert_eq(input_open_memory(&in, file, sizeof(file), "m", NULL), 0);
	cr_assert_eq(phys_new(&p, &notes, NULL), 0);
	cr_assert_eq(phys_add_file(p, 0, UINT64_MAX, in, 8, NULL), 0);
	cr_assert_eq(phys_add_file(p, 0x100, 8, in, UINT64_MAX, NULL), 0);
	cr_assert_eq(phys_seal(p, NULL), 0);
	cr_assert_eq(phys_bytes(p), 8);
	cr_assert_eq(notes.n, 2);
	cr_assert_eq(notes.v[0].what, NOTE_IMAGE_TRUNCATED);
	phys_free(p);
	input_close(in);
	notes_free(&notes);
}
