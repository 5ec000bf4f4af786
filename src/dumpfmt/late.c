/* late.c - see late.h */
#include "late.h"

#include <stdlib.h>

int late_init(struct late *l, uint64_t n_pieces, struct err *e)
{
	l->bad = n_pieces / 8 < SIZE_MAX ? calloc(1, (size_t)(n_pieces / 8 + 1)) : NULL;
	if (!l->bad)
		return err_set(e, ERR_NOMEM, "out of memory");
	l->n = n_pieces;
	pthread_mutex_init(&l->lock, NULL);
	return 0;
}

void late_free(struct late *l)
{
	if (!l->bad)
		return;
	pthread_mutex_destroy(&l->lock);
	free(l->bad);
	l->bad = NULL;
}

void late_hit(struct late *l, uint64_t piece, uint64_t place)
{
	if (piece >= l->n)
		return;
	pthread_mutex_lock(&l->lock);
	if (!(l->bad[piece / 8] >> piece % 8 & 1)) {
		l->bad[piece / 8] |= (uint8_t)(1u << piece % 8);
		if (!l->n_bad++ || place < l->first)
			l->first = place;
	}
	pthread_mutex_unlock(&l->lock);
}

void late_tell(struct late *l, struct notes *notes, const char *container, const char *what)
{
	pthread_mutex_lock(&l->lock);
	if (l->n_bad != l->n_told)
		notes_add(notes, &NOTE_AT(NOTE_CONTEXT_BAD, l->first, 0), "%s: %llu %s, the first at file offset %llu", container,
			  (unsigned long long)l->n_bad, what, (unsigned long long)l->first);
	l->n_told = l->n_bad;
	pthread_mutex_unlock(&l->lock);
}
