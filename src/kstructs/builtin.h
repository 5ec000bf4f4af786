/* builtin.h - what is compiled in: the JSON files of profiles/, packed one by one, and an index by PDB GUID-age (written by tools/embed.c at build
 * time). Nothing is unpacked but what is asked for. */
#ifndef ETLIFT_BUILTIN_H
#define ETLIFT_BUILTIN_H

#include "buf.h"
#include "err.h"
#include "profile.h"

struct builtin_file {     /* generated */
	const char *name; /* "19041-x64", without .json */
	const unsigned char *packed;
	uint32_t packed_size, size; /* zlib stream; bytes unpacked */
};

struct builtin_id { /* generated; sorted by GUID bytes, then age */
	uint8_t guid[16];
	uint32_t age;
	uint32_t file;
};

extern const struct builtin_file profiles_data_file[];
extern const size_t profiles_data_files;
extern const struct builtin_file profiles_data_builds;
extern const struct builtin_id profiles_data_id[];
extern const size_t profiles_data_ids;

size_t builtin_count(void); /* profile files, sorted by name; builds.json is not one of them */
const char *builtin_name(size_t i);
bool builtin_build(size_t i, uint32_t *build, enum vm_arch *arch);
int builtin_text(size_t i, struct buf *out, struct err *e);
int builtin_builds(struct buf *out, struct err *e);

/* The file that has this kernel; false: none. */
bool builtin_find(const struct guid *guid, uint32_t age, size_t *file);

#endif
