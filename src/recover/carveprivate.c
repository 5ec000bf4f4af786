/* carveprivate.c - the context of a logger inside a process.
 *
 * ETW_UM_LOGGER_CONTEXT is ntdll's and in no public symbol file, so no profile has it; these offsets of 64-bit Windows 8 to 10 are published
 * (geoffchappell.com, a draft) and not checked on a real image. So a context must prove itself: its id and buffer size are those of the buffers
 * whose ring's head lies in it, its clock type and start time make sense. Only then is its name believed. */
#include <stdlib.h>
#include <string.h>

#include "carvework.h"
#include "rd.h"
#include "utf16.h"

enum {
	UM_REFERENCE = 0x0,
	UM_CLOCK = 0x10,
	UM_LOGGER_ID = 0x14,
	UM_NAME_FIRST = 0x88, /* LoggerName here, or at UM_NAME_SECOND (8.1 on) */
	UM_NAME_SECOND = 0x98,
	UM_BUFFER_SIZE = 0xd0,
	UM_GLOBAL_LIST = 0xf0,
	UM_MODE = 0x14c,
	UM_SIZE = 0x150
};

#define NAME_MAX_BYTES 2048u
#define MODE_PRIVATE   0x20800u /* PRIVATE_LOGGER, PRIVATE_IN_PROC */

/* The UNICODE_STRING at p. 1: a name was taken. */
static int take_name(struct vm *vm, const uint8_t *p, struct etw_session *s)
{
	uint32_t n = le16(p), most = le16(p + 2);
	uint8_t raw[NAME_MAX_BYTES];

	if (n == 0 || n % 2 || n > most || n > sizeof(raw) || vm_read(vm, le64(p + 8), raw, n) != 0 || (!raw[0] && !raw[1]))
		return 0;
	s->name = utf16_dup(raw, n);
	s->name16 = malloc(n);
	if (!s->name || !s->name16)
		return ERR_NOMEM;
	memcpy(s->name16, raw, n);
	s->name16_len = n;
	return 1;
}

int carve_private_context(struct carve *c, const struct carve_buf *b, uint64_t head, struct etw_session *s)
{
	struct kernel *k = c->im->kernel;
	uint8_t p[UM_SIZE];
	struct vm *vm;
	uint32_t mode;
	int rc;

	if (!k || !b->user || vm_pointer_size(k->vm) != 8 || head < UM_GLOBAL_LIST || vm_open_like(&vm, k->vm, b->dtb, NULL) != 0)
		return 0;
	rc = vm_read(vm, head - UM_GLOBAL_LIST, p, sizeof(p)) == 0;
	mode = le32(p + UM_MODE);
	if (rc == 0 || (le32(p + UM_LOGGER_ID) & ~CARVE_PRIVATE) != s->id || le32(p + UM_BUFFER_SIZE) != s->buffer_size ||
	    le32(p + UM_CLOCK) < ETW_CLOCK_QPC || le32(p + UM_CLOCK) > ETW_CLOCK_CPU_CYCLE || !(mode & MODE_PRIVATE) ||
	    !carve_is_date(le64(p + UM_REFERENCE))) {
		vm_close(vm);
		return 0;
	}
	s->clock = (enum etw_clock)le32(p + UM_CLOCK);
	s->has_reference = true;
	s->reference_time = s->start_time = (int64_t)le64(p + UM_REFERENCE);
	s->reference_ts = le64(p + UM_REFERENCE + 8);
	s->mode = mode;
	rc = take_name(vm, p + UM_NAME_FIRST, s);
	if (rc == 0)
		rc = take_name(vm, p + UM_NAME_SECOND, s);
	vm_close(vm);
	return rc < 0 ? rc : 1;
}
