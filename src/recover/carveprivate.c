/* carveprivate.c - the context of a logger inside a process.
 *
 * ETW_UM_LOGGER_CONTEXT is ntdll's and in no public symbol file, so no profile has it; the offsets are published for Windows 7 to 10, both word
 * sizes (geoffchappell.com, "ETW_UM_LOGGER_CONTEXT", a draft), and not checked on a real image. So a context must prove itself: its id and buffer
 * size are those of the buffers whose ring's head lies in it, its mode is a private logger's, its clock type and start time make sense. Only then
 * is its name believed. The layouts are tried in turn: no two of them can agree with the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "carvework.h"
#include "rd.h"
#include "utf16.h"

enum { UM_REFERENCE = 0x0, UM_CLOCK = 0x10, UM_LOGGER_ID = 0x14, UM_SIZE = 0x150 }; /* in all of them; UM_SIZE: what is read */

struct um_layout {
	uint8_t pointer_size;
	uint16_t name, file, buffer_size, global_list, mode; /* name, file: UNICODE_STRINGs */
};

static const struct um_layout layouts[] = {
	{8, 0x98, 0xa8, 0xd0, 0xf0, 0x14c}, /* Windows 8 to 10 */
	{8, 0x88, 0x98, 0xc0, 0xe0, 0x13c}, /* 7 */
	{4, 0x6c, 0x74, 0x8c, 0xa8, 0xd8},  /* 8 to 10, 32-bit processes of 64-bit systems too */
	{4, 0x60, 0x68, 0x80, 0x9c, 0xcc},  /* 7 */
};

#define NAME_MAX_BYTES 2048u
#define MODE_PRIVATE   0x20800u /* PRIVATE_LOGGER, PRIVATE_IN_PROC */

/* The UNICODE_STRING at p. 1: it was taken, 0: nothing sensible stands there. */
static int take_text(struct vm *vm, const uint8_t *p, unsigned pointer_size, char **text, uint8_t **text16, size_t *len16)
{
	uint32_t n = le16(p), most = le16(p + 2);
	uint64_t at = pointer_size == 8 ? le64(p + 8) : le32(p + 4);
	uint8_t raw[NAME_MAX_BYTES];

	if (n == 0 || n % 2 || n > most || n > sizeof(raw) || vm_read(vm, at, raw, n) != 0 || (!raw[0] && !raw[1]))
		return 0;
	*text = utf16_dup(raw, n);
	*text16 = malloc(n);
	if (!*text || !*text16)
		return ERR_NOMEM;
	memcpy(*text16, raw, n);
	*len16 = n;
	return 1;
}

/* Does a context of this layout stand at p, and is it that of the buffers of s? */
static bool agrees(const struct um_layout *l, const uint8_t *p, const struct etw_session *s)
{
	uint32_t clock = le32(p + UM_CLOCK);

	/* buffers of a real log have 0 instead of an id */
	return (s->id == 0 || (le32(p + UM_LOGGER_ID) & ~CARVE_PRIVATE) == s->id) && le32(p + l->buffer_size) == s->buffer_size &&
	       clock >= ETW_CLOCK_QPC && clock <= ETW_CLOCK_CPU_CYCLE && le32(p + l->mode) & MODE_PRIVATE &&
	       carve_is_date(le64(p + UM_REFERENCE));
}

static int take_context(struct vm *vm, const struct um_layout *l, const uint8_t *p, struct etw_session *s)
{
	int rc;

	s->clock = (enum etw_clock)le32(p + UM_CLOCK);
	s->has_reference = true;
	s->reference_time = s->start_time = (int64_t)le64(p + UM_REFERENCE);
	s->reference_ts = le64(p + UM_REFERENCE + 8);
	s->mode = le32(p + l->mode);
	rc = take_text(vm, p + l->name, l->pointer_size, &s->name, &s->name16, &s->name16_len);
	if (rc >= 0)
		rc = take_text(vm, p + l->file, l->pointer_size, &s->log_file, &s->log_file16, &s->log_file16_len);
	return rc < 0 ? rc : 1;
}

int carve_private_context(struct carve *c, const struct carve_buf *b, uint64_t head, struct etw_session *s)
{
	unsigned pointer_size = carve_narrow(c, b) ? 4 : 8;
	uint8_t p[UM_SIZE];
	struct vm *vm;
	int rc = 0;

	if (!b->user || vm_open_like(&vm, c->im->kernel->vm, b->dtb, NULL) != 0)
		return 0;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]) && rc == 0; i++) {
		const struct um_layout *l = &layouts[i];

		if (l->pointer_size == pointer_size && head > l->global_list && vm_read(vm, head - l->global_list, p, sizeof(p)) == 0 &&
		    agrees(l, p, s))
			rc = take_context(vm, l, p, s);
	}
	vm_close(vm);
	return rc;
}
