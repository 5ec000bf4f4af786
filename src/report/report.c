/* report.c - see report.h */
#include "report.h"

#include <stdlib.h>
#include <string.h>

#define SENSE_END INT64_C(157469184000000000) /* 2100: a relogger leaves dates where the clock's values stand */

static void put_image(struct jsonw *w, const struct report_image *im)
{
	jsonw_object(w, "image", false);
	jsonw_string(w, "path", im->path);
	jsonw_u64(w, "bytes", im->bytes);
	jsonw_string(w, "format", im->format);
	jsonw_string(w, "compression", im->compression);
	jsonw_u64(w, "segments", im->segments);
	jsonw_string(w, "sha256", im->sha256);
	jsonw_u64(w, "physical_bytes", im->physical_bytes);
	jsonw_array(w, "runs", false);
	for (size_t i = 0; i < im->n_runs; i++) {
		jsonw_object(w, NULL, true);
		jsonw_hex(w, "start", im->runs[i].start);
		jsonw_u64(w, "bytes", im->runs[i].bytes);
		jsonw_end(w);
	}
	jsonw_end(w);
	jsonw_end(w);
}

static void put_u64_or_null(struct jsonw *w, const char *key, bool has, uint64_t v)
{
	if (has)
		jsonw_u64(w, key, v);
	else
		jsonw_null(w, key);
}

static void put_hex_or_null(struct jsonw *w, const char *key, bool has, uint64_t v)
{
	if (has)
		jsonw_hex(w, key, v);
	else
		jsonw_null(w, key);
}

static void put_time_or_null(struct jsonw *w, const char *key, int64_t t)
{
	jsonw_time(w, key, t ? t : -1);
}

/* What an inferred layout rests on. */
static void put_inferred(struct jsonw *w, const struct report_inferred *f)
{
	jsonw_object(w, "inferred", true);
	jsonw_string(w, "from", f->from);
	jsonw_u64(w, "contexts", f->contexts);
	jsonw_array(w, "members", true);
	for (size_t i = 0; i < f->n; i++) {
		const struct report_member *m = &f->member[i];

		jsonw_object(w, NULL, true);
		jsonw_string(w, "member", m->member);
		jsonw_hex(w, "offset", m->offset);
		jsonw_u64(w, "agree", m->agree);
		jsonw_u64(w, "of", m->of);
		jsonw_u64(w, "others", m->others);
		jsonw_string(w, "how", m->how);
		jsonw_end(w);
	}
	jsonw_end(w);
	jsonw_end(w);
}

static void put_kernel(struct jsonw *w, const struct report_kernel *k)
{
	if (!k) {
		jsonw_null(w, "kernel");
		return;
	}
	jsonw_object(w, "kernel", false);
	jsonw_string(w, "os", "Windows");
	put_u64_or_null(w, "build", k->build != 0, k->build);
	jsonw_string(w, "version", k->version);
	jsonw_string(w, "arch", k->arch);
	put_hex_or_null(w, "base", k->has_base, k->base);
	put_hex_or_null(w, "dtb", k->has_dtb, k->dtb);
	put_u64_or_null(w, "cpus", k->cpus != 0, k->cpus);
	put_time_or_null(w, "system_time", k->system_time);
	put_time_or_null(w, "boot_time", k->boot_time);
	if (k->has_pdb) {
		jsonw_object(w, "pdb", true);
		jsonw_string(w, "name", k->pdb_name);
		jsonw_guid(w, "guid", &k->pdb_guid);
		jsonw_u64(w, "age", k->pdb_age);
		jsonw_end(w);
	} else {
		jsonw_null(w, "pdb");
	}
	if (k->has_roots) {
		jsonw_object(w, "roots", true);
		put_hex_or_null(w, "kdbg", k->kdbg != 0, k->kdbg);
		jsonw_bool(w, "kdbg_encoded", k->kdbg_encoded);
		put_hex_or_null(w, "debugger_data", k->debugger_data != 0, k->debugger_data);
		jsonw_string(w, "debugger_data_by", k->debugger_data ? k->debugger_data_by : NULL);
		jsonw_end(w);
	}
	if (k->tables_rebuilt)
		jsonw_u64(w, "page_tables_rebuilt", k->tables_rebuilt);
	if (k->profile) {
		jsonw_object(w, "profile", true);
		jsonw_string(w, "name", k->profile);
		jsonw_string(w, "match", k->match);
		if (k->inferred)
			put_inferred(w, k->inferred);
		jsonw_end(w);
	} else {
		jsonw_null(w, "profile");
	}
	jsonw_end(w);
}

void report_begin(struct jsonw *w, const char *schema, const struct report_image *image, const struct report_kernel *kernel)
{
	jsonw_object(w, NULL, false);
	jsonw_string(w, "schema", schema);
	jsonw_object(w, "tool", true);
	jsonw_string(w, "name", "etlift");
	jsonw_string(w, "version", ETLIFT_VERSION);
	jsonw_end(w);
	put_image(w, image);
	put_kernel(w, kernel);
}

void report_end(struct jsonw *w)
{
	jsonw_end(w);
	buf_u8(w->b, '\n');
}

/* ---- sessions ----------------------------------------------------------------------------------------------------------------- */

static void put_bits(struct jsonw *w, const char *key, uint32_t bits, const char *(*name)(unsigned bit))
{
	jsonw_array(w, key, true);
	for (unsigned i = 0; i < 32; i++)
		if (bits >> i & 1 && name(i))
			jsonw_string(w, NULL, name(i));
	jsonw_end(w);
}

static void put_counters(struct jsonw *w, const struct etw_session *s)
{
	put_u64_or_null(w, "buffer_size", s->has_buffer_size, s->buffer_size);
	put_u64_or_null(w, "buffers_written", s->has_counters, s->buffers_written);
	put_u64_or_null(w, "buffers_lost", s->has_counters, s->buffers_lost);
	put_u64_or_null(w, "events_lost", s->has_counters, s->events_lost);
}

static void put_enabled_providers(struct jsonw *w, const struct etw_session *s)
{
	jsonw_array(w, "providers", false);
	for (size_t i = 0; i < s->n_providers; i++) {
		const struct etw_provider *p = &s->providers[i];
		const struct etw_enable *en = p->n_enabled ? &p->enabled[0] : NULL;

		jsonw_object(w, NULL, true);
		jsonw_guid(w, "guid", &p->guid);
		jsonw_string(w, "name", p->name);
		put_u64_or_null(w, "level", en != NULL, en ? en->level : 0);
		put_hex_or_null(w, "match_any", en != NULL, en ? en->match_any : 0);
		put_hex_or_null(w, "match_all", en != NULL, en ? en->match_all : 0);
		jsonw_end(w);
	}
	jsonw_end(w);
}

/* What `sessions` and the report have in common. */
static void put_facts(struct jsonw *w, const struct etw_session *s)
{
	jsonw_u64(w, "silo", s->silo);
	put_u64_or_null(w, "id", !s->no_id, s->id);
	put_hex_or_null(w, "va", s->has_va, s->va);
	jsonw_string(w, "name", s->name);
	jsonw_guid(w, "guid", s->has_guid ? &s->guid : NULL);
	jsonw_string(w, "log_file", s->log_file);
	jsonw_hex(w, "mode", s->mode);
	put_bits(w, "mode_flags", s->mode, etw_mode_name);
	jsonw_string(w, "clock", s->clock == ETW_CLOCK_UNKNOWN ? NULL : etw_clock_name(s->clock));
	put_time_or_null(w, "start_time", s->start_time);
	put_counters(w, s);
	put_bits(w, "found_by", s->found_by, etw_found_by_name);
	jsonw_array(w, "consumers", false);
	for (size_t i = 0; i < s->n_consumers; i++) {
		const struct etw_consumer *c = &s->consumers[i];

		jsonw_object(w, NULL, true);
		put_u64_or_null(w, "pid", c->has_pid, c->pid);
		jsonw_string(w, "process", c->process);
		jsonw_hex(w, "va", c->va);
		jsonw_end(w);
	}
	jsonw_end(w);
	put_enabled_providers(w, s);
}

static void put_etl(struct jsonw *w, const char *key, const struct report_etl *f)
{
	if (!f || !f->path) {
		jsonw_null(w, key);
		return;
	}
	jsonw_object(w, key, false);
	jsonw_string(w, "path", f->path);
	jsonw_u64(w, "bytes", f->bytes);
	jsonw_string(w, "sha256", f->sha256);
	jsonw_u64(w, "buffers", f->buffers);
	jsonw_u64(w, "events", f->events);
	jsonw_time(w, "first_event", f->has_times ? f->first_event : -1);
	jsonw_time(w, "last_event", f->has_times ? f->last_event : -1);
	jsonw_end(w);
}

static void put_buffer(struct jsonw *w, const struct etw_session *s, const struct etw_system *sys, const struct etw_buffer *b)
{
	char sha[SHA256_HEX];
	int64_t t = -1;

	jsonw_object(w, NULL, true);
	put_hex_or_null(w, "va", b->has_va, b->va);
	put_u64_or_null(w, "pid", b->has_pid, b->pid);
	put_hex_or_null(w, "pa", b->has_pa, b->pa);
	put_u64_or_null(w, "file_offset", b->has_file_offset, b->file_offset);
	put_bits(w, "from", b->from, etw_from_name);
	jsonw_string(w, "state", b->headless ? "unknown" : etw_state_name(&b->hdr));
	jsonw_string(w, "type", b->headless ? "unknown" : etw_type_name(b->hdr.type));
	put_hex_or_null(w, "flags", !b->headless, b->hdr.flag);
	put_u64_or_null(w, "cpu", !b->headless, b->cpu);
	put_u64_or_null(w, "sequence", !b->headless, b->hdr.sequence);
	jsonw_time(w, "timestamp", b->hdr.timestamp && etw_session_time(s, sys, b->hdr.timestamp, &t) && t < SENSE_END ? t : -1);
	jsonw_u64(w, "used_bytes", (uint64_t)ETW_BUFFER_HEADER_SIZE + b->body_len);
	put_u64_or_null(w, "packed_bytes", b->packed_bytes != 0, b->packed_bytes);
	jsonw_u64(w, "events", b->n_events);
	sha256_of(b->body, b->body_len, sha);
	jsonw_string(w, "sha256", sha);
	jsonw_array(w, "gaps", true);
	for (size_t i = 0; i < b->n_gaps; i++) {
		jsonw_object(w, NULL, true);
		jsonw_u64(w, "offset", b->gaps[i].offset);
		jsonw_u64(w, "bytes", b->gaps[i].bytes);
		jsonw_string(w, "why", etw_why_name(b->gaps[i].why));
		jsonw_end(w);
	}
	jsonw_end(w);
	put_hex_or_null(w, "same_as", b->has_same_as, b->same_as);
	jsonw_end(w);
}

static void put_whole(struct jsonw *w, const struct etw_session *s, const struct etw_system *sys, const struct report_etl *etl,
		      const struct report_etl *residual)
{
	put_facts(w, s);
	put_etl(w, "etl", etl);
	put_etl(w, "residual", residual);
	jsonw_array(w, "buffers", false);
	for (size_t i = 0; i < s->n_buffers; i++)
		put_buffer(w, s, sys, &s->buffers[i]);
	jsonw_end(w);
}

void report_session(struct jsonw *w, const struct etw_session *s, const struct etw_system *sys, const struct report_etl *etl,
		    const struct report_etl *residual)
{
	jsonw_object(w, NULL, false);
	put_whole(w, s, sys, etl, residual);
	jsonw_end(w);
}

void report_orphan(struct jsonw *w, const struct etw_session *s, const struct etw_system *sys, const struct report_orphan *o,
		   const struct report_etl *etl, const struct report_etl *residual)
{
	jsonw_object(w, NULL, false);
	jsonw_string(w, "origin", o->origin);
	jsonw_object(w, "time_anchor", true);
	jsonw_string(w, "source", o->anchor);
	jsonw_string(w, "sure", o->sure);
	jsonw_end(w);
	put_hex_or_null(w, "ring", o->has_ring, o->ring);
	put_u64_or_null(w, "first_ticks", o->has_raw, o->raw_first);
	put_u64_or_null(w, "last_ticks", o->has_raw, o->raw_last);
	put_whole(w, s, sys, etl, residual);
	jsonw_end(w);
}

void report_live(struct jsonw *w, const struct etw_session *s)
{
	jsonw_object(w, NULL, true);
	jsonw_u64(w, "silo", s->silo);
	jsonw_u64(w, "id", s->id);
	put_hex_or_null(w, "va", s->has_va, s->va);
	jsonw_string(w, "name", s->name);
	jsonw_u64(w, "buffers", s->n_buffers);
	jsonw_end(w);
}

void report_carve(struct jsonw *w, const struct report_carve *c, const void *live, size_t n)
{
	jsonw_object(w, "carve", false);
	jsonw_u64(w, "scanned_bytes", c->scanned);
	jsonw_u64(w, "unreadable_bytes", c->unreadable);
	jsonw_u64(w, "shapes", c->shapes);
	jsonw_u64(w, "live_buffers", c->live);
	jsonw_u64(w, "orphan_buffers", c->orphans);
	jsonw_u64(w, "copies", c->copies);
	jsonw_u64(w, "completed_buffers", c->completed);
	jsonw_u64(w, "loose_runs", c->loose);
	jsonw_raw(w, "live", live, n);
	jsonw_end(w);
}

void report_session_brief(struct jsonw *w, const struct etw_session *s)
{
	jsonw_object(w, NULL, false);
	put_facts(w, s);
	jsonw_u64(w, "buffer_count", s->buffer_count);
	jsonw_end(w);
}

void report_consumer(struct jsonw *w, const struct etw_consumer *c)
{
	jsonw_object(w, NULL, true);
	jsonw_hex(w, "va", c->va);
	put_u64_or_null(w, "pid", c->has_pid, c->pid);
	jsonw_string(w, "process", c->process);
	put_u64_or_null(w, "session", c->has_session, c->session_id);
	jsonw_bool(w, "wow64", c->wow64);
	jsonw_u64(w, "buffers", c->buffers);
	jsonw_end(w);
}

void report_provider(struct jsonw *w, const struct etw_provider *p)
{
	jsonw_object(w, NULL, true);
	jsonw_guid(w, "guid", &p->guid);
	jsonw_string(w, "name", p->name);
	jsonw_guid(w, "group", p->has_group ? &p->group : NULL);
	put_u64_or_null(w, "pid", p->has_pid, p->pid);
	jsonw_string(w, "process", p->process);
	jsonw_bool(w, "registered", p->registered);
	jsonw_array(w, "enabled", true);
	for (size_t i = 0; i < p->n_enabled; i++) {
		const struct etw_enable *en = &p->enabled[i];

		jsonw_object(w, NULL, true);
		jsonw_u64(w, "silo", en->silo);
		jsonw_u64(w, "session", en->session_id);
		jsonw_u64(w, "level", en->level);
		jsonw_hex(w, "match_any", en->match_any);
		jsonw_hex(w, "match_all", en->match_all);
		jsonw_end(w);
	}
	jsonw_end(w);
	jsonw_end(w);
}

/* ---- losses ------------------------------------------------------------------------------------------------------------------- */

static int order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int order_signed(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int compare_notes(const void *pa, const void *pb)
{
	const struct note *a = *(const struct note *const *)pa, *b = *(const struct note *const *)pb;
	int d = order_signed(a->silo, b->silo);

	d = d ? d : order_signed(a->session, b->session);
	d = d ? d : order(a->has_session_va ? a->session_va : 0, b->has_session_va ? b->session_va : 0);
	d = d ? d : (int)a->what - (int)b->what;
	d = d ? d : order(a->has_va ? a->va : 0, b->has_va ? b->va : 0);
	d = d ? d : order(a->bytes, b->bytes);
	return d ? d : strcmp(a->detail, b->detail);
}

int report_losses(struct jsonw *w, const struct notes *notes)
{
	const struct note **v = malloc((notes->n + 1) * sizeof(const struct note *));

	if (!v || notes->failed) {
		free(v);
		return ERR_NOMEM;
	}
	for (size_t i = 0; i < notes->n; i++)
		v[i] = &notes->v[i];
	qsort(v, notes->n, sizeof(void *), compare_notes);
	jsonw_array(w, "losses", false);
	for (size_t i = 0; i < notes->n; i++) {
		const struct note *n = v[i];

		jsonw_object(w, NULL, true);
		jsonw_string(w, "what", note_word(n->what));
		put_u64_or_null(w, "silo", n->silo >= 0, (uint64_t)n->silo);
		put_u64_or_null(w, "session", n->session >= 0, (uint64_t)n->session);
		put_hex_or_null(w, "session_va", n->has_session_va, n->session_va);
		put_hex_or_null(w, "va", n->has_va, n->va);
		put_u64_or_null(w, "bytes", n->has_bytes, n->bytes);
		jsonw_string(w, "detail", n->detail);
		jsonw_end(w);
	}
	jsonw_end(w);
	free(v);
	return 0;
}
