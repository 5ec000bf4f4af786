/* truth.c - see truth.h */
#include "truth.h"

#include <string.h>

#include "rd.h"

const char *const way_names[11] = {"global_list", "buffer_queue", "overflow_queue", "batched", "compression", "scratch",
				   "placeholder", "processor",    "current",        "dirty",   "user_list"};

static uint64_t fnv(const uint8_t *p, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static long long floor_div(__int128 a, long long b)
{
	__int128 q = a / b;

	return (long long)(a % b != 0 && a < 0 ? q - 1 : q);
}

static long long time_of(const struct winimg *w, const struct wi_session *s, uint64_t ts)
{
	__int128 d = (__int128)ts - (__int128)s->start_ts;

	if (s->clock == 2)
		return (long long)ts;
	if (s->clock == 3)
		return s->start_time + floor_div(d * 10, 2900);
	return s->start_time + floor_div(d * 10000000, (long long)w->o.perf_freq);
}

static void put_guid(FILE *f, const char *key, const uint8_t g[16])
{
	fprintf(f, "\"%s\":\"%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x\"", key, le32(g), le16(g + 4), le16(g + 6), g[8], g[9], g[10],
		g[11], g[12], g[13], g[14], g[15]);
}

static void put_records(FILE *f, const struct winimg *w, const struct wi_session *s, const struct wi_buffer *b, const struct wi_record *r,
			unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		fprintf(f, "%s{\"off\":%u,\"size\":%u,\"fnv\":\"%016llx\",\"lost\":%s,\"time\":", i ? "," : "", r[i].off, r[i].size,
			(unsigned long long)fnv(b->raw + r[i].off, r[i].size), r[i].lost ? "true" : "false");
		if (r[i].ts)
			fprintf(f, "%lld}", time_of(w, s, r[i].ts));
		else
			fprintf(f, "null}");
	}
}

/* Runs of records that are not there; each reaches to the next one that is, or to the end of data. */
static void put_gaps(FILE *f, const struct wi_buffer *b)
{
	uint32_t end = b->used + b->tail_gap;
	bool first = true;

	for (unsigned i = 0; i < b->n_rec || (i == b->n_rec && b->tail_gap); i++) {
		uint32_t from = i < b->n_rec ? b->rec[i].off : b->used;
		bool page = false;

		if (i < b->n_rec && !b->rec[i].lost)
			continue;
		for (; i < b->n_rec && b->rec[i].lost; i++)
			page |= b->rec[i].lost == LOST_PAGE;
		fprintf(f, "%s{\"offset\":%u,\"bytes\":%u,\"page\":%s}", first ? "" : ",", from,
			(i < b->n_rec ? b->rec[i].off : end) - from, page ? "true" : "false");
		first = false;
	}
}

static void put_pa(FILE *f, struct winimg *w, const struct wi_buffer *b)
{
	struct wi_process *p = b->pid ? wi_process_at(w, b->pid) : NULL;
	uint64_t pa = b->pa;

	if (pa || wm_translate(p ? &p->space : &w->k, b->va, &pa))
		fprintf(f, "\"pa\":\"0x%llx\",", (unsigned long long)pa);
	else
		fprintf(f, "\"pa\":null,");
}

static const char *state_of(const struct wi_buffer *b)
{
	switch (b->form) {
	case WI_UNUSED:
		return "unused";
	case WI_LOGGING:
	case WI_REUSED:
	case WI_TORN:
		return "logging";
	case WI_CSWITCH:
		return "cswitch";
	case WI_FLUSHING:
	case WI_PACKED:
		return "flush";
	case WI_PENDING:
		return "pending_compression";
	case WI_STANDS_FOR:
		return "placeholder";
	default:
		return b->pid ? "flush" : "free";
	}
}

static void put_buffer(FILE *f, struct winimg *w, const struct wi_session *s, const struct wi_buffer *b)
{
	uint64_t ts = le64(b->raw + 0x10);
	bool first = true;

	fprintf(f, "{\"va\":\"0x%llx\",", (unsigned long long)b->va);
	put_pa(f, w, b);
	fprintf(f, "\"cpu\":%u,\"pid\":%u,\"copy\":%s,\"state\":\"%s\",\"sequence\":%llu,\"header_lost\":%s,\"timestamp\":",
		b->form == WI_UNUSED || b->form == WI_PLACEHOLDER ? 0 : b->cpu, b->pid, b->copy_of_kernel ? "true" : "false", state_of(b),
		(unsigned long long)b->sequence, b->header_lost ? "true" : "false");
	if (ts)
		fprintf(f, "%lld", time_of(w, s, ts));
	else
		fprintf(f, "null");
	fprintf(f, ",\"from\":[");
	for (unsigned i = 0; i < 11; i++)
		if (b->ways >> i & 1) {
			fprintf(f, "%s\"%s\"", first ? "" : ",", way_names[i]);
			first = false;
		}
	fprintf(f, "],\"pages\":[");
	for (unsigned i = 0; i < b->n_pages; i++)
		fprintf(f, "%s\"0x%llx\"", i ? "," : "", (unsigned long long)b->page[i]);
	fprintf(f, "],\"records\":[");
	put_records(f, w, s, b, b->rec, b->n_rec);
	fprintf(f, "],\"old\":[");
	put_records(f, w, s, b, b->old, b->n_old);
	fprintf(f, "],\"gaps\":[");
	put_gaps(f, b);
	fprintf(f, "]}");
}

static void put_session(FILE *f, struct winimg *w, const struct wi_session *s)
{
	fprintf(f, "{\"silo\":%u,\"id\":%u,\"va\":\"0x%llx\",\"name16\":\"", s->silo, s->id, (unsigned long long)s->ctx);
	for (unsigned k = 0; k < s->n_name16; k++)
		fprintf(f, "%04x", s->name16[k]);
	fprintf(f,
		"\",\"name_lost\":%s,\"tail_lost\":%s,\"mode\":%u,\"clock\":%u,\"buffer_size\":%u,\"start_time\":%lld,\"start_ts\":%llu,",
		s->name_lost ? "true" : "false", s->tail_lost ? "true" : "false", s->mode, s->clock, s->buffer_size,
		(long long)s->start_time, (unsigned long long)s->start_ts);
	fprintf(f, "\"events_lost\":%u,\"buffers_lost\":%u,\"buffers_written\":%u,\"in_table\":%s,\"consumers\":[", s->events_lost,
		s->buffers_lost, 7 * s->id, s->in_table ? "true" : "false");
	for (unsigned k = 0; k < s->n_consumers; k++) {
		const struct wi_process *p = wi_process_at(w, s->consumers[k].pid);
		unsigned copies = s->consumers[k].copies;

		/* the list is last in, first out: a copy whose header is lost ends it, so recipes lose the first ones */
		for (unsigned i = 0; i < s->n_buf; i++)
			copies -= s->buf[i].pid == s->consumers[k].pid && s->buf[i].header_lost;

		fprintf(f, "%s{\"va\":\"0x%llx\",\"pid\":%u,\"process\":\"%s\",\"session\":%u,\"wow64\":%s,\"buffers\":%u}", k ? "," : "",
			(unsigned long long)s->consumers[k].va, s->consumers[k].pid, p->name, s->id, p->wow64 ? "true" : "false", copies);
	}
	fprintf(f, "],\"buffers\":[");
	for (unsigned k = 0; k < s->n_buf; k++) {
		if (k)
			fprintf(f, ",\n");
		put_buffer(f, w, s, &s->buf[k]);
	}
	fprintf(f, "]}");
}

static void put_provider(FILE *f, struct winimg *w, const struct wi_provider *p)
{
	const struct wi_process *proc = p->registered ? wi_process_at(w, p->pid) : NULL;

	fprintf(f, "{");
	put_guid(f, "guid", p->guid);
	if (p->has_group) {
		fprintf(f, ",");
		put_guid(f, "group", p->group);
	} else {
		fprintf(f, ",\"group\":null");
	}
	fprintf(f, ",\"is_group\":%s,\"registered\":%s,", p->is_group ? "true" : "false", p->registered ? "true" : "false");
	if (proc)
		fprintf(f, "\"pid\":%u,\"process\":\"%s\",\"enabled\":[", p->pid, proc->name);
	else
		fprintf(f, "\"pid\":null,\"process\":null,\"enabled\":[");
	for (unsigned i = 0; i < p->n; i++)
		fprintf(f, "%s{\"silo\":%u,\"session\":%u,\"level\":%u,\"match_any\":\"0x%llx\",\"match_all\":\"0x%llx\"}", i ? "," : "",
			p->silo, p->id[i], p->level, (unsigned long long)p->any, (unsigned long long)p->all);
	fprintf(f, "]}");
}

/* What the times of a session that counts cycles rest on: the variable that symbols lead to, or the processors' blocks. */
static bool speed_told(const struct winimg *w)
{
	bool symbols = !w->o.foreign_guid;

	return (symbols && wi_symbol_va(w, S_EtwCPUSpeedInMHz)) ||
	       (wi_has(w, F_KPRCB_MHz) && wi_symbol_va(w, S_KiProcessorBlock) && (symbols || !w->o.no_kdbg));
}

static bool has_records(const struct wi_session *s)
{
	for (unsigned i = 0; i < s->n_buf; i++)
		for (unsigned k = 0; !s->buf[i].header_lost && k < s->buf[i].n_rec; k++)
			if (!s->buf[i].rec[k].lost)
				return true;
	return false;
}

static bool write_all(struct winimg *w, const char *path)
{
	FILE *f = fopen(path, "wb");

	if (!f)
		return false;
	fprintf(f,
		"{\"build\":%u,\"pointer_size\":%u,\"cpus\":%u,\"perf_freq\":%llu,\"boot_time\":%lld,\"system_time\":%lld,\"bias\":%d,"
		"\"dtb\":\"0x%llx\","
		"\"base\":\"0x%llx\",\"any_dtb\":%s,\"foreign\":%s,\"guid_table\":%s,\"sessions\":[\n",
		w->p.build, w->ps, w->o.cpus, (unsigned long long)w->o.perf_freq, (long long)w->o.boot_time, (long long)w->o.system_time,
		w->o.bias, (unsigned long long)w->m.kernel_dtb, (unsigned long long)w->base,
		w->o.low_stub && w->o.hint == HINT_KERNEL && w->ps == 8 && w->m.arch != WM_ARM64 ? "false" : "true",
		w->o.foreign_guid ? "true" : "false", w->o.foreign_guid && !wi_has(w, F_SILO_EtwpGuidHashTable) ? "false" : "true");
	for (unsigned i = 0, n = 0; i < w->n_ses; i++) {
		if (w->ses[i].unreachable)
			continue;
		if (n++)
			fprintf(f, ",\n");
		put_session(f, w, &w->ses[i]);
	}
	fprintf(f, "],\n\"orphans\":[");
	for (unsigned i = 0, n = 0; i < w->n_ses; i++) {
		if (!w->ses[i].origin)
			continue;
		fprintf(f, "%s{\"origin\":\"%s\",\"certain\":%s,\"context\":%s,\"session\":", n++ ? ",\n" : "", w->ses[i].origin,
			w->ses[i].certain ? "true" : "false", w->ses[i].context_kept ? "true" : "false");
		put_session(f, w, &w->ses[i]);
		fprintf(f, "}");
	}
	for (unsigned i = 0; i < w->n_tables; i++)
		fprintf(f, "%s\"0x%llx\"", i ? "," : "],\n\"page_tables\":[", (unsigned long long)w->table[i]);
	for (uint64_t va = w->pfn_first, pa, n = 0; va < w->pfn_end; va = (va | (WM_PAGE - 1)) + 1)
		if (wm_translate(&w->k, va, &pa))
			fprintf(f, "%s\"0x%llx\"", n++ ? "," : "],\n\"pfn_pages\":[", (unsigned long long)(pa & ~(uint64_t)(WM_PAGE - 1)));
	fprintf(f, "],\n\"providers\":[");
	for (unsigned i = 0; i < w->n_prov; i++) {
		if (i)
			fprintf(f, ",\n");
		put_provider(f, w, &w->prov[i]);
	}
	fprintf(f, "],\n\"losses\":[");
	for (unsigned i = 0; i < w->n_losses; i++)
		fprintf(f, "%s{\"what\":\"%s\",\"silo\":%u,\"session\":%d,\"va\":\"0x%llx\"}", i ? "," : "", w->loss[i].what,
			w->loss[i].silo, w->loss[i].session, (unsigned long long)w->loss[i].va);
	fprintf(f, "]}\n");
	return fclose(f) == 0;
}

bool truth_write(struct winimg *w, const char *path)
{
	for (unsigned i = 0; i < w->n_ses; i++)
		if (w->ses[i].clock == 3 && !w->ses[i].unreachable && !speed_told(w) && has_records(&w->ses[i]))
			wi_loss(w, "context_bad", &w->ses[i], 0);
	return write_all(w, path);
}
