/* object.h - handle tables and object types. */
#ifndef ETLIFT_OBJECT_H
#define ETLIFT_OBJECT_H

#include "process.h"

#define HANDLES_MAX      (1u << 24) /* handles of one table, the kernel's own limit */
#define OBJECT_TYPES_MAX 256        /* a type index is one byte */

struct object_ref {
	uint64_t body;    /* address of the object's body */
	uint64_t process; /* _EPROCESS whose table holds the handle */
	uint64_t pid;
	uint32_t handle;
};

/* Called for each handle; a negative answer ends the walk and is passed on. */
typedef int object_fn(void *ctx, const struct object_ref *o);

/* Handles of all processes in `procs` on objects whose type has this name ("EtwConsumer"). An object that several handles lead to comes once per
 * handle. 0, ERR_NOTFOUND (no such type, or types can't be told on this kernel), ERR_NOMEM, or what fn answered. Broken tables are notes. */
int objects_find(const struct kernel *k, const struct process_list *procs, const char *type, object_fn *fn, void *ctx);

/* Index of the type with this name, by the symbol that points to it or ObTypeIndexTable. */
bool object_type_index(const struct kernel *k, const char *type, uint8_t *index);

/* Type index of the object at body, decoded. */
bool object_index_of(const struct kernel *k, uint64_t body, uint8_t *index);

#endif
