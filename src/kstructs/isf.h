/* isf.h - reads an ISF symbol table (Volatility 3's "intermediate symbol format", schema 4 to 6, JSON): what our profiles need of it.
 *
 * Type sizes, member offsets and bit fields of fields.def, symbol addresses of symbols.def (they are RVAs in an ISF of a Windows kernel), PDB
 * name, GUID and age from metadata.windows.pdb, machine type. Members of anonymous unions and structs count as members of the type that
 * holds them. An ISF has no version: the caller knows the build. The text is already unpacked. */
#ifndef ETLIFT_ISF_H
#define ETLIFT_ISF_H

#include "err.h"
#include "proffile.h"

#define ISF_FILE_MAX       (256u << 20) /* bytes, unpacked; the largest real kernel table has some 20 MB */
#define ISF_ANONYMOUS_MAX  256          /* anonymous members looked into per type */
#define ISF_TYPE_DEPTH_MAX 16           /* array of array of ... */

/* Without metadata.windows.pdb.GUID it is a table of structures only: out->has_guid is false. ERR_NOTMINE: no ISF (no user_types and symbols). ERR_FORMAT with the place. */
int isf_parse(const char *text, size_t n, struct prof_source *out, struct err *e);

#endif
