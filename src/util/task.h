/* task.h - one piece of work beside the caller's own. */
#ifndef ETLIFT_TASK_H
#define ETLIFT_TASK_H

#include <pthread.h>
#include <stdbool.h>

struct task {
	pthread_t thread;
	bool started;
	void (*fn)(void *ctx);
	void *ctx;
};

/* Starts fn(ctx) in a thread; where there is none to be had, task_wait() does the work. What fn touches is its own until task_wait(). */
void task_start(struct task *t, void (*fn)(void *ctx), void *ctx);
void task_wait(struct task *t);

#endif
