/* task.c - see task.h */
#include "task.h"

#include <stddef.h>

static void *run(void *arg)
{
	struct task *t = arg;

	t->fn(t->ctx);
	return NULL;
}

void task_start(struct task *t, void (*fn)(void *ctx), void *ctx)
{
	t->fn = fn;
	t->ctx = ctx;
	t->started = pthread_create(&t->thread, NULL, run, t) == 0;
}

void task_wait(struct task *t)
{
	if (t->started)
		pthread_join(t->thread, NULL);
	else
		t->fn(t->ctx);
}
