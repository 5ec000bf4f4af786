/* wpp.c - see wpp.h. Formats follow FormatMessage: %N!spec!, spec as for printf; %0 stands where the tools put their own prefix; %!NAME! is what the
 * compiler knew. */
#include "wpp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jsonl.h"

#define WIDTH_MAX 200

struct render {
	const struct event *ev;
	const struct tmf_message *m;
	const struct dval *data; /* the arguments */
	struct buf *out;
};

static void put_str(struct render *r, const char *s)
{
	buf_puts(r->out, s ? s : "");
}

/* As the JSON prints it, without quotes. */
static void put_value(struct render *r, const struct dval *v)
{
	size_t from = r->out->n;

	if (v->type == DV_TEXT) {
		buf_put(r->out, v->text, v->n);
		return;
	}
	json_value(r->out, v);
	if (r->out->n >= from + 2 && r->out->p[from] == '"' && !r->out->failed) {
		memmove(r->out->p + from, r->out->p + from + 1, r->out->n - from - 2);
		r->out->n -= 2;
	}
}

static bool is_number(const struct dval *v)
{
	return v->type == DV_INT || v->type == DV_UINT || v->type == DV_HEX;
}

/* Flags, width and precision of a printf-like spec, in bounds, and its letter. */
struct spec {
	char flags[6];
	int width, precision; /* -1: none */
	char letter;
};

static struct spec spec_of(const char *s, size_t n)
{
	struct spec p = {.width = -1, .precision = -1};
	size_t i = 0, k = 0;
	int *to = &p.width;

	for (; i < n && strchr("-+ #0", s[i]); i++)
		if (k < sizeof(p.flags) - 1 && !strchr(p.flags, s[i]))
			p.flags[k++] = s[i];
	for (; i < n && ((s[i] >= '0' && s[i] <= '9') || s[i] == '.'); i++) {
		if (s[i] == '.')
			to = &p.precision;
		*to = (*to < 0 ? 0 : *to) * 10 + (s[i] == '.' ? 0 : s[i] - '0');
		*to = *to > WIDTH_MAX ? WIDTH_MAX : *to;
	}
	p.letter = n ? s[n - 1] : 's';
	return p;
}

/* The number of digits that %p has there. */
static void put_pointer(struct render *r, uint64_t u)
{
	buf_printf(r->out, "%0*llX", (int)r->ev->pointer_size * 2, (unsigned long long)u);
}

static void put_number(struct render *r, const struct dval *v, struct spec p)
{
	char format[24], text[WIDTH_MAX + 32];
	bool is_float = strchr("eEfgG", p.letter) != NULL;
	int n;

	snprintf(format, sizeof(format), "%%%s*.*%s%c", p.flags, is_float ? "" : "ll", p.letter == 'i' ? 'd' : p.letter);
	if (p.width < 0)
		p.width = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (is_float)
		n = snprintf(text, sizeof(text), format, p.width, p.precision > 20 ? 20 : p.precision, v->d);
	else
		n = snprintf(text, sizeof(text), format, p.width, p.precision, (unsigned long long)v->u);
#pragma GCC diagnostic pop
	if (n < 0)
		return;
	buf_put(r->out, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static void put_padded(struct render *r, const struct dval *v, struct spec p)
{
	size_t from = r->out->n, n;

	put_value(r, v);
	n = r->out->n - from;
	if (p.width > 0 && n < (size_t)p.width && !r->out->failed) {
		buf_fill(r->out, ' ', (size_t)p.width - n);
		if (!strchr(p.flags, '-') && !r->out->failed) {
			memmove(r->out->p + from + (size_t)p.width - n, r->out->p + from, n);
			memset(r->out->p + from, ' ', (size_t)p.width - n);
		}
	}
}

static void put_argument(struct render *r, const struct dval *v, struct spec p)
{
	if (p.letter == 'p' && is_number(v))
		put_pointer(r, v->u);
	else if ((strchr("diuxXo", p.letter) && is_number(v)) ||
		 (strchr("eEfgG", p.letter) && (v->type == DV_DOUBLE || v->type == DV_FLOAT)))
		put_number(r, v, p);
	else
		put_padded(r, v, p);
}

/* %1 .. %9 ("Trace message prefix", Microsoft Learn); what is not known is left out. */
static void put_header(struct render *r, unsigned n)
{
	const struct event *ev = r->ev;

	if (n == 1)
		put_str(r, r->m->module);
	else if (n == 2)
		put_str(r, r->m->place);
	else if (n == 3 && ev->has_pid)
		buf_printf(r->out, "%04X", ev->tid);
	else if (n == 7 && ev->has_wpp_sequence)
		buf_printf(r->out, "%u", ev->wpp_sequence);
	else if (n == 8 && ev->has_pid)
		buf_printf(r->out, "%04X", ev->pid);
	else if (n == 9 && ev->has_cpu)
		buf_printf(r->out, "%u", ev->cpu);
}

/* %N or %N!spec! at p (behind the %). Returns where the format goes on. */
static const char *put_numbered(struct render *r, const char *p)
{
	char *end;
	unsigned long n = strtoul(p, &end, 10);
	const char *close = *end == '!' ? strchr(end + 1, '!') : NULL;
	struct spec s = close ? spec_of(end + 1, (size_t)(close - end - 1)) : spec_of("", 0);

	p = close ? close + 1 : end;
	if (n == 0)
		return *p == ' ' ? p + 1 : p;
	if (n < TMF_FIRST_ARG)
		put_header(r, (unsigned)n);
	for (uint32_t i = 0; i < r->m->schema.n_fields; i++)
		if (r->m->arg[i] == n)
			put_argument(r, &r->data->fields[i].v, s);
	return p;
}

/* %!NAME!: what stands for it; unknown names stay as they are. */
static const char *put_named(struct render *r, const char *p)
{
	const char *close = strchr(p + 1, '!');
	size_t n = close ? (size_t)(close - p - 1) : 0;
	const struct {
		const char *name, *text;
	} known[] = {{"FUNC", r->m->function},  {"LEVEL", r->m->level}, {"FLAGS", r->m->flags},
		     {"KEYWORDS", r->m->flags}, {"FILE", r->m->file},   {"MODULE", r->m->module}};

	for (size_t i = 0; n && i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i].name) == n && strncasecmp(known[i].name, p + 1, n) == 0) {
			put_str(r, known[i].text);
			return close + 1;
		}
	buf_puts(r->out, "%!");
	return p + 1;
}

static struct dval message(struct render *r, struct arena *a)
{
	for (const char *p = r->m->format; *p && r->out->n < WPP_MESSAGE_MAX && !r->out->failed;) {
		size_t n = strcspn(p, "%");

		buf_put(r->out, p, n);
		p += n;
		if (!*p)
			break;
		p++;
		if (*p >= '0' && *p <= '9') {
			p = put_numbered(r, p);
		} else if (*p == '!') {
			p = put_named(r, p);
		} else {
			buf_puts(r->out, "%");
			p += *p == '%';
		}
	}
	return dv_text(a, (const char *)r->out->p, r->out->n < WPP_MESSAGE_MAX ? r->out->n : WPP_MESSAGE_MAX);
}

bool wpp_decode(struct event *ev, const struct tmf_message *m, struct arena *a, struct buf *scratch)
{
	struct render r = {.ev = ev, .m = m, .out = scratch};
	struct dfield *f;
	struct dval args;

	ev->provider_name = m->module;
	ev->name = m->function;
	if (m->broken) {
		ev->reason = m->broken;
		return false;
	}
	if (!schema_decode(ev, &m->schema, a))
		return false;
	args = ev->data;
	ev->data.type = DV_NULL;
	f = arena_alloc(a, (args.n + 1) * sizeof(*f));
	buf_clear(scratch);
	r.data = &args;
	if (f) {
		f[0].name = "message";
		f[0].v = message(&r, a);
	}
	if (!f || f[0].v.type != DV_TEXT) {
		ev->reason = "out of memory";
		return false;
	}
	memcpy(f + 1, args.fields, args.n * sizeof(*f));
	ev->data.type = DV_STRUCT;
	ev->data.n = args.n + 1;
	ev->data.fields = f;
	return true;
}
