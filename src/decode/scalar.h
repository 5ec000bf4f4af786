/* scalar.h - one value of a TDH in-type from a payload. TraceLogging, manifests and TRACE_EVENT_INFO share these types. */
#ifndef ETLIFT_SCALAR_H
#define ETLIFT_SCALAR_H

#include "value.h"

enum tdh_in { /* TDH_IN_TYPE; TraceLogging uses 1 .. 25 */
	      IN_NULL = 0,
	      IN_UNICODESTRING,
	      IN_ANSISTRING,
	      IN_INT8,
	      IN_UINT8,
	      IN_INT16,
	      IN_UINT16,
	      IN_INT32,
	      IN_UINT32,
	      IN_INT64,
	      IN_UINT64,
	      IN_FLOAT,
	      IN_DOUBLE,
	      IN_BOOLEAN,
	      IN_BINARY,
	      IN_GUID,
	      IN_POINTER,
	      IN_FILETIME,
	      IN_SYSTEMTIME,
	      IN_SID,
	      IN_HEXINT32,
	      IN_HEXINT64,
	      IN_COUNTEDSTRING,     /* u16 bytes, UTF-16 */
	      IN_COUNTEDANSISTRING, /* u16 bytes */
	      IN_STRUCT,
	      IN_COUNTEDBINARY, /* u16 bytes */
	      IN_MOF_COUNTEDSTRING = 300,
	      IN_MOF_COUNTEDANSISTRING,
	      IN_MOF_REVERSEDCOUNTEDSTRING, /* the u16 is big endian */
	      IN_MOF_REVERSEDCOUNTEDANSISTRING,
	      IN_MOF_NONNULLTERMINATEDSTRING, /* the rest of the payload */
	      IN_MOF_NONNULLTERMINATEDANSISTRING,
	      IN_MOF_UNICODECHAR,
	      IN_MOF_ANSICHAR,
	      IN_MOF_SIZET,
	      IN_MOF_HEXDUMP, /* u32 bytes */
	      IN_MOF_WBEMSID  /* nothing, or two pointers and a SID */
};

enum tdh_out { /* TDH_OUT_TYPE, as manifests number them */
	       OUT_NULL = 0,
	       OUT_STRING,
	       OUT_DATETIME,
	       OUT_BYTE,
	       OUT_UNSIGNEDBYTE,
	       OUT_SHORT,
	       OUT_UNSIGNEDSHORT,
	       OUT_INT,
	       OUT_UNSIGNEDINT,
	       OUT_LONG,
	       OUT_UNSIGNEDLONG,
	       OUT_FLOAT,
	       OUT_DOUBLE,
	       OUT_BOOLEAN,
	       OUT_GUID,
	       OUT_HEXBINARY,
	       OUT_HEXINT8,
	       OUT_HEXINT16,
	       OUT_HEXINT32,
	       OUT_HEXINT64,
	       OUT_PID,
	       OUT_TID,
	       OUT_PORT,
	       OUT_IPV4,
	       OUT_IPV6,
	       OUT_SOCKETADDRESS,
	       OUT_CIMDATETIME,
	       OUT_ETWTIME,
	       OUT_XML,
	       OUT_ERRORCODE,
	       OUT_WIN32ERROR,
	       OUT_NTSTATUS,
	       OUT_HRESULT,
	       OUT_CULTURE_INSENSITIVE_DATETIME,
	       OUT_JSON,
	       OUT_UTF8,
	       OUT_PKCS7,
	       OUT_CODE_POINTER,
	       OUT_DATETIME_UTC
};

/* Values of one event, with the structs they stand in: types of no size in arrays of arrays would have no end. Each takes a byte of the payload, under at
 * most eight structs of its own, or is one of the definition's fields. */
#define VALUES_MAX(payload) ((payload)*9u + 2048u)

/* A payload being read. */
struct cursor {
	struct arena *arena;
	const uint8_t *p;
	uint32_t n, off;
	uint32_t values;       /* made so far; readers of structs count theirs too */
	unsigned pointer_size; /* 4 or 8 */
	const char *why;       /* set on failure: one phrase */
};

/* False, with the reason: one value too many. */
bool scalar_count(struct cursor *c);

/* Reads one value. `length`: bytes (or, for strings, characters) when the definition gives one; UINT32_MAX: none. False: does not fit. */
bool scalar_read(struct cursor *c, unsigned in, unsigned out, uint32_t length, struct dval *v);

/* Bytes that one value of this in-type takes, when that is fixed; 0 otherwise. */
uint32_t scalar_fixed_size(unsigned in, unsigned pointer_size);

#endif
