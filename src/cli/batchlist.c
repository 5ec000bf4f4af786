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
#include "relatives.h"
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

/* Is there a file called name[0, at), these words, and an ending? */
static bool has_as(const char *name, size_t at, const char *words, const char *ending, has_fn *has, const void *ctx)
{
	struct buf b;
	bool found;

	buf_init(&b);
	buf_put(&b, name, at);
	buf_puts(&b, words);
	buf_puts(&b, ending);
	found = !b.failed && strcmp(buf_str(&b), name) != 0 && has(ctx, buf_str(&b));
	buf_free(&b);
	return found;
}

/* The memory of a VMware state file, which is name[0, at) with another ending; either may be packed. */
static bool has_memory(const char *name, size_t at, has_fn *has, const void *ctx)
{
	static const char *const cases[] = {".vmem", ".VMEM", ".vmem.001"};
	bool found = false;

	for (unsigned i = 0; !found && (!i || unwrap_endings[i - 1]); i++)
		for (unsigned k = 0; !found && k < sizeof(cases) / sizeof(cases[0]); k++) {
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

/* The first piece of name[0, plain), a number from the dot at `at` on: .001 or .000, with as many digits, or three (behind .999 comes .1000). All have the same
 * ending of packed files, or none. */
static bool has_first_piece(const char *name, size_t at, size_t plain, has_fn *has, const void *ctx)
{
	size_t digits = plain - at - 1;
	char words[24];

	for (size_t width = digits;; width = 3) {
		bool earlier;

		snprintf(words, sizeof(words), ".%0*d", (int)width, 0);
		earlier = plain != at + width + 1 || strncmp(name + at, words, width + 1) != 0; /* nothing comes before the first */
		if (earlier && has_as(name, at, words, name + plain, has, ctx))
			return true;
		words[width] = '1';
		if (earlier && has_as(name, at, words, name + plain, has, ctx))
			return true;
		if (width <= 3 || name[at + 1] == '0')
			return false;
	}
}

/* Does the file belong to another one that is there: .E02 to .E01, .002 to .001 or .000, .002.gz to .001.gz, .vmss and .vmsn to .vmem? */
static bool is_companion(const char *name, has_fn *has, const void *ctx)
{
	const char *dot = strrchr(name, '.');
	size_t at = dot ? (size_t)(dot - name) : 0, n = dot ? strlen(dot) : 0;
	size_t plain = unwrap_name_length(name), number = plain;

	if (is_state(name, plain))
		return has_memory(name, plain - 5, has, ctx);
	while (number && isdigit((unsigned char)name[number - 1]))
		number--;
	if (plain - number >= 3 && plain - number < 20 && number > 1 && name[number - 1] == '.' && !path_is_sep(name[number - 2]))
		return has_first_piece(name, number - 1, plain, has, ctx);
	if (at == 0 || path_is_sep(name[at - 1]))
		return false;
	if (n == 4 && toupper((unsigned char)dot[1]) >= 'E' && isalpha((unsigned char)dot[1]) && isalnum((unsigned char)dot[2]) &&
	    isalnum((unsigned char)dot[3]) && strcasecmp(dot, ".E01") != 0)
		return has_as(name, at, ".E01", "", has, ctx) || has_as(name, at, ".e01", "", has, ctx);
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

static void add_name(void *ctx, const char *path)
{
	struct dirlist *d = ctx;
	void *arr = d->name;

	if (arr_reserve(&arr, &d->cap, d->n, sizeof(*d->name)) < 0)
		return;
	d->name = arr;
	d->name[d->n] = strdup(path);
	d->n += d->name[d->n] != NULL;
}

/* Those that the names of the folder tell. */
static int named_companions(struct dirlist *d, const char *path, struct err *e)
{
	const char *slash = path_last_sep(path), *base = path_base(path);
	struct dirlist l;
	struct buf b;
	int rc;

	buf_init(&b);
	if (slash)
		buf_put(&b, path, (size_t)(slash - path) + 1);
	rc = b.failed ? nomem(e) : dirlist_read(&l, b.n ? buf_str(&b) : ".", e);
	for (size_t i = 0; rc == 0 && i < l.n; i++) {
		struct buf whole;

		if (l.folder[i] || !is_companion(l.name[i], is_text, base))
			continue;
		buf_init(&whole);
		buf_put(&whole, b.p, b.n);
		buf_puts(&whole, l.name[i]);
		add_name(d, buf_str(&whole));
		if (whole.failed)
			rc = nomem(e);
		buf_free(&whole);
	}
	if (rc == 0)
		dirlist_free(&l);
	buf_free(&b);
	return rc;
}

static int by_pointed(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int batch_companions(struct dirlist *d, const char *path, struct err *e)
{
	const char *base = path_base(path), *dot = strrchr(base, '.');
	size_t plain = unwrap_name_length(base), n = 0;
	int rc = 0;

	memset(d, 0, sizeof(*d));
	if ((plain > 5 && strncasecmp(base + plain - 5, ".vmem", 5) == 0) || (dot && strcasecmp(dot, ".E01") == 0) ||
	    (plain && isdigit((unsigned char)base[plain - 1])))
		rc = named_companions(d, path, e);
	if (rc == 0)
		dump_relatives(path, add_name, d);
	if (rc < 0) {
		dirlist_free(d);
		memset(d, 0, sizeof(*d));
		return rc;
	}
	if (d->n)
		qsort(d->name, d->n, sizeof(*d->name), by_pointed);
	for (size_t i = 0; i < d->n; i++) {
		if (n && strcmp(d->name[n - 1], d->name[i]) == 0)
			free(d->name[i]);
		else
			d->name[n++] = d->name[i];
	}
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

/* Images of the list that another one of it leads to. */
struct led {
	const struct batch_list *l;
	const struct batch_image *from;
	void *paths; /* tree of the texts in l->v that are to go */
	bool failed;
};

static void lead(void *ctx, const char *other)
{
	struct led *t = ctx;
	const char *path = t->from->path;
	struct buf b;
	char **there;

	buf_init(&b);
	buf_put(&b, path, (size_t)(path_base(path) - path)); /* it lies beside it, as the list writes that */
	buf_puts(&b, path_base(other));
	there = b.failed ? NULL : tfind(buf_str(&b), &t->l->paths, by_text);
	t->failed |= b.failed || (there && strcmp(*there, path) != 0 && !tsearch(*there, &t->paths, by_text));
	buf_free(&b);
}

static void keep(void *p)
{
	(void)p; /* the paths belong to the images */
}

int batch_list_settle(struct batch_list *l, struct err *e)
{
	bool *drop = calloc(l->n + 1, sizeof(*drop));
	struct led led = {.l = l};
	size_t n = 0;

	if (!drop)
		return nomem(e);
	for (size_t i = 0; i < l->n; i++)
		drop[i] = is_companion(l->v[i].path, in_list, l);
	for (size_t i = 0; i < l->n; i++) {
		led.from = &l->v[i];
		if (!drop[i] && l->v[i].state == BATCH_WAITING && !tfind(l->v[i].path, &led.paths, by_text))
			dump_relatives(l->v[i].path, lead, &led);
	}
	for (size_t i = 0; i < l->n; i++)
		drop[i] |= tfind(l->v[i].path, &led.paths, by_text) != NULL;
	tdestroy(led.paths, keep);
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
	return led.failed ? nomem(e) : 0;
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
