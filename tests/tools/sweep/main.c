/* sweep - one page lost, each in turn: sweep IMAGE TRUTH.json [-s SEED -n PAGES] [-j K/N] [-t]
 *
 * Each page of the image that is not zeros is zeroed, what recover --carve does is done in this process, and every buffer of the truth that does
 * not touch the page must be there with all of its records; no record may be there that the truth does not have, and none twice. -n: so many pages, chosen by the seed, instead of all; -j K/N: the K-th of N
 * shares; -t: only page tables, which are known of an image with a page frame number database. A buffer's last record whose end lies in the page of zeros may be there or
 * not, where nothing tells that it had another end: those are counted. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carve.h"
#include "evhdr.h"
#include "profile.h"
#include "rd.h"

#define PAGE 4096u

struct want {
	uint64_t *page;
	unsigned n_pages, id;
	uint64_t *rec;
	unsigned n_rec;
	bool broken; /* a page of it is lost already: what stands behind it only the page frame number database tells */
	char va[24];
};

struct set { /* open addressing */
	uint64_t *v;
	size_t cap, n;
};

struct sweep {
	uint8_t *mem;
	size_t size;
	struct want *w;
	size_t n_want;
	struct pages {
		uint64_t *v;
		unsigned n;
	} tables, pfn; /* page tables, when the page frame number database tells what they held; its own pages */
	struct profset *profiles;
	struct set have, truth;    /* records that came out; all that there may be */
	unsigned wrong, zero_ends; /* records */
};

static uint64_t fnv(const uint8_t *p, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h ? h : 1;
}

static _Noreturn void stop_with(const char *what)
{
	fprintf(stderr, "sweep: %s\n", what);
	exit(2);
}

static void *must(void *p)
{
	if (!p)
		stop_with("out of memory");
	return p;
}

static bool has(const struct set *s, uint64_t h)
{
	for (size_t i = h & (s->cap - 1); s->v[i]; i = (i + 1) & (s->cap - 1))
		if (s->v[i] == h)
			return true;
	return false;
}

/* False: it was there. */
static bool add(struct set *s, uint64_t h)
{
	size_t i = h & (s->cap - 1);

	if (has(s, h))
		return false;
	if (++s->n * 2 > s->cap)
		stop_with("more records than there should be");
	while (s->v[i])
		i = (i + 1) & (s->cap - 1);
	s->v[i] = h;
	return true;
}

/* ---- the truth --------------------------------------------------------------------------------------------------------------------------- */

static void add_buffer(struct sweep *s, const cJSON *b, unsigned id)
{
	const cJSON *records = cJSON_GetObjectItem(b, "records"), *pages = cJSON_GetObjectItem(b, "pages"), *r;
	unsigned n = (unsigned)cJSON_GetArraySize(records), end = 0;
	struct want w = {.id = id};
	bool packed = false;

	if (!n || cJSON_IsTrue(cJSON_GetObjectItem(b, "header_lost")) || cJSON_IsTrue(cJSON_GetObjectItem(b, "copy")))
		return;
	w.rec = must(calloc(n, sizeof(*w.rec)));
	cJSON_ArrayForEach(r, records)
	{
		if (cJSON_IsTrue(cJSON_GetObjectItem(r, "lost"))) {
			w.broken = true;
			continue;
		}
		w.rec[w.n_rec++] = strtoull(cJSON_GetObjectItem(r, "fnv")->valuestring, NULL, 16);
		end = (unsigned)(cJSON_GetObjectItem(r, "off")->valueint + cJSON_GetObjectItem(r, "size")->valueint);
	}
	w.page = must(calloc((size_t)cJSON_GetArraySize(pages), sizeof(*w.page)));
	cJSON_ArrayForEach(r, pages)
	{
		uint64_t pa = strtoull(r->valuestring, NULL, 16);

		packed |= pa % PAGE != 0; /* one of a row begins anywhere, and these are just its pages */
		if (packed || w.n_pages * PAGE < end)
			w.page[w.n_pages++] = pa & ~(uint64_t)(PAGE - 1);
	}
	snprintf(w.va, sizeof(w.va), "%s", cJSON_GetObjectItem(b, "va")->valuestring);
	s->w = must(realloc(s->w, (s->n_want + 1) * sizeof(*s->w)));
	s->w[s->n_want++] = w;
}

static void add_records(struct sweep *s, const cJSON *records)
{
	const cJSON *r;

	cJSON_ArrayForEach(r, records)(void) add(&s->truth, strtoull(cJSON_GetObjectItem(r, "fnv")->valuestring, NULL, 16));
}

static void add_session(struct sweep *s, const cJSON *ses)
{
	const cJSON *b;

	cJSON_ArrayForEach(b, cJSON_GetObjectItem(ses, "buffers"))
	{
		add_buffer(s, b, (unsigned)cJSON_GetObjectItem(ses, "id")->valueint);
		add_records(s, cJSON_GetObjectItem(b, "records"));
		add_records(s, cJSON_GetObjectItem(b, "old"));
	}
}

static char *whole_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *p;
	long size;

	if (!f || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) <= 0)
		stop_with("a file can't be read");
	p = must(malloc((size_t)size + 1));
	rewind(f);
	if (fread(p, 1, (size_t)size, f) != (size_t)size)
		stop_with("a file can't be read");
	fclose(f);
	p[size] = 0;
	*n = (size_t)size;
	return p;
}

static void read_pages(struct pages *p, const cJSON *list)
{
	p->v = must(calloc((size_t)cJSON_GetArraySize(list) + 1, sizeof(*p->v)));
	for (const cJSON *x = list ? list->child : NULL; x; x = x->next)
		p->v[p->n++] = strtoull(x->valuestring, NULL, 16);
}

static bool is_one(const struct pages *p, uint64_t pa)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->v[i] == pa)
			return true;
	return false;
}

static void read_truth(struct sweep *s, const char *path)
{
	size_t n;
	char *text = whole_file(path, &n);
	cJSON *doc = must(cJSON_Parse(text)), *x;

	cJSON_ArrayForEach(x, cJSON_GetObjectItem(doc, "sessions")) add_session(s, x);
	cJSON_ArrayForEach(x, cJSON_GetObjectItem(doc, "orphans")) add_session(s, cJSON_GetObjectItem(x, "session"));
	read_pages(&s->tables, cJSON_GetObjectItem(doc, "page_tables"));
	read_pages(&s->pfn, cJSON_GetObjectItem(doc, "pfn_pages"));
	cJSON_Delete(doc);
	free(text);
}

/* ---- what comes out ---------------------------------------------------------------------------------------------------------------------- */

/* A record that the truth does not have. */
static void stranger(struct sweep *s, const struct etw_session *ses, const struct etw_buffer *b, const struct etw_record *r)
{
	if (r->off + r->step >= b->body_len && b->body[r->off + r->size - 1] == 0) {
		s->zero_ends++;
		return;
	}
	printf("session %u, buffer 0x%llx: a record at %u was never written\n", ses->id, (unsigned long long)(b->has_va ? b->va : b->pa),
	       r->off);
	s->wrong++;
}

static void take(struct sweep *s, const struct etw_session *ses)
{
	for (size_t i = 0; i < ses->n_buffers; i++) {
		const struct etw_buffer *b = &ses->buffers[i];
		struct etw_record r;

		if (b->has_same_as)
			continue;
		for (uint32_t off = 0; off < b->body_len && etw_record_peek(b->body, b->body_len, off, &r) == ETW_PEEK_RECORD;
		     off += r.step) {
			uint64_t h = fnv(b->body + off, r.size);

			if (!has(&s->truth, h)) {
				stranger(s, ses, b, &r);
			} else if (!add(&s->have, h)) {
				printf("session %u, buffer 0x%llx: a record at %u is there twice\n", ses->id,
				       (unsigned long long)(b->has_va ? b->va : b->pa), off);
				s->wrong++;
			}
		}
	}
}

static int on_session(void *ctx, const struct etw_session *ses, struct err *e)
{
	(void)e;
	take(ctx, ses);
	return 0;
}

static int on_orphan(void *ctx, const struct carve_orphan *o, struct err *e)
{
	(void)e;
	take(ctx, &o->s);
	return 0;
}

static void recover(struct sweep *s)
{
	struct image_opts io = {.kernel = {.profiles = s->profiles}};
	struct carve_opts co = {.threads = 1};
	struct recover_opts ro = {.amend = carve_session};
	struct etw_sink sink = {.session = on_session, .ctx = s};
	struct image *im;
	struct input *in;
	struct carve *c;
	struct err e;
	size_t n;

	memset(s->have.v, 0, s->have.cap * sizeof(*s->have.v));
	s->have.n = 0;
	if (input_open_memory(&in, s->mem, s->size, "image", &e) < 0 || image_open_input(&im, in, &io, &e) < 0)
		stop_with(e.msg);
	if (carve_open(&c, im, &co, &e) < 0)
		stop_with(e.msg);
	ro.amend_ctx = c;
	(void)recover_run(im, &ro, &sink, &n, &e); /* no kernel: then carving alone */
	if (carve_run(c, on_orphan, s, &e) < 0)
		stop_with(e.msg);
	carve_close(c);
	image_close(im);
}

/* ---- the sweep ---------------------------------------------------------------------------------------------------------------------------- */

static bool touches(const struct want *w, uint64_t pa)
{
	for (unsigned i = 0; i < w->n_pages; i++)
		if (w->page[i] == pa)
			return true;
	return false;
}

/* Counts buffers that are not whole. */
static unsigned compare(const struct sweep *s, uint64_t pa)
{
	unsigned bad = 0;

	for (size_t i = 0; i < s->n_want; i++) {
		const struct want *w = &s->w[i];
		unsigned lost = 0;

		if (touches(w, pa) || (w->broken && is_one(&s->pfn, pa)))
			continue;
		for (unsigned k = 0; k < w->n_rec; k++)
			lost += !has(&s->have, w->rec[k]);
		if (!lost)
			continue;
		printf("page 0x%llx: session %u, buffer %s: %u of %u records are lost\n", (unsigned long long)pa, w->id, w->va, lost,
		       w->n_rec);
		bad++;
	}
	return bad;
}

static bool is_zero(const uint8_t *p)
{
	return p[0] == 0 && memcmp(p, p + 1, PAGE - 1) == 0;
}

int main(int argc, char **argv)
{
	struct sweep s = {.have = {.cap = 1u << 18}, .truth = {.cap = 1u << 19}};
	uint64_t seed = 1, only = 0, share = 0, shares = 1;
	bool tables = false;
	unsigned pages = 0, bad = 0;
	uint8_t saved[PAGE] = {0};
	struct err e;
	size_t live = 0;

	if (argc < 3)
		stop_with("usage: sweep IMAGE TRUTH.json [-s SEED -n PAGES] [-j K/N] [-t]");
	if (strcmp(argv[argc - 1], "-t") == 0)
		tables = argc--;
	for (int i = 3; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "-s") == 0)
			seed = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "-n") == 0)
			only = strtoull(argv[i + 1], NULL, 0);
		else if (strcmp(argv[i], "-j") != 0 || sscanf(argv[i + 1], "%lu/%lu", &share, &shares) != 2 || !shares)
			stop_with("no such option");
	}
	s.mem = (uint8_t *)whole_file(argv[1], &s.size);
	s.have.v = must(calloc(s.have.cap, sizeof(*s.have.v)));
	s.truth.v = must(calloc(s.truth.cap, sizeof(*s.truth.v)));
	read_truth(&s, argv[2]);
	if (profset_new(&s.profiles, &e) < 0)
		stop_with(e.msg);
	for (size_t at = 0; at + PAGE <= s.size; at += PAGE)
		live += !is_zero(s.mem + at);
	recover(&s);
	bad = compare(&s, UINT64_MAX);
	for (size_t at = 0, k = 0; at + PAGE <= s.size; at += PAGE) {
		if (is_zero(s.mem + at) || (tables && !is_one(&s.tables, at)))
			continue;
		k++;
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		if (k % shares != share % shares || (only && (seed >> 33) % live >= only))
			continue;
		memcpy(saved, s.mem + at, PAGE);
		memset(s.mem + at, 0, PAGE);
		recover(&s);
		bad += compare(&s, at);
		memcpy(s.mem + at, saved, PAGE);
		pages++;
	}
	printf("%u of %zu pages zeroed in turn; %zu buffers; %u not whole; %u records wrong, %u that may end in zeros\n", pages, live,
	       s.n_want, bad, s.wrong, s.zero_ends);
	profset_free(s.profiles);
	free(s.mem);
	free(s.have.v);
	free(s.truth.v);
	for (size_t i = 0; i < s.n_want; i++) {
		free(s.w[i].page);
		free(s.w[i].rec);
	}
	free(s.w);
	return bad || s.wrong ? 1 : 0;
}
