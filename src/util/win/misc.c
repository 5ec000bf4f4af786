/* misc.c - what win.h has besides files */
#include "winpath.h"

#undef signal

/* A console handler is called in a thread of its own, once. */
int win_sigaction(int sig, const struct sigaction *sa, struct sigaction *old)
{
	(void)old;
	return win_signal(sig, sa->sa_handler) == SIG_ERR ? -1 : 0;
}

void (*win_signal(int sig, void (*handler)(int)))(int)
{
	if (sig == SIGPIPE || sig == SIGXFSZ) /* a write that can't be done fails, which is what SIG_IGN is wanted for */
		return SIG_DFL;
	return signal(sig, handler);
}

long win_sysconf(int name)
{
	SYSTEM_INFO si;

	(void)name;
	GetSystemInfo(&si);
	return (long)si.dwNumberOfProcessors;
}

char *win_strndup(const char *s, size_t n)
{
	size_t k = strnlen(s, n);
	char *p = malloc(k + 1);

	if (p) {
		memcpy(p, s, k);
		p[k] = 0;
	}
	return p;
}

static void spare_swap(char **a, char **b)
{
	char *t = *a;

	*a = *b;
	*b = t;
}

/* Runs of `run` sorted elements become runs of twice as many, from one half of the memory to the other. */
void win_qsort_r(void *v, size_t n, size_t size, win_compare_fn *compare, void *ctx)
{
	char *from = v, *spare, *to;

	if (n < 2 || size == 0)
		return;
	spare = calloc(n, size);
	if (!spare)
		abort();
	to = spare;
	for (size_t run = 1; run<n; run = run> n / 2 ? n : 2 * run) {
		for (size_t at = 0; at < n;) {
			size_t a = at, a_end = n - at > run ? at + run : n, b = a_end, b_end = n - a_end > run ? a_end + run : n;

			for (size_t i = at; i < b_end; i++) {
				bool left = a < a_end && (b == b_end || compare(from + a * size, from + b * size, ctx) <= 0);

				memcpy(to + i * size, from + (left ? a++ : b++) * size, size);
			}
			at = b_end;
		}
		spare_swap(&from, &to);
	}
	if (from != v)
		memcpy(v, from, n * size);
	free(spare);
}

struct plain {
	int (*compare)(const void *a, const void *b);
};

static int compare_plain(const void *a, const void *b, void *ctx)
{
	return ((const struct plain *)ctx)->compare(a, b);
}

void win_qsort(void *v, size_t n, size_t size, int (*compare)(const void *a, const void *b))
{
	struct plain p = {compare};

	win_qsort_r(v, n, size, compare_plain, &p);
}

/* The left child is lifted until there is none: no recursion. */
void tdestroy(void *root, void (*drop)(void *key))
{
	struct node {
		void *key;
		struct node *llink, *rlink;
	} *at = root;

	while (at) {
		struct node *left = at->llink, *next = at->rlink;

		if (left) {
			at->llink = left->rlink;
			left->rlink = at;
			at = left;
			continue;
		}
		drop(at->key);
		free(at);
		at = next;
	}
}
