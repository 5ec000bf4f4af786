/* names.c - see names.h */
#include "names.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"

enum space { PROCESS, FILE_KEY, FILE_OBJECT };

/* When a name holds: from this time on (a start), before it and no longer (an end), or before and after (a rundown). */
enum holds { FROM, UNTIL, AROUND };

struct known {
	uint64_t scope, key; /* scope: of the source's file */
	int64_t time;
	uint32_t text; /* in the pool; grows with the order of learning */
	uint8_t space, holds;
};

struct rule { /* an event that tells a name */
	enum { RULE_PROCESS, RULE_FILEIO, RULE_KERNEL_PROCESS, RULE_KERNEL_FILE, RULE_CLASSES } class;
	uint16_t id; /* opcode of a classic, id of a manifest event */
	enum space space;
	enum holds holds;
	const char *key, *text;
};

static const struct rule rules[] = {
	{RULE_PROCESS, 1, PROCESS, FROM, "ProcessId", "ImageFileName"},
	{RULE_PROCESS, 2, PROCESS, UNTIL, "ProcessId", "ImageFileName"},
	{RULE_PROCESS, 3, PROCESS, AROUND, "ProcessId", "ImageFileName"},
	{RULE_PROCESS, 4, PROCESS, AROUND, "ProcessId", "ImageFileName"},
	{RULE_PROCESS, 39, PROCESS, UNTIL, "ProcessId", "ImageFileName"},
	{RULE_FILEIO, 0, FILE_KEY, AROUND, "FileObject", "FileName"},
	{RULE_FILEIO, 32, FILE_KEY, FROM, "FileObject", "FileName"},
	{RULE_FILEIO, 35, FILE_KEY, UNTIL, "FileObject", "FileName"},
	{RULE_FILEIO, 36, FILE_KEY, AROUND, "FileObject", "FileName"},
	{RULE_FILEIO, 64, FILE_OBJECT, FROM, "FileObject", "OpenPath"},
	{RULE_KERNEL_PROCESS, 1, PROCESS, FROM, "ProcessID", "ImageName"},
	{RULE_KERNEL_PROCESS, 2, PROCESS, UNTIL, "ProcessID", "ImageName"},
	{RULE_KERNEL_PROCESS, 15, PROCESS, AROUND, "ProcessID", "ImageName"},
	{RULE_KERNEL_FILE, 10, FILE_KEY, FROM, "FileKey", "FileName"},
	{RULE_KERNEL_FILE, 11, FILE_KEY, UNTIL, "FileKey", "FileName"},
	{RULE_KERNEL_FILE, 12, FILE_OBJECT, FROM, "FileObject", "FileName"},
};

static const char *const class_guids[RULE_CLASSES] = {"3d6fa8d0-fe05-11d0-9dda-00c04fd7ba7c", "90cbdc39-4a3e-11d1-84f4-0000f80464e3",
						      "22fb2cd6-0e7b-422b-a0c7-2fad1fd0e716", "edd08927-9cc4-4e65-b970-c2560fb5c289"};

#define SCOPES 64 /* power of two */

struct names {
	struct guid classes[RULE_CLASSES];
	struct known *v;
	size_t n, cap;
	struct buf pool;
	bool sorted, files;
	uint64_t dropped;
	struct {
		const char *file; /* as an address: the same file, the same scope */
		uint64_t scope;
	} scopes[SCOPES];
};

struct names *names_new(void)
{
	struct names *n = calloc(1, sizeof(*n));

	for (int i = 0; n && i < RULE_CLASSES; i++)
		guid_parse(class_guids[i], &n->classes[i]);
	return n;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	free(n->v);
	buf_free(&n->pool);
	free(n);
}

uint64_t names_dropped(const struct names *n)
{
	return n->dropped;
}

static const struct rule *rule_of(const struct names *n, const struct event *ev, const struct guid *hook_guid, uint8_t hook_opcode)
{
	const struct guid *g = hook_guid ? hook_guid : &ev->provider;
	bool manifest = ev->kind == EVENT_MANIFEST;
	uint32_t id = hook_guid ? hook_opcode : manifest ? ev->id : ev->opcode;

	if (!ev->has_time || (!hook_guid && (!ev->has_provider || (!manifest && ev->kind != EVENT_MOF))))
		return NULL;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].id == id && (rules[i].class >= RULE_KERNEL_PROCESS) == manifest && guid_equal(g, &n->classes[rules[i].class]))
			return &rules[i];
	return NULL;
}

bool names_wants(const struct names *n, const struct event *ev, const struct guid *hook_guid, uint8_t hook_opcode)
{
	return rule_of(n, ev, hook_guid, hook_opcode) != NULL;
}

/* Of the event's source; the same file gives the same. */
static uint64_t scope_of(struct names *n, const struct event *ev)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	unsigned i = (unsigned)((uint64_t)(uintptr_t)ev->origin->file * UINT64_C(0x9e3779b97f4a7c15) >> 58) & (SCOPES - 1);

	if (ev->origin->file && ev->origin->file == n->scopes[i].file)
		return n->scopes[i].scope;
	for (const char *p = ev->origin->file; p && *p; p++)
		h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
	n->scopes[i].file = ev->origin->file;
	n->scopes[i].scope = h;
	return h;
}

static bool number(const struct dval *v, uint64_t *out)
{
	if (!v || (v->type != DV_UINT && v->type != DV_HEX))
		return false;
	*out = v->u;
	return true;
}

void names_learn(struct names *n, const struct event *ev, const struct guid *hook_guid, uint8_t hook_opcode)
{
	const struct rule *r = rule_of(n, ev, hook_guid, hook_opcode);
	const struct dval *text;
	uint64_t key;

	if (!r || ev->data.type != DV_STRUCT || !number(dv_field(&ev->data, r->key), &key))
		return;
	text = dv_field(&ev->data, r->text);
	if (!text || text->type != DV_TEXT || !text->n || memchr(text->text, 0, text->n))
		return;
	if (n->n >= NAMES_MAX || text->n >= NAMES_BYTES_MAX - n->pool.n || arr_reserve((void **)&n->v, &n->cap, n->n, sizeof(*n->v)) < 0) {
		n->dropped++;
		return;
	}
	n->v[n->n] = (struct known){.scope = scope_of(n, ev),
				    .key = key,
				    .time = ev->time,
				    .text = (uint32_t)n->pool.n,
				    .space = (uint8_t)r->space,
				    .holds = (uint8_t)r->holds};
	buf_put(&n->pool, text->text, text->n);
	buf_u8(&n->pool, 0);
	if (n->pool.failed) {
		n->pool.failed = false;
		n->pool.n = n->v[n->n].text;
		n->dropped++;
		return;
	}
	n->n++;
	n->sorted = false;
	n->files |= r->space != PROCESS;
}

#define ORDER(x, y)                                                                                                                        \
	do {                                                                                                                               \
		if ((x) != (y))                                                                                                            \
			return (x) < (y) ? -1 : 1;                                                                                         \
	} while (0)

static int by_key_and_time(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	ORDER(x->space, y->space);
	ORDER(x->scope, y->scope);
	ORDER(x->key, y->key);
	ORDER(x->time, y->time);
	ORDER(x->text, y->text);
	return 0;
}

static bool same_thing(const struct known *a, const struct known *b)
{
	return a->space == b->space && a->scope == b->scope && a->key == b->key;
}

/* The name that the thing has at that time: the last one told, unless it ended before; else the next one told, unless it only began then. */
static const char *name_at(const struct names *n, const struct known *want)
{
	size_t lo = 0, hi = n->n;

	while (lo < hi) { /* lo: the first told after that time */
		size_t mid = lo + (hi - lo) / 2;

		if (by_key_and_time(&n->v[mid], want) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo > 0 && same_thing(&n->v[lo - 1], want) && (n->v[lo - 1].holds != UNTIL || n->v[lo - 1].time == want->time))
		return (const char *)n->pool.p + n->v[lo - 1].text;
	if (lo < n->n && same_thing(&n->v[lo], want) && n->v[lo].holds != FROM)
		return (const char *)n->pool.p + n->v[lo].text;
	return NULL;
}

/* The process: the header's; when that is none (rundowns, the kernel's network events), the one that the data names. */
static bool process_of(const struct event *ev, uint64_t *pid)
{
	*pid = ev->pid;
	if (ev->has_pid && ev->pid != UINT32_MAX)
		return true;
	return ev->data.type == DV_STRUCT && (number(dv_field(&ev->data, "ProcessId"), pid) || number(dv_field(&ev->data, "PID"), pid));
}

static void name_file(const struct names *n, struct event *ev, struct known *want)
{
	static const struct {
		const char *field;
		enum space space;
	} fields[] = {{"FileKey", FILE_KEY}, {"FileObject", FILE_OBJECT}, {"FileObject", FILE_KEY}};

	if (ev->data.type != DV_STRUCT || dv_field(&ev->data, "FileName") || dv_field(&ev->data, "OpenPath"))
		return;
	for (int i = 0; i < 3 && !ev->file_name; i++) {
		if (!number(dv_field(&ev->data, fields[i].field), &want->key))
			continue;
		want->space = (uint8_t)fields[i].space;
		ev->file_name = name_at(n, want);
	}
}

void names_event(struct names *n, struct event *ev)
{
	struct known want = {.time = ev->time, .text = UINT32_MAX, .space = PROCESS};

	if (!n->n || !ev->has_time)
		return;
	if (!n->sorted) {
		qsort(n->v, n->n, sizeof(*n->v), by_key_and_time);
		n->sorted = true;
	}
	want.scope = scope_of(n, ev);
	if (process_of(ev, &want.key))
		ev->process_name = name_at(n, &want);
	if (n->files)
		name_file(n, ev, &want);
}
