/* scanhits.c - see scanhits.h */
#include "scanhits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "jsonl.h"
#include "settle.h"
#include "wintime.h"

int scan_bytes(struct scan *s, const void *p, size_t n, rules_fn *fn, void *ctx, struct err *e)
{
	int rc = rules_scan(s->scanner, p, n, fn, ctx, e);

	if (rc == ERR_LIMIT) {
		s->limited = true;
		return 0;
	}
	return rc;
}

/* As it is printed, without the quotes of text. */
static void put_value(struct buf *out, const struct dval *v)
{
	size_t from = out->n;

	if (v->type == DV_TEXT) {
		buf_put(out, v->text, v->n);
		return;
	}
	json_value(out, v);
	if (out->n - from >= 2 && out->p[from] == '"') {
		memmove(out->p + from, out->p + from + 1, out->n - from - 2);
		out->n -= 2;
	}
}

void scan_event_text(struct buf *out, const struct event *ev)
{
	if (ev->data.type != DV_STRUCT)
		return;
	if (ev->provider_name)
		buf_puts(out, ev->provider_name);
	buf_puts(out, " ");
	if (ev->name)
		buf_puts(out, ev->name);
	buf_puts(out, "\n");
	for (uint32_t i = 0; i < ev->data.n; i++) {
		const struct dfield *f = &ev->data.fields[i];

		buf_puts(out, f->name);
		buf_puts(out, ": ");
		put_value(out, &f->v);
		buf_puts(out, "\n");
	}
}

/* ---- one hit ------------------------------------------------------------------------------------------------------------------------------- */

static char *copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

void hit_take(struct hit *h, const struct rule_match *m)
{
	h->rule = m->rule;
	h->file = m->file;
	h->tags = copy(m->tags);
	h->string = m->string;
	h->length = m->length;
	h->n_bytes = m->string ? m->n_bytes : 0;
	if (h->n_bytes)
		memcpy(h->bytes, m->bytes, h->n_bytes);
	h->offset = m->string ? (uint32_t)m->offset : 0;
}

/* Of a hit with its address in an image. */
static void in_image(struct hit *h, const struct scan *s)
{
	if (h->has_pa && !h->has_file_offset && h->has_source)
		h->has_file_offset = source_file_offset(s->src.v[h->source], h->pa, &h->file_offset);
}

void hit_of_event(struct hit *h, const struct scan *s, const struct event *ev)
{
	h->has_event = true;
	h->event_off = ev->offset;
	h->has_id = ev->has_id;
	h->id = ev->id;
	h->has_provider = ev->has_provider;
	h->provider = ev->provider;
	h->provider_name = copy(ev->provider_name);
	h->event_name = copy(ev->name);
	h->has_time = ev->has_time;
	h->time = ev->time;
	if (h->where != HIT_EVENT)
		return;
	h->has_va = ev->buffer_is_va; /* a carved buffer may be mapped nowhere */
	h->va = ev->buffer + ev->offset;
	h->has_file_offset = !ev->origin->is_image && ev->has_buffer;
	h->file_offset = h->va;
	h->has_pa = ev->has_pa;
	h->pa = ev->pa;
	in_image(h, s);
}

static const struct etw_session *session_of(const struct scan *s, const struct hit *h)
{
	return h->has_source ? evsource_origin(s->src.v[h->source]->ev)->session : NULL;
}

void hit_of_buffer(struct hit *h, struct scan *s, const struct etw_buffer *b)
{
	const struct event_origin *origin = evsource_origin(s->src.v[h->source]->ev);
	bool image = origin->is_image;

	h->has_va = image && b->has_va;
	h->va = b->va + h->offset;
	if (!h->has_pa)
		h->has_pa = etw_buffer_pa(b, h->offset, &h->pa);
	if (image)
		in_image(h, s);
	if ((image ? !h->has_pa && !b->has_pa : !(origin->session->mode & ETW_MODE_COMPRESSED)) && b->has_file_offset && !b->packed_bytes) {
		h->has_file_offset = true;
		h->file_offset = b->file_offset + h->offset;
	}
}

/* The record of b->body that holds byte `at`, parsed and with its names. */
static void event_at(struct hit *h, struct scan *s, const struct etw_buffer *b, uint32_t at)
{
	const struct event_origin *origin = evsource_origin(s->src.v[h->source]->ev);
	struct etw_record rec;
	struct event ev;

	for (uint32_t off = 0; etw_record_peek(b->body, b->body_len, off, &rec) == ETW_PEEK_RECORD; off += rec.step) {
		if (at >= off + rec.step && rec.step)
			continue;
		event_parse(&ev, origin, b, &rec);
		decoder_event(s->decoder, &ev);
		hit_of_event(h, s, &ev);
		return;
	}
}

void hit_locate(struct hit *h, struct scan *s, const struct etw_buffer *b, uint32_t at)
{
	h->offset = etw_original_offset(b, ETW_BUFFER_HEADER_SIZE + at);
	hit_of_buffer(h, s, b);
	event_at(h, s, b, at);
}

static void hit_free(struct hit *h)
{
	free(h->tags);
	free(h->provider_name);
	free(h->event_name);
}

/* ---- all of them --------------------------------------------------------------------------------------------------------------------------- */

/* The place of a string in the table: its own, or the free one where it belongs. */
static struct hits_string *place_of(struct hits_string *t, size_t cap, const char *rule, const char *string)
{
	uint64_t key = ((uint64_t)(uintptr_t)rule * 31 + (uint64_t)(uintptr_t)string) * UINT64_C(0x9e3779b97f4a7c15);

	for (size_t i = (size_t)(key >> 32) & (cap - 1);; i = (i + 1) & (cap - 1))
		if (!t[i].rule || (t[i].rule == rule && t[i].string == string))
			return &t[i];
}

/* NULL: memory ends. */
static struct hits_string *string_of(struct hits *v, const struct hit *h)
{
	struct hits_string *at;

	if (2 * (v->n_counts + 1) > v->cap_counts) {
		size_t cap = v->cap_counts ? 2 * v->cap_counts : 64;
		struct hits_string *t = calloc(cap, sizeof(*t));

		if (!t)
			return NULL;
		for (size_t i = 0; i < v->cap_counts; i++)
			if (v->count[i].rule)
				*place_of(t, cap, v->count[i].rule, v->count[i].string) = v->count[i];
		free(v->count);
		v->count = t;
		v->cap_counts = cap;
	}
	at = place_of(v->count, v->cap_counts, h->rule, h->string);
	if (!at->rule) {
		*at = (struct hits_string){.rule = h->rule, .string = h->string};
		v->n_counts++;
	}
	return at;
}

int hits_add(struct hits *v, struct hit *h)
{
	bool memory = h->where == HIT_MEMORY;
	struct hits_string *count = h->tags ? string_of(v, h) : NULL;
	void *arr = v->v;

	if (count && (count->n[memory] >= HITS_STRING_MAX || (memory ? v->n_memory : v->n - v->n_memory) >= HITS_MAX)) {
		v->limited = true;
		hit_free(h);
		return 0;
	}
	if (!count || arr_reserve(&arr, &v->cap, v->n, sizeof(*v->v)) < 0) {
		hit_free(h);
		return ERR_NOMEM;
	}
	v->v = arr;
	v->v[v->n++] = *h;
	v->n_memory += memory;
	count->n[memory]++;
	return 0;
}

void hits_free(struct hits *v)
{
	for (size_t i = 0; i < v->n; i++)
		hit_free(&v->v[i]);
	free(v->v);
	free(v->count);
}

static int text_order(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "");
}

static int by_pa(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;
	int c;

	if (x->pa != y->pa)
		return x->pa < y->pa ? -1 : 1;
	c = text_order(x->file, y->file);
	if (c == 0)
		c = text_order(x->rule, y->rule);
	if (c == 0)
		c = text_order(x->string, y->string);
	return c ? c : x->length < y->length ? -1 : x->length > y->length;
}

/* A rule without strings that holds in many pieces says nothing by being repeated: the first one stays. */
static void drop_repeats(struct hits *v, size_t from)
{
	size_t o = from;

	for (size_t i = from; i < v->n; i++) {
		bool again = false;

		for (size_t k = from; !v->v[i].string && k < o && !again; k++)
			again = !v->v[k].string && strcmp(v->v[k].rule, v->v[i].rule) == 0 && strcmp(v->v[k].file, v->v[i].file) == 0;
		if (again)
			hit_free(&v->v[i]);
		else
			v->v[o++] = v->v[i];
	}
	v->n_memory -= v->n - o;
	v->n = o;
}

struct page { /* of a recovered buffer */
	uint64_t pa;
	size_t source;
	uint32_t buffer, number; /* the page's number in the buffer's pages */
};

static int by_page(const void *a, const void *b)
{
	const struct page *x = a, *y = b;

	if (x->pa != y->pa)
		return x->pa < y->pa ? -1 : 1;
	if (x->source != y->source) /* live before residual: as they were added */
		return x->source < y->source ? -1 : 1;
	return x->buffer < y->buffer ? -1 : x->buffer > y->buffer;
}

static struct page *pages_of_buffers(const struct sources *s, size_t *n)
{
	struct page *v = NULL;
	size_t cap = 0;

	*n = 0;
	for (size_t i = 0; i < s->n; i++)
		for (size_t k = 0; k < s->v[i]->session.n_buffers; k++) {
			const struct etw_buffer *b = &s->v[i]->session.buffers[k];

			for (uint32_t p = 0; p < b->n_page_pa; p++) {
				void *arr = v;

				if (b->page_pa[p] == ETW_NO_PA)
					continue;
				if (arr_reserve(&arr, &cap, *n, sizeof(*v)) < 0)
					return v;
				v = arr;
				v[(*n)++] = (struct page){b->page_pa[p], i, (uint32_t)k, p};
			}
		}
	if (*n)
		qsort(v, *n, sizeof(*v), by_page);
	return v;
}

/* The hit's place in a buffer whose page it stands in: the record that holds it, by its offsets in the buffer as it was. */
static bool place_in(struct hit *h, struct scan *s, const struct page *p)
{
	const struct etw_buffer *b = &s->src.v[p->source]->session.buffers[p->buffer];
	uint64_t in = ((uint64_t)p->number << 12) + (h->pa & 0xfff), skew = b->va & 0xfff;
	struct etw_record rec;

	if (in < skew)
		return false;
	in -= skew;
	for (uint32_t off = 0; etw_record_peek(b->body, b->body_len, off, &rec) == ETW_PEEK_RECORD && rec.step; off += rec.step) {
		uint32_t from = etw_original_offset(b, ETW_BUFFER_HEADER_SIZE + off);

		if (in < from || in >= (uint64_t)from + rec.size)
			continue;
		h->has_source = true;
		h->source = p->source;
		h->offset = (uint32_t)in;
		hit_of_buffer(h, s, b);
		event_at(h, s, b, off + (uint32_t)(in - from));
		return true;
	}
	return false;
}

void hits_place(struct scan *s, const struct phys *phys)
{
	size_t n;
	struct page *v = pages_of_buffers(&s->src, &n);

	if (s->hits.n > s->first_of_image)
		qsort(s->hits.v + s->first_of_image, s->hits.n - s->first_of_image, sizeof(*s->hits.v), by_pa);
	drop_repeats(&s->hits, s->first_of_image);
	for (size_t i = s->first_of_image; i < s->hits.n; i++) {
		struct hit *h = &s->hits.v[i];
		size_t lo = 0, hi = n;

		h->image = s->image;
		h->has_file_offset = phys_file_offset(phys, h->pa, &h->file_offset);
		while (lo < hi) {
			size_t mid = lo + (hi - lo) / 2;

			if (v[mid].pa < (h->pa & ~UINT64_C(0xfff)))
				lo = mid + 1;
			else
				hi = mid;
		}
		while (lo < n && v[lo].pa == (h->pa & ~UINT64_C(0xfff)) && !place_in(h, s, &v[lo]))
			lo++;
	}
	free(v);
}

/* ---- output -------------------------------------------------------------------------------------------------------------------------------- */

static const char *const where_name[] = {"buffer", "residual", "event", "memory"};

static const char *file_of(const struct scan *s, const struct hit *h)
{
	return h->has_source ? evsource_origin(s->src.v[h->source]->ev)->file : h->image;
}

/* Bytes as text where they are text, in ASCII or UTF-16, else as hex. */
static void shown(struct buf *out, const struct hit *h)
{
	uint32_t step = h->n_bytes >= 2 && h->bytes[1] == 0 ? 2 : 1, i;

	for (i = 0; i < h->n_bytes; i += step)
		if (h->bytes[i] < 0x20 || h->bytes[i] > 0x7e || (step == 2 && i + 1 < h->n_bytes && h->bytes[i + 1]))
			break;
	if (h->n_bytes && i >= h->n_bytes) {
		for (i = 0; i < h->n_bytes; i += step)
			buf_put(out, &h->bytes[i], 1);
	} else {
		for (i = 0; i < h->n_bytes; i++) {
			char hex[3];

			snprintf(hex, sizeof(hex), "%02x", h->bytes[i]);
			buf_put(out, hex, 2);
		}
	}
	if (h->length > h->n_bytes)
		buf_puts(out, "...");
}

static void put_row(struct table *t, const struct scan *s, const struct hit *h)
{
	const struct etw_session *ses = session_of(s, h);
	char time[WINTIME_STR], guid[GUID_STR];
	struct buf b;

	table_add(t, h->rule);
	table_add(t, h->string);
	table_add(t, where_name[h->where]);
	table_add(t, ses ? ses->name : NULL);
	table_add(t, h->has_time && wintime_text(h->time, time) ? time : NULL);
	if (h->has_provider)
		guid_text(&h->provider, guid);
	table_add(t, h->provider_name ? h->provider_name : h->has_provider ? guid : NULL);
	if (h->event_name)
		table_add(t, h->event_name);
	else if (h->has_id)
		table_addf(t, "%u", h->id);
	else
		table_add(t, NULL);
	if (h->has_va)
		table_addf(t, "0x%" PRIx64, h->va);
	else
		table_add(t, NULL);
	if (h->has_pa)
		table_addf(t, "0x%" PRIx64, h->pa);
	else
		table_add(t, NULL);
	buf_init(&b);
	shown(&b, h);
	table_add(t, b.n ? buf_str(&b) : NULL);
	buf_free(&b);
}

static int print_table(struct scan *s)
{
	static const char *const heads[] = {"RULE", "STRING", "IN", "SESSION", "TIME", "PROVIDER", "EVENT", "VA", "PA", "MATCH", NULL};
	struct table t;

	table_init(&t, heads);
	for (size_t i = 0; i < s->hits.n; i++)
		put_row(&t, s, &s->hits.v[i]);
	if (table_print(&t, stdout, s->c->color_out) < 0) {
		cli_error(s->c, "out of memory");
		return ERR_NOMEM;
	}
	return 0;
}

static void put_hex(struct jsonw *w, const char *key, bool has, uint64_t v)
{
	if (has)
		jsonw_hex(w, key, v);
	else
		jsonw_null(w, key);
}

static void put_event(struct jsonw *w, const struct hit *h)
{
	if (!h->has_event) {
		jsonw_null(w, "provider");
		jsonw_null(w, "event");
		jsonw_null(w, "time");
		return;
	}
	jsonw_object(w, "provider", true);
	jsonw_guid(w, "guid", h->has_provider ? &h->provider : NULL);
	jsonw_string(w, "name", h->provider_name);
	jsonw_end(w);
	jsonw_object(w, "event", true);
	if (h->has_id)
		jsonw_u64(w, "id", h->id);
	else
		jsonw_null(w, "id");
	jsonw_string(w, "name", h->event_name);
	jsonw_u64(w, "offset", h->event_off);
	jsonw_end(w);
	if (h->has_time)
		jsonw_time(w, "time", h->time);
	else
		jsonw_null(w, "time");
}

static void put_hit(struct jsonw *w, const struct scan *s, const struct hit *h)
{
	const struct etw_session *ses = session_of(s, h);
	char hex[2 * RULES_SHOWN + 1] = "";

	for (uint32_t i = 0; i < h->n_bytes; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", h->bytes[i]);
	jsonw_object(w, NULL, true);
	jsonw_string(w, "rule", h->rule);
	jsonw_string(w, "rule_file", h->file);
	jsonw_string(w, "tags", h->tags);
	jsonw_string(w, "string", h->string);
	jsonw_string(w, "in", where_name[h->where]);
	jsonw_string(w, "file", file_of(s, h));
	if (ses) {
		jsonw_object(w, "session", true);
		jsonw_u64(w, "silo", ses->silo);
		jsonw_u64(w, "id", ses->id);
		jsonw_string(w, "name", ses->name);
		jsonw_end(w);
	} else {
		jsonw_null(w, "session");
	}
	put_event(w, h);
	put_hex(w, "va", h->has_va, h->va);
	put_hex(w, "pa", h->has_pa, h->pa);
	if (h->has_file_offset)
		jsonw_u64(w, "file_offset", h->file_offset);
	else
		jsonw_null(w, "file_offset");
	jsonw_u64(w, "length", h->length);
	jsonw_string(w, "bytes", h->string ? hex : NULL);
	jsonw_end(w);
}

static int print_json(struct scan *s)
{
	struct jsonw w;
	struct buf b;
	int rc = 0;

	buf_init(&b);
	jsonw_init(&w, &b, 0);
	jsonw_object(&w, NULL, false);
	jsonw_string(&w, "schema", "etlift/scan/1");
	jsonw_object(&w, "tool", true);
	jsonw_string(&w, "name", "etlift");
	jsonw_string(&w, "version", ETLIFT_VERSION);
	jsonw_end(&w);
	jsonw_u64(&w, "rules", rules_count(s->rules));
	jsonw_array(&w, "hits", false);
	for (size_t i = 0; i < s->hits.n; i++)
		put_hit(&w, s, &s->hits.v[i]);
	jsonw_end(&w);
	jsonw_bool(&w, "limit_reached", s->limited || s->hits.limited);
	jsonw_u64(&w, "unreadable_bytes", s->unreadable);
	jsonw_end(&w);
	buf_put(&b, "\n", 1);
	if (b.failed) {
		cli_error(s->c, "out of memory");
		rc = ERR_NOMEM;
	} else {
		fwrite(b.p, 1, b.n, stdout);
	}
	buf_free(&b);
	return rc;
}

int hits_print(struct scan *s)
{
	return cli_flag(s->c, OPT_JSON) ? print_json(s) : print_table(s);
}
