/* aff4rdf.c - see aff4rdf.h */
#include "aff4rdf.h"

#include <stdlib.h>
#include <string.h>

#include "err.h"

#define PREFIXES_MAX 256u
#define NESTING_MAX  1000u

enum token { T_END, T_IRI, T_TEXT, T_PUNCT, T_WORD, T_BAD };

struct prefix {
	size_t name, iri; /* in r->text */
};

struct parser {
	struct aff4rdf *r;
	const char *p, *end;
	enum token kind;
	size_t at; /* of the token's text in r->text: IRI, literal, word */
	char punct;
	struct prefix prefix[PREFIXES_MAX];
	size_t n_prefixes;
};

/* Adds n bytes and a NUL to the text: their place. */
static size_t keep(struct aff4rdf *r, const char *p, size_t n)
{
	size_t at = r->text.n;

	buf_put(&r->text, p, n);
	buf_u8(&r->text, 0);
	return at;
}

static const char *str(const struct aff4rdf *r, size_t at)
{
	return at < r->text.n ? (const char *)r->text.p + at : "";
}

/* ---- tokens ------------------------------------------------------------------------------------------------------------------------------ */

static void skip_space(struct parser *x)
{
	while (x->p < x->end) {
		if (*x->p == '#')
			while (x->p < x->end && *x->p != '\n')
				x->p++;
		else if (*x->p == ' ' || *x->p == '\t' || *x->p == '\r' || *x->p == '\n')
			x->p++;
		else
			break;
	}
}

static void take_iri(struct parser *x)
{
	const char *from = ++x->p;

	while (x->p < x->end && *x->p != '>' && *x->p != '\n')
		x->p++;
	if (x->p == x->end || *x->p != '>') {
		x->kind = T_BAD;
		return;
	}
	x->at = keep(x->r, from, (size_t)(x->p++ - from));
	x->kind = T_IRI;
}

/* A literal in one or three quotes, with its escapes taken off (\u stays as it is: nothing that is read has any). */
static void take_text(struct parser *x)
{
	char q = *x->p;
	size_t quotes = x->end - x->p >= 3 && x->p[1] == q && x->p[2] == q ? 3 : 1;

	x->at = x->r->text.n;
	x->kind = T_BAD;
	for (x->p += quotes; x->p < x->end; x->p++) {
		if (*x->p == q && (size_t)(x->end - x->p) >= quotes && (quotes == 1 || (x->p[1] == q && x->p[2] == q))) {
			x->p += quotes;
			x->kind = T_TEXT;
			break;
		}
		if (quotes == 1 && *x->p == '\n')
			break;
		if (*x->p == '\\' && x->p + 1 < x->end) {
			static const char from[] = "tnrbf", to[] = "\t\n\r\b\f";
			const char *k = *++x->p ? strchr(from, *x->p) : NULL;

			buf_u8(&x->r->text, (uint8_t)(k ? to[k - from] : *x->p));
		} else {
			buf_u8(&x->r->text, (uint8_t)*x->p);
		}
	}
	buf_u8(&x->r->text, 0);
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr(":_-+%/.@^\\~!$&'*=?", c)) ||
	       (unsigned char)c >= 0x80;
}

static void next(struct parser *x)
{
	const char *from;

	skip_space(x);
	if (x->p >= x->end) {
		x->kind = T_END;
		return;
	}
	from = x->p;
	if (*x->p == '<') {
		take_iri(x);
		return;
	}
	if (*x->p == '"' || *x->p == '\'') {
		take_text(x);
		return;
	}
	if (strchr(";,.[]()", *x->p)) {
		x->punct = *x->p++;
		x->kind = T_PUNCT;
		return;
	}
	while (x->p < x->end && is_word(*x->p))
		x->p++;
	if (x->p == from) {
		x->p++;
		x->kind = T_BAD;
		return;
	}
	/* a dot at a word's end ends the statement */
	while (x->p - from > 1 && x->p[-1] == '.')
		x->p--;
	x->at = keep(x->r, from, (size_t)(x->p - from));
	x->kind = T_WORD;
}

/* ---- statements -------------------------------------------------------------------------------------------------------------------------- */

static bool is_punct(const struct parser *x, char c)
{
	return x->kind == T_PUNCT && x->punct == c;
}

/* "prefix:local" -> its IRI; "a" as it is. */
static size_t expand(struct parser *x, size_t word)
{
	const char *w = str(x->r, word), *colon = strchr(w, ':');
	struct buf *t = &x->r->text;

	if (!colon)
		return word;
	for (size_t i = x->n_prefixes; i-- > 0;) {
		const char *name = str(x->r, x->prefix[i].name);
		size_t n = (size_t)(colon - w), iri, local, at;

		if (strncmp(name, w, n) != 0 || strcmp(name + n, ":") != 0)
			continue;
		iri = strlen(str(x->r, x->prefix[i].iri));
		local = strlen(colon + 1);
		at = t->n;
		if (!buf_grow(t, iri + local + 1))
			return word;
		memcpy(t->p + at, str(x->r, x->prefix[i].iri), iri);
		memcpy(t->p + at + iri, str(x->r, word) + n + 1, local);
		return at;
	}
	return word;
}

/* A thing that a statement may be about: false for what is none. Brackets are passed over. */
static bool take_thing(struct parser *x, size_t *at)
{
	unsigned depth = 0;

	if (x->kind == T_IRI || x->kind == T_TEXT) {
		*at = x->at;
	} else if (x->kind == T_WORD) {
		*at = expand(x, x->at);
	} else if (is_punct(x, '[') || is_punct(x, '(')) {
		for (;; next(x)) {
			if (is_punct(x, '[') || is_punct(x, '('))
				depth++;
			else if ((is_punct(x, ']') || is_punct(x, ')')) && --depth == 0)
				break;
			if (x->kind == T_END || depth > NESTING_MAX)
				return false;
		}
		*at = keep(x->r, "_:", 2);
	} else {
		return false;
	}
	next(x);
	return true;
}

/* What may stand behind a literal: its type or language. */
static void skip_type(struct parser *x)
{
	if (x->kind != T_WORD)
		return;
	if (strcmp(str(x->r, x->at), "^^") == 0) {
		next(x);
		if (x->kind == T_IRI)
			next(x);
	} else if (strncmp(str(x->r, x->at), "^^", 2) == 0 || *str(x->r, x->at) == '@') {
		next(x);
	}
}

static int add(struct aff4rdf *r, size_t s, size_t p, size_t o, struct err *e)
{
	void *arr = r->v;

	if (r->n >= AFF4RDF_STATEMENTS_MAX) {
		r->damaged = true;
		return 0;
	}
	if (arr_reserve(&arr, &r->cap, r->n, sizeof(*r->v)) < 0)
		return err_set(e, ERR_NOMEM, "out of memory");
	r->v = arr;
	r->v[r->n++] = (struct aff4_statement){s, p, o};
	return 0;
}

/* Predicates and objects of one subject. False: they make no sense from here on. */
static bool take_statements(struct parser *x, size_t s, int *rc, struct err *e)
{
	while (*rc == 0) {
		size_t p, o;

		if (!take_thing(x, &p))
			return false;
		do {
			if (is_punct(x, ','))
				next(x);
			if (!take_thing(x, &o))
				return false;
			skip_type(x);
			*rc = add(x->r, s, p, o, e);
		} while (*rc == 0 && is_punct(x, ','));
		while (is_punct(x, ';'))
			next(x);
		if (is_punct(x, '.'))
			return true;
	}
	return true;
}

static bool take_prefix(struct parser *x)
{
	size_t name;

	next(x);
	if (x->kind != T_WORD)
		return false;
	name = x->at;
	next(x);
	if (x->kind != T_IRI || x->n_prefixes == PREFIXES_MAX)
		return false;
	x->prefix[x->n_prefixes++] = (struct prefix){name, x->at};
	next(x);
	return true;
}

static bool word_is(const struct parser *x, const char *w)
{
	const char *t = str(x->r, x->at);

	return x->kind == T_WORD && strcasecmp(*t == '@' ? t + 1 : t, w) == 0;
}

int aff4rdf_add(struct aff4rdf *r, const char *text, size_t n, struct err *e)
{
	struct parser *x = calloc(1, sizeof(*x));
	int rc = 0;

	if (!x)
		return err_set(e, ERR_NOMEM, "out of memory");
	x->r = r;
	x->p = text;
	x->end = text + n;
	r->sorted = false;
	next(x);
	while (rc == 0 && x->kind != T_END && !r->text.failed) {
		bool good;
		size_t s;

		if (r->text.n > AFF4RDF_BYTES_MAX) {
			r->damaged = true;
			break;
		}
		if (word_is(x, "prefix") || word_is(x, "base"))
			good = word_is(x, "prefix") && take_prefix(x);
		else
			good = take_thing(x, &s) && take_statements(x, s, &rc, e);
		if (!good) { /* the next statement may be sound */
			r->damaged = true;
			while (x->kind != T_END && !is_punct(x, '.'))
				next(x);
		}
		if (is_punct(x, '.'))
			next(x);
	}
	free(x);
	return rc < 0 ? rc : r->text.failed ? err_set(e, ERR_NOMEM, "out of memory") : 0;
}

void aff4rdf_free(struct aff4rdf *r)
{
	buf_free(&r->text);
	free(r->v);
	memset(r, 0, sizeof(*r));
}

/* ---- questions --------------------------------------------------------------------------------------------------------------------------- */

static int by_subject(const void *a, const void *b, void *ctx)
{
	const struct aff4_statement *x = a, *y = b;
	int c = x->s == y->s ? 0 : strcmp(str(ctx, x->s), str(ctx, y->s));

	return c ? c : x->o < y->o ? -1 : x->o > y->o;
}

size_t aff4rdf_first(struct aff4rdf *r, const char *subject)
{
	size_t lo = 0, hi = r->n;

	if (!r->sorted && r->n)
		qsort_r(r->v, r->n, sizeof(*r->v), by_subject, r);
	r->sorted = true;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(str(r, r->v[mid].s), subject) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < r->n && strcmp(str(r, r->v[lo].s), subject) == 0 ? lo : r->n;
}

const char *aff4rdf_subject(const struct aff4rdf *r, size_t i)
{
	return str(r, r->v[i].s);
}

const char *aff4rdf_object(const struct aff4rdf *r, size_t i)
{
	return str(r, r->v[i].o);
}

bool aff4rdf_is(const struct aff4rdf *r, size_t i, const char *predicate)
{
	const char *p = str(r, r->v[i].p), *local = strrchr(p, '#');

	if (strcmp(p, "a") == 0)
		return strcmp(predicate, "type") == 0;
	for (p = local ? local + 1 : p; *p && *predicate; p++) {
		char c = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;

		if (c == '_')
			continue;
		if (c != *predicate++)
			return false;
	}
	return !*p && !*predicate;
}

const char *aff4rdf_get(struct aff4rdf *r, const char *subject, const char *predicate, unsigned k)
{
	for (size_t i = aff4rdf_first(r, subject); i < r->n && strcmp(str(r, r->v[i].s), subject) == 0; i++)
		if (aff4rdf_is(r, i, predicate) && k-- == 0)
			return str(r, r->v[i].o);
	return NULL;
}
