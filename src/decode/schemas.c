/* schemas.c - see schemas.h. Open-addressing tables keyed by a hash of the key; entries are never removed. */
#include "schemas.h"

#include <stdlib.h>
#include <string.h>

#include "catalogue.h"
#include "provider_names.h"
#include "rd.h"

struct entry {
	struct schema_key key;
	const struct schema *by[SCHEMA_SOURCES]; /* one per source, NULL: none */
	bool used, asked;                        /* asked: the catalogue was looked at for this key */
};

struct map_entry {
	struct guid provider;
	const char *name;
	const struct schema_map *map;
	struct map_entry *next;
};

struct name_entry {
	struct guid guid;
	const char *name; /* NULL: nobody knows */
	struct name_entry *next;
};

#define BUCKETS 1024

struct schemas {
	struct arena arena;
	struct catalogue *catalogue;
	struct entry *table;
	size_t cap, n;
	struct map_entry *maps[BUCKETS];
	struct name_entry *names[BUCKETS];
};

int schemas_new(struct schemas **out, struct err *e)
{
	struct schemas *s = calloc(1, sizeof(*s));

	if (s)
		s->catalogue = catalogue_new();
	if (!s || !s->catalogue) {
		free(s);
		return err_set(e, ERR_NOMEM, "out of memory");
	}
	arena_init(&s->arena);
	s->arena.max = SCHEMAS_BYTES_MAX;
	*out = s;
	return 0;
}

void schemas_free(struct schemas *s)
{
	if (!s)
		return;
	catalogue_free(s->catalogue);
	arena_free(&s->arena);
	free(s->table);
	free(s);
}

void schemas_forget(struct schemas *s)
{
	struct catalogue *c = s->catalogue;

	arena_free(&s->arena);
	free(s->table);
	memset(s, 0, sizeof(*s));
	s->catalogue = c;
	arena_init(&s->arena);
	s->arena.max = SCHEMAS_BYTES_MAX;
}

struct arena *schemas_arena(struct schemas *s)
{
	return &s->arena;
}

static size_t hash_guid(const struct guid *g)
{
	return (size_t)((le64(g->b) ^ le64(g->b + 8) * UINT64_C(0x9e3779b97f4a7c15)) >> 7);
}

static size_t hash_key(const struct schema_key *k)
{
	uint64_t h = hash_guid(&k->guid) + ((uint64_t)k->id << 9 | (uint64_t)k->version << 1 | k->classic) * UINT64_C(0xbf58476d1ce4e5b9);

	return (size_t)(h ^ h >> 29);
}

static bool same_key(const struct schema_key *a, const struct schema_key *b)
{
	return a->id == b->id && a->version == b->version && a->classic == b->classic && guid_equal(&a->guid, &b->guid);
}

static struct entry *slot_of(struct entry *table, size_t cap, const struct schema_key *key)
{
	size_t i = hash_key(key) & (cap - 1);

	while (table[i].used && !same_key(&table[i].key, key))
		i = (i + 1) & (cap - 1);
	return &table[i];
}

static int grow(struct schemas *s)
{
	size_t cap = s->cap ? s->cap * 2 : 256;
	struct entry *t = calloc(cap, sizeof(*t));

	if (!t)
		return ERR_NOMEM;
	for (size_t i = 0; i < s->cap; i++)
		if (s->table[i].used)
			*slot_of(t, cap, &s->table[i].key) = s->table[i];
	free(s->table);
	s->table = t;
	s->cap = cap;
	return 0;
}

/* The entry of a key, made when there is none; NULL out of memory or at the limit. */
static struct entry *entry_of(struct schemas *s, const struct schema_key *key)
{
	struct entry *e;

	if (s->n * 2 >= s->cap && (s->n >= SCHEMAS_MAX || grow(s) < 0))
		return NULL;
	e = slot_of(s->table, s->cap, key);
	if (!e->used) {
		memset(e, 0, sizeof(*e));
		e->used = true;
		e->key = *key;
		s->n++;
	}
	return e;
}

int schemas_add(struct schemas *s, const struct schema_key *key, const struct schema *schema)
{
	struct entry *e = entry_of(s, key);

	if (!e)
		return s->n >= SCHEMAS_MAX ? ERR_LIMIT : ERR_NOMEM;
	if (!e->by[schema->source])
		e->by[schema->source] = schema;
	return 0;
}

static void ask_catalogue(struct schemas *s, struct entry *e)
{
	e->asked = true;
	if (!e->key.classic && !e->by[SCHEMA_CATALOGUE])
		e->by[SCHEMA_CATALOGUE] = catalogue_find(s->catalogue, &e->key.guid, e->key.id, e->key.version, &s->arena);
}

const struct schema *schemas_find(struct schemas *s, const struct schema_key *key, const struct schema *weaker_than)
{
	struct entry *e = entry_of(s, key);
	int i = weaker_than ? weaker_than->source : SCHEMA_SOURCES;

	if (!e)
		return NULL;
	if (weaker_than && weaker_than->next)
		return weaker_than->next;
	while (--i >= 0) {
		if (i == SCHEMA_CATALOGUE && !e->asked)
			ask_catalogue(s, e);
		if (e->by[i])
			return e->by[i];
	}
	return NULL;
}

int schemas_add_map(struct schemas *s, const struct guid *provider, const char *name, const struct schema_map *map)
{
	struct map_entry *m = arena_alloc(&s->arena, sizeof(*m)), **bucket = &s->maps[hash_guid(provider) % BUCKETS];

	if (!m || !(m->name = arena_strndup(&s->arena, name, strlen(name))))
		return ERR_NOMEM;
	m->provider = *provider;
	m->map = map;
	m->next = *bucket;
	*bucket = m;
	return 0;
}

const struct schema_map *schemas_map(struct schemas *s, const struct guid *provider, const char *name)
{
	for (const struct map_entry *m = s->maps[hash_guid(provider) % BUCKETS]; m; m = m->next)
		if (guid_equal(&m->provider, provider) && strcmp(m->name, name) == 0)
			return m->map;
	return NULL;
}

static struct name_entry *name_of(struct schemas *s, const struct guid *guid)
{
	for (struct name_entry *n = s->names[hash_guid(guid) % BUCKETS]; n; n = n->next)
		if (guid_equal(&n->guid, guid))
			return n;
	return NULL;
}

static int put_name(struct schemas *s, const struct guid *guid, const char *name)
{
	struct name_entry *n = arena_alloc(&s->arena, sizeof(*n)), **bucket = &s->names[hash_guid(guid) % BUCKETS];

	if (!n)
		return ERR_NOMEM;
	n->guid = *guid;
	n->name = name;
	n->next = *bucket;
	*bucket = n;
	return 0;
}

int schemas_add_provider_name(struct schemas *s, const struct guid *guid, const char *name)
{
	struct name_entry *n = name_of(s, guid);
	char *copy = arena_strndup(&s->arena, name, strlen(name));

	if (!copy)
		return ERR_NOMEM;
	if (!n)
		return put_name(s, guid, copy);
	if (!n->name)
		n->name = copy;
	return 0;
}

const char *schemas_provider_name(struct schemas *s, const struct guid *guid)
{
	struct name_entry *n = name_of(s, guid);
	const char *name;

	if (n)
		return n->name;
	name = catalogue_provider_name(s->catalogue, guid, &s->arena);
	if (!name)
		name = provider_name(guid);
	put_name(s, guid, name);
	return name;
}
