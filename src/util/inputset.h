/* inputset.h - many files that make one image, few of them open at a time: segments are opened when they are read, and the one that was not
 * read for the longest time is closed when there are too many. Safe for concurrent reads once the last file is added. */
#ifndef ETLIFT_INPUTSET_H
#define ETLIFT_INPUTSET_H

#include "input.h"

#define INPUTSET_OPEN_MAX 64    /* files open at a time, beyond those being read at this moment */
#define INPUTSET_MAX      65535 /* files */

struct inputset;

int inputset_new(struct inputset **out, struct err *e);
void inputset_free(struct inputset *s); /* takes NULL; closes what it opened */

/* Adds a file: by path (opened to see that it can be; ERR_IO, ERR_NOIMAGE as input_open()), or one that is open and stays the caller's, which
 * must outlive the set. Returns its number, from 0. */
int inputset_add_path(struct inputset *s, const char *path, struct err *e);
int inputset_add(struct inputset *s, struct input *in, struct err *e);

unsigned inputset_n(const struct inputset *s);
uint64_t inputset_size(const struct inputset *s, unsigned i);
const char *inputset_name(const struct inputset *s, unsigned i);

/* As input_read() and input_read_all() on file i. */
int64_t inputset_read(struct inputset *s, unsigned i, uint64_t off, void *buf, size_t len, struct err *e);
int inputset_read_all(struct inputset *s, unsigned i, uint64_t off, void *buf, size_t len, struct err *e);

#endif
