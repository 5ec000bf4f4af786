/* context.c - one _WMI_LOGGER_CONTEXT. Members whose page is missing are named in one note per hole and left unknown. */
#include "kcontext.h"

#include <stdlib.h>
#include <string.h>

#include "kslist.h"
#include "rd.h"
#include "utf16.h"

#define CLOCK_QPC_ALIAS 4u /* ClockType 4 means QPC in newer builds */

/* Collects the names of members that lie in a hole, so that one note tells of all of them. */
struct lost {
	struct buf names;
};

static void lost_name(struct lost *l, enum prof_field f, int r)
{
	if (r != ERR_FAULT)
		return;
	buf_printf(&l->names, "%s%s", l->names.n ? ", " : "", prof_field_member(f));
}

static uint64_t take(const struct ksnap *s, struct lost *l, enum prof_field f, unsigned size, bool *ok)
{
	uint64_t v = 0;
	int r = ksnap_uint(s, f, size, &v);

	if (l)
		lost_name(l, f, r);
	if (ok)
		*ok = r == 0;
	return v;
}

bool context_proves(struct kview *v, uint64_t va, int64_t id, uint32_t buffer_size)
{
	size_t ps = kview_ptr_size(v);
	uint32_t logger, size;
	uint64_t head, flink, blink, back;
	uint8_t raw[16];

	if (!kview_is_ptr(v, va) || va % kview_context_align(v) != 0 || kread_u32(v->k, va, F_CTX_LoggerId, &logger) != 0 ||
	    kread_u32(v->k, va, F_CTX_BufferSize, &size) != 0)
		return false;
	if (logger >= KV_LOGGERS_MAX || (id >= 0 && logger != (uint64_t)id) || size < KV_BUFFER_MIN || size > ETW_BUFFER_SIZE_MAX ||
	    (buffer_size && size != buffer_size))
		return false;
	if (!prof_has(&v->k->prof, F_CTX_GlobalList))
		return false;
	head = va + prof_off(&v->k->prof, F_CTX_GlobalList);
	if (v->k->prof.traits.single_list)
		return vm_read(v->k->vm, head, raw, 2 * ps) == 0 && kslist_proves(v, va, raw, logger, size) > 0;
	if (kread_ptr_at(v->k, head, &flink) != 0 || kread_ptr_at(v->k, head + ps, &blink) != 0 || !kview_is_ptr(v, flink) ||
	    !kview_is_ptr(v, blink))
		return false;
	/* one sound neighbour is proof enough: the other one may be damaged */
	return (kread_ptr_at(v->k, flink + ps, &back) == 0 && back == head) || (kread_ptr_at(v->k, blink, &back) == 0 && back == head);
}

/* The UNICODE_STRING member f. True when it was read (*out NULL: an empty one). */
static bool read_name(struct kview *v, const struct kcontext *c, enum prof_field f, char **out, uint8_t **raw, size_t *raw_len, bool *nomem)
{
	uint8_t *p;
	size_t n = 0, len = 0;
	char *s;
	uint64_t at;

	if (!ksnap_at(&c->snap, f, 0, v->k->prof.pointer_size == 4 ? 8 : 16, NULL) || !ksnap_va(&c->snap, f, &at))
		return false;
	p = malloc(KREAD_STRING_MAX + 2);
	if (!p) {
		*nomem = true;
		return false;
	}
	if (kread_unicode_at(v->k, at, p, KREAD_STRING_MAX, &n) != 0) {
		struct note note = NOTE_AT(NOTE_PAGE_MISSING, at, 0);
		uint64_t where = 0;
		enum vm_why why = vm_fault(v->k->vm, &where);

		if (why != VM_OK)
			note.va = where;
		notes_add(v->notes, &note, "%s: %s", prof_field_member(f), why != VM_OK ? vm_why_text(why) : "not a string");
		free(p);
		return false;
	}
	while (len + 2 <= n && (p[len] || p[len + 1]))
		len += 2;
	if (len == 0) {
		free(p);
		return true;
	}
	s = utf16_dup(p, len);
	if (!s) {
		free(p);
		*nomem = true;
		return false;
	}
	*out = s;
	*raw = realloc(p, len);
	if (!*raw)
		*raw = p;
	*raw_len = len;
	return true;
}

static void read_counters(struct etw_session *s, const struct ksnap *k, struct lost *l)
{
	bool a, b, c, d;
	uint64_t written = take(k, l, F_CTX_BuffersWritten, 4, &a), lost = take(k, l, F_CTX_LogBuffersLost, 4, &b),
		 rt = take(k, l, F_CTX_RealTimeBuffersLost, 4, &c), events = take(k, l, F_CTX_EventsLost, 4, &d);

	s->buffers_written = (uint32_t)written;
	s->buffers_lost = (uint32_t)(lost + rt);
	s->events_lost = (uint32_t)events;
	s->has_counters = a || b || c || d;
}

static void read_clock(struct kview *v, struct etw_session *s, const struct ksnap *k, struct lost *l)
{
	const struct profile *p = &v->k->prof;
	bool ok;
	uint32_t clock = (uint32_t)take(k, l, F_CTX_ClockType, 4, &ok);
	const uint8_t *a, *b;
	int why = ERR_NOTFOUND;

	if (clock == CLOCK_QPC_ALIAS)
		clock = ETW_CLOCK_QPC;
	if (ok && clock >= ETW_CLOCK_QPC && clock <= ETW_CLOCK_CPU_CYCLE) {
		s->clock = (enum etw_clock)clock;
	} else if (ok) {
		struct note n = NOTE_AT(NOTE_CONTEXT_BAD, k->va, 0);

		notes_add(v->notes, &n, "ClockType %u is none", clock);
	}
	if (!prof_has(p, F_REFCLOCK_StartTime) || !prof_has(p, F_REFCLOCK_StartPerfClock))
		return;
	a = ksnap_at(k, F_CTX_ReferenceTime, prof_off(p, F_REFCLOCK_StartTime), 8, &why);
	b = a ? ksnap_at(k, F_CTX_ReferenceTime, prof_off(p, F_REFCLOCK_StartPerfClock), 8, &why) : NULL;
	if (!b) {
		lost_name(l, F_CTX_ReferenceTime, why);
		return;
	}
	s->reference_time = (int64_t)le64(a);
	s->reference_ts = le64(b);
	s->has_reference = s->reference_time > 0;
}

static void read_thread(struct kview *v, struct etw_session *s, const struct ksnap *k, struct lost *l)
{
	const struct profile *p = &v->k->prof;
	size_t ps = kview_ptr_size(v);
	bool ok;
	uint64_t thread = take(k, l, F_CTX_LoggerThread, ps, &ok), pid, tid, cid;

	if (!ok || !kview_is_ptr(v, thread) || !prof_has(p, F_ETHREAD_Cid))
		return;
	cid = thread + prof_off(p, F_ETHREAD_Cid);
	if (kread_ptr(v->k, cid, F_CLIENTID_UniqueProcess, &pid) != 0 || kread_ptr(v->k, cid, F_CLIENTID_UniqueThread, &tid) != 0)
		return;
	s->has_thread = true;
	s->process_id = (uint32_t)pid;
	s->thread_id = (uint32_t)tid;
}

/* Where the lists begin. */
static void read_lists(struct kview *v, struct kcontext *c, struct lost *l)
{
	const struct ksnap *k = &c->snap;
	size_t ps = kview_ptr_size(v);
	int why = ERR_NOTFOUND;
	const uint8_t *p = ksnap_at(k, F_CTX_GlobalList, 0, 2 * ps, &why);

	(void)ksnap_va(k, F_CTX_GlobalList, &c->global_list);
	lost_name(l, F_CTX_GlobalList, why);
	if (p) {
		c->flink = ps == 4 ? le32(p) : le64(p);
		c->blink = ps == 4 ? le32(p + 4) : le64(p + 8);
		c->has_lists = true;
	}
	c->number_of_buffers = (uint32_t)take(k, l, F_CTX_NumberOfBuffers, 4, NULL);
	c->silo_state = take(k, NULL, F_CTX_SiloState, ps, NULL);
}

static void tell_holes(struct kview *v, const struct kcontext *c, struct lost *l)
{
	for (size_t i = 0; i < c->snap.n_holes; i++) {
		const struct vm_missing *h = &c->snap.hole[i];
		struct note n = NOTE_AT(NOTE_PAGE_MISSING, h->va, h->len);

		notes_add(v->notes, &n, "logger context: %s%s%s", vm_why_text(h->why), l->names.n && i == 0 ? "; not known: " : "",
			  i == 0 ? buf_str(&l->names) : "");
	}
}

/* LoggerId and BufferSize: is it a context at all? */
static int read_identity(struct kview *v, const struct kref *r, struct etw_session *s, struct kcontext *c, struct lost *l)
{
	bool has_id, has_size;
	uint32_t id = (uint32_t)take(&c->snap, l, F_CTX_LoggerId, 4, &has_id);
	uint32_t size = (uint32_t)take(&c->snap, l, F_CTX_BufferSize, 4, &has_size);
	bool size_ok = has_size && size >= KV_BUFFER_MIN && size <= ETW_BUFFER_SIZE_MAX;
	struct note n = NOTE_AT(NOTE_CONTEXT_BAD, r->va, 0);

	if (has_id && id != r->id && has_size && !size_ok) {
		notes_add(v->notes, &n, "no logger context stands here: LoggerId %u, BufferSize %u", id, size);
		return ERR_NOTFOUND;
	}
	if (has_id && id != r->id)
		notes_add(v->notes, &n, "LoggerId says %u", id);
	if (has_size && !size_ok)
		notes_add(v->notes, &n, "BufferSize says %u", size);
	s->has_buffer_size = size_ok;
	s->buffer_size = size_ok ? size : 0;
	return 0;
}

int context_read(struct kview *v, const struct kref *r, struct etw_session *s, struct kcontext *c)
{
	struct lost l;
	const uint8_t *g;
	bool nomem = false, ok;
	int rc, why;

	c->snap.n_holes = 0;
	c->whole = c->has_lists = false;
	c->global_list = c->flink = c->blink = c->silo_state = 0;
	c->number_of_buffers = 0;
	s->silo = r->silo;
	s->id = r->id;
	s->found_by = r->found_by;
	s->va = r->va;
	s->has_va = r->va != 0;
	c->snap.k = v->k;
	c->snap.len = 0;
	c->snap.type = T_CTX;
	c->snap.va = r->va;
	if (r->va == 0)
		return 0;
	rc = ksnap_read(&c->snap, v->k, T_CTX, r->va);
	if (rc == ERR_NOTFOUND)
		return rc;
	c->whole = rc == 0;
	buf_init(&l.names);
	rc = read_identity(v, r, s, c, &l);
	if (rc == 0) {
		s->mode = (uint32_t)take(&c->snap, &l, F_CTX_LoggerMode, 4, NULL);
		read_clock(v, s, &c->snap, &l);
		s->start_time = (int64_t)take(&c->snap, &l, F_CTX_StartTime, 8, &ok);
		if (s->start_time < 0)
			s->start_time = 0;
		read_counters(s, &c->snap, &l);
		g = ksnap_at(&c->snap, F_CTX_InstanceGuid, 0, 16, &why);
		lost_name(&l, F_CTX_InstanceGuid, g ? 0 : why);
		if (g) {
			memcpy(s->guid.b, g, sizeof s->guid.b);
			s->has_guid = true;
		}
		read_lists(v, c, &l);
		read_thread(v, s, &c->snap, &l);
		if (!ksnap_at(&c->snap, F_CTX_LoggerName, 0, 8, &why))
			lost_name(&l, F_CTX_LoggerName, why);
		if (!ksnap_at(&c->snap, F_CTX_LogFileName, 0, 8, &why))
			lost_name(&l, F_CTX_LogFileName, why);
		(void)read_name(v, c, F_CTX_LoggerName, &s->name, &s->name16, &s->name16_len, &nomem);
		(void)read_name(v, c, F_CTX_LogFileName, &s->log_file, &s->log_file16, &s->log_file16_len, &nomem);
		tell_holes(v, c, &l);
	}
	nomem |= l.names.failed;
	buf_free(&l.names);
	return nomem ? ERR_NOMEM : rc;
}
