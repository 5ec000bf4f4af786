/* batchlist.c - see batchlist.h */
#include "batchlist.h"

#include <ctype.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dirlist.h"
#include "input.h"
#include "path.h"
#include "unwrap.h"

#define LIST_BYTES_MAX ((uint64_t)64 << 20)
#define FOLDER_MAX     100 /* bytes of a folder's name, before -2 */

static int nomem(struct err *e)
{
	return err_set(e, ERR_NOMEM, "out of memory");
}

/* ---- which images -------------------------------------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int add_path(struct batch_list *l, const char *path, struct err *e)
{
	void *arr = l->v;
	struct batch_image *im;
	struct input *in;
	char *copy;

	if (tfind(path, &l->paths, by_text))
		return 0;
	if (l->n >= BATCH_IMAGES_MAX)
		return err_set(e, ERR_LIMIT, "more than %u images", BATCH_IMAGES_MAX);
	copy = strdup(path);
	if (!copy || arr_reserve(&arr, &l->cap, l->n, sizeof(*l->v)) < 0 || !tsearch(copy, &l->paths, by_text)) {
		if (arr)
			l->v = arr;
		free(copy);
		return nomem(e);
	}
	l->v = arr;
	im = &l->v[l->n++];
	memset(im, 0, sizeof(*im));
	im->path = copy;
	if (input_open(&in, path, NULL) == 0) {
		im->bytes = input_size(in);
		input_close(in);
	}
	return 0;
}

/* A folder that can't be walked is one failure among the images, and no reason to leave the others. */
static int add_failed(struct batch_list *l, const char *path, const struct err *why, struct err *e)
{
	size_t n = l->n;
	int rc = add_path(l, path, e);

	if (rc == 0 && l->n > n) {
		l->v[n].state = BATCH_ENDED;
		l->v[n].exit = EXIT_INPUT;
		snprintf(l->v[n].error, sizeof(l->v[n].error), "%s", why->msg);
	}
	return rc;
}

typedef bool has_fn(const void *ctx, const char *name);

static bool has_as(const char *name, size_t dot, const char *ending, has_fn *has, const void *ctx)
{
	size_t n = strlen(name);
	struct buf b;
	bool found;

	buf_init(&b);
	buf_put(&b, name, dot);
	buf_puts(&b, ending);
	found = !b.failed && b.n == n && strcmp(buf_str(&b), name) != 0 && has(ctx, buf_str(&b));
	buf_free(&b);
	return found;
}

/* The memory of a VMware state file, which is name[0, at) with another ending; either may be packed. */
static bool has_memory(const char *name, size_t at, has_fn *has, const void *ctx)
{
	static const char *const cases[] = {".vmem", ".VMEM"};
	bool found = false;

	for (unsigned i = 0; !found && (!i || unwrap_endings[i - 1]); i++)
		for (unsigned k = 0; !found && k < 2; k++) {
			struct buf b;

			buf_init(&b);
			buf_put(&b, name, at);
			buf_puts(&b, cases[k]);
			buf_puts(&b, i ? unwrap_endings[i - 1] : "");
			found = !b.failed && has(ctx, buf_str(&b));
			buf_free(&b);
		}
	return found;
}

static bool is_state(const char *name, size_t n)
{
	return n > 5 && !path_is_sep(name[n - 6]) &&
	       (strncasecmp(name + n - 5, ".vmss", 5) == 0 || strncasecmp(name + n - 5, ".vmsn", 5) == 0);
}

/* Does the file belong to another one that is there: .E02 to .E01, .002 to .001 or .000, .vmss and .vmsn to .vmem? */
static bool is_companion(const char *name, has_fn *has, const void *ctx)
{
	const char *dot = strrchr(name, '.');
	size_t at = dot ? (size_t)(dot - name) : 0, n = dot ? strlen(dot) : 0;
	size_t plain = unwrap_name_length(name);
	char ending[24];

	if (is_state(name, plain))
		return has_memory(name, plain - 5, has, ctx);
	if (at == 0 || path_is_sep(name[at - 1]) || n >= sizeof(ending) || n < 4)
		return false;
	if (strspn(dot + 1, "0123456789") == n - 1) {
		memset(ending, '0', n);
		ending[0] = '.';
		ending[n] = 0;
		if (strcmp(dot, ending) == 0)
			return false;
		if (has_as(name, at, ending, has, ctx))
			return true;
		ending[n - 1] = '1';
		return has_as(name, at, ending, has, ctx);
	}
	if (n == 4 && toupper((unsigned char)dot[1]) >= 'E' && isalpha((unsigned char)dot[1]) && isalnum((unsigned char)dot[2]) &&
	    isalnum((unsigned char)dot[3]) && strcasecmp(dot, ".E01") != 0)
		return has_as(name, at, ".E01", has, ctx) || has_as(name, at, ".e01", has, ctx);
	return false;
}

static int by_name(const void *key, const void *elem)
{
	return strcmp(key, *(char *const *)elem);
}

static bool in_folder(const void *ctx, const char *name)
{
	const struct dirlist *d = ctx;

	return d->n && bsearch(name, d->name, d->n, sizeof(*d->name), by_name);
}

static bool in_list(const void *ctx, const char *name)
{
	const struct batch_list *l = ctx;

	return tfind(name, &l->paths, by_text) != NULL;
}

static bool is_text(const void *ctx, const char *name)
{
	return strcmp(ctx, name) == 0;
}

int batch_companions(struct dirlist *d, const char *path, struct err *e)
{
	const char *slash = path_last_sep(path), *base = path_base(path);
	const char *dot = strrchr(base, '.');
	size_t n = 0, plain = unwrap_name_length(base);
	bool vmem = plain > 5 && strncasecmp(base + plain - 5, ".vmem", 5) == 0;
	struct buf b;
	int rc;

	memset(d, 0, sizeof(*d));
	if (!vmem && (!dot || (strcasecmp(dot, ".E01") != 0 && !isdigit((unsigned char)dot[1]))))
		return 0;
	buf_init(&b);
	if (slash)
		buf_put(&b, path, (size_t)(slash - path) + 1);
	rc = b.failed ? nomem(e) : dirlist_read(d, b.n ? buf_str(&b) : ".", e);
	for (size_t i = 0; rc == 0 && i < d->n; i++) {
		struct buf whole;

		if (d->folder[i] || !is_companion(d->name[i], is_text, base))
			continue;
		buf_init(&whole);
		buf_put(&whole, b.p, b.n);
		buf_puts(&whole, d->name[i]);
		free(d->name[i]);
		d->name[i] = d->name[n];
		d->name[n++] = strdup(buf_str(&whole));
		if (whole.failed || !d->name[n - 1])
			rc = nomem(e);
		buf_free(&whole);
	}
	buf_free(&b);
	if (rc < 0) {
		dirlist_free(d);
		return rc;
	}
	for (size_t i = n; i < d->n; i++)
		free(d->name[i]);
	d->n = n;
	return 0;
}

struct level { /* a folder that is being walked */
	struct dirlist d;
	size_t next;
	char *path;
};

/* Opens a folder for walking; one that can't be, and one that leads back into itself or into the output, costs nothing but itself. */
static int enter(struct batch_list *l, struct level *v, unsigned *n, const char *path, struct err *e)
{
	struct err why;

	if (l->skip && path_same(l->skip, path))
		return 0;
	for (unsigned i = 0; i < *n; i++)
		if (path_same(v[i].path, path))
			return 0;
	if (*n == BATCH_DEPTH) {
		err_set(&why, ERR_LIMIT, "%s: folders deeper than %d", path, BATCH_DEPTH);
		return add_failed(l, path, &why, e);
	}
	v[*n].next = 0;
	v[*n].path = strdup(path);
	if (!v[*n].path)
		return nomem(e);
	if (dirlist_read(&v[*n].d, path, &why) < 0) {
		free(v[*n].path);
		return add_failed(l, path, &why, e);
	}
	(*n)++;
	return 0;
}

static int walk(struct batch_list *l, const char *path, struct err *e)
{
	struct level v[BATCH_DEPTH];
	unsigned n = 0;
	int rc = enter(l, v, &n, path, e);

	while (rc == 0 && n) {
		struct level *top = &v[n - 1];
		struct buf b;
		size_t i = top->next++;

		if (i >= top->d.n) {
			dirlist_free(&top->d);
			free(top->path);
			n--;
			continue;
		}
		buf_init(&b);
		buf_printf(&b, "%s%s%s", top->path, path_is_sep(top->path[strlen(top->path) - 1]) ? "" : "/", top->d.name[i]);
		if (b.failed)
			rc = nomem(e);
		else if (top->d.folder[i])
			rc = enter(l, v, &n, buf_str(&b), e);
		else if (top->d.name[i][0] != '.' && !is_companion(top->d.name[i], in_folder, &top->d))
			rc = add_path(l, buf_str(&b), e);
		buf_free(&b);
	}
	while (n) {
		dirlist_free(&v[--n].d);
		free(v[n].path);
	}
	return rc;
}

int batch_list_add(struct batch_list *l, const char *word, struct err *e)
{
	struct dirlist d;
	int rc;

	if (path_is_folder(word))
		return walk(l, word, e);
	if (path_is_file(word) || !strpbrk(word, "*?["))
		return add_path(l, word, e);
	rc = dirlist_glob(&d, word, e);
	if (rc < 0)
		return rc;
	if (d.n == 0)
		rc = add_path(l, word, e); /* nothing fits: it fails under this name */
	for (size_t i = 0; rc == 0 && i < d.n; i++)
		rc = d.folder[i] ? walk(l, d.name[i], e) : add_path(l, d.name[i], e);
	dirlist_free(&d);
	return rc;
}

char *batch_read_text(const char *path, uint64_t max, size_t *n, struct err *e)
{
	struct input *in;
	char *p = NULL;

	if (input_open(&in, path, e) < 0)
		return NULL;
	*n = (size_t)input_size(in);
	if (input_size(in) > max)
		err_set(e, ERR_LIMIT, "%s: too big", path);
	else if (!(p = malloc(*n + 1)))
		nomem(e);
	else if (input_read_all(in, 0, p, *n, e) < 0) {
		free(p);
		p = NULL;
	}
	if (p)
		p[*n] = 0;
	input_close(in);
	return p;
}

int batch_list_file(struct batch_list *l, const char *path, struct err *e)
{
	char *line, *stop;
	struct buf b;
	int rc;

	buf_init(&b);
	rc = input_slurp(&b, path, LIST_BYTES_MAX, e);
	buf_u8(&b, '\n');
	if (rc == 0 && b.failed)
		rc = nomem(e);
	line = (char *)b.p;
	stop = b.p ? line + b.n : line;
	while (rc == 0 && line < stop) {
		char *end = memchr(line, '\n', (size_t)(stop - line)), *next = end + 1;

		if (end > line && end[-1] == '\r')
			end--;
		*end = 0;
		if (*line && *line != '#')
			rc = batch_list_add(l, line, e);
		line = next;
	}
	buf_free(&b);
	return rc;
}

int batch_list_settle(struct batch_list *l, struct err *e)
{
	bool *drop = calloc(l->n + 1, sizeof(*drop));
	size_t n = 0;

	if (!drop)
		return nomem(e);
	for (size_t i = 0; i < l->n; i++)
		drop[i] = is_companion(l->v[i].path, in_list, l);
	for (size_t i = 0; i < l->n; i++) {
		if (drop[i]) {
			tdelete(l->v[i].path, &l->paths, by_text);
			free(l->v[i].path);
		} else {
			l->v[n++] = l->v[i];
		}
	}
	l->n = n;
	free(drop);
	return 0;
}

struct name {          /* a folder's name that is given out */
	unsigned next; /* number to try when it is wanted again */
	char text[FOLDER_MAX + 16];
};

static int by_name_text(const void *a, const void *b)
{
	return strcasecmp(((const struct name *)a)->text, ((const struct name *)b)->text); /* some file systems take them for one */
}

/* The base name of a path, as a folder's name on any system. */
static void base_name(struct name *out, const char *path)
{
	const char *base = path_base(path);
	size_t n = 0;

	for (; base[n] && n < FOLDER_MAX; n++)
		out->text[n] = (char)(isalnum((unsigned char)base[n]) || strchr("._-", base[n]) ? base[n] : '_');
	out->text[n] = 0;
	if (!n)
		snprintf(out->text, sizeof(out->text), "_");
	else if (out->text[0] == '.' || path_is_device(out->text))
		out->text[0] = '_';
	if (n && out->text[n - 1] == '.')
		out->text[n - 1] = '_';
	out->next = 2;
}

static int give_name(void **names, struct batch_image *im, struct err *e)
{
	struct name *n = malloc(sizeof(*n)), *first = NULL;
	size_t len;

	if (!n)
		return nomem(e);
	base_name(n, im->path);
	len = strlen(n->text);
	for (;;) {
		void *at = tsearch(n, names, by_name_text);
		struct name *there = at ? *(struct name **)at : NULL;

		if (!there || there == n) {
			im->folder = there ? strdup(n->text) : NULL;
			if (!there)
				free(n);
			return im->folder ? 0 : nomem(e);
		}
		first = first ? first : there;
		snprintf(n->text + len, sizeof(n->text) - len, "-%u", first->next++);
	}
}

int batch_list_names(struct batch_list *l, struct err *e)
{
	static const char *const ours[] = {"batch.json", "batch.csv"};
	void *names = NULL;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < 2; i++) {
		struct batch_image im = {.path = (char *)(uintptr_t)ours[i]};

		rc = give_name(&names, &im, e);
		free(im.folder);
	}
	for (size_t i = 0; rc == 0 && i < l->n; i++)
		rc = give_name(&names, &l->v[i], e);
	tdestroy(names, free);
	return rc;
}

static void keep(void *p)
{
	(void)p; /* the paths belong to the images */
}

void batch_list_free(struct batch_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->v[i].path);
		free(l->v[i].folder);
	}
	free(l->v);
	tdestroy(l->paths, keep);
	l->paths = NULL;
}
