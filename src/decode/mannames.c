/* mannames.c - names of a manifest (see manmodel.h): an open-addressing table; the type words. */
#include <stdlib.h>
#include <string.h>

#include "manmodel.h"
#include "scalar.h"

struct man_slot {
	const char *name; /* NULL: free */
	void *what;
	uint32_t scope;
	enum man_kind kind;
};

static size_t hash(enum man_kind kind, uint32_t scope, const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ ((uint64_t)scope << 8 | (uint64_t)kind);

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return (size_t)(h ^ h >> 31);
}

static struct man_slot *find(struct man_slot *slot, size_t cap, enum man_kind kind, uint32_t scope, const char *name)
{
	size_t i = hash(kind, scope, name) & (cap - 1);

	while (slot[i].name && (slot[i].kind != kind || slot[i].scope != scope || strcmp(slot[i].name, name) != 0))
		i = (i + 1) & (cap - 1);
	return &slot[i];
}

static int grow(struct man_names *t)
{
	size_t cap = t->cap ? t->cap * 2 : 512;
	struct man_slot *slot = calloc(cap, sizeof(*slot));

	if (!slot)
		return ERR_NOMEM;
	for (size_t i = 0; i < t->cap; i++)
		if (t->slot[i].name)
			*find(slot, cap, t->slot[i].kind, t->slot[i].scope, t->slot[i].name) = t->slot[i];
	free(t->slot);
	t->slot = slot;
	t->cap = cap;
	return 0;
}

int man_names_put(struct man_names *t, enum man_kind kind, uint32_t scope, const char *name, void *what)
{
	struct man_slot *s;

	if (t->n * 2 >= t->cap && grow(t) < 0)
		return ERR_NOMEM;
	s = find(t->slot, t->cap, kind, scope, name);
	if (s->name)
		return 0;
	*s = (struct man_slot){.name = name, .what = what, .scope = scope, .kind = kind};
	t->n++;
	return 0;
}

void *man_names_get(const struct man_names *t, enum man_kind kind, uint32_t scope, const char *name)
{
	return t->cap && name ? find(t->slot, t->cap, kind, scope, name)->what : NULL;
}

void man_names_free(struct man_names *t)
{
	free(t->slot);
	memset(t, 0, sizeof(*t));
}

/* ---- type words -------------------------------------------------------------------------------------------------------------------------- */

struct word {
	const char *word;
	int type;
};

/* Without prefix: some writers say xs:HexInt32 for win:HexInt32. */
static const struct word ins[] = {{"UnicodeString", IN_UNICODESTRING},
				  {"AnsiString", IN_ANSISTRING},
				  {"Int8", IN_INT8},
				  {"UInt8", IN_UINT8},
				  {"Int16", IN_INT16},
				  {"UInt16", IN_UINT16},
				  {"Int32", IN_INT32},
				  {"UInt32", IN_UINT32},
				  {"Int64", IN_INT64},
				  {"UInt64", IN_UINT64},
				  {"Float", IN_FLOAT},
				  {"Double", IN_DOUBLE},
				  {"Boolean", IN_BOOLEAN},
				  {"Binary", IN_BINARY},
				  {"GUID", IN_GUID},
				  {"Pointer", IN_POINTER},
				  {"FILETIME", IN_FILETIME},
				  {"SYSTEMTIME", IN_SYSTEMTIME},
				  {"SID", IN_SID},
				  {"HexInt32", IN_HEXINT32},
				  {"HexInt64", IN_HEXINT64},
				  {"CountedUnicodeString", IN_COUNTEDSTRING},
				  {"CountedAnsiString", IN_COUNTEDANSISTRING},
				  {"CountedBinary", IN_COUNTEDBINARY},
				  {"UnicodeChar", IN_MOF_UNICODECHAR},
				  {"AnsiChar", IN_MOF_ANSICHAR},
				  {"SizeT", IN_MOF_SIZET},
				  {"HexDump", IN_MOF_HEXDUMP},
				  {"WBEMSid", IN_MOF_WBEMSID}};

static const struct word outs[] = {{"string", OUT_STRING},
				   {"dateTime", OUT_DATETIME},
				   {"byte", OUT_BYTE},
				   {"unsignedByte", OUT_UNSIGNEDBYTE},
				   {"short", OUT_SHORT},
				   {"unsignedShort", OUT_UNSIGNEDSHORT},
				   {"int", OUT_INT},
				   {"unsignedInt", OUT_UNSIGNEDINT},
				   {"long", OUT_LONG},
				   {"unsignedLong", OUT_UNSIGNEDLONG},
				   {"float", OUT_FLOAT},
				   {"double", OUT_DOUBLE},
				   {"boolean", OUT_BOOLEAN},
				   {"GUID", OUT_GUID},
				   {"hexBinary", OUT_HEXBINARY},
				   {"HexInt8", OUT_HEXINT8},
				   {"HexInt16", OUT_HEXINT16},
				   {"HexInt32", OUT_HEXINT32},
				   {"HexInt64", OUT_HEXINT64},
				   {"PID", OUT_PID},
				   {"TID", OUT_TID},
				   {"Port", OUT_PORT},
				   {"IPv4", OUT_IPV4},
				   {"IPv6", OUT_IPV6},
				   {"SocketAddress", OUT_SOCKETADDRESS},
				   {"CIMDateTime", OUT_CIMDATETIME},
				   {"ETWTIME", OUT_ETWTIME},
				   {"Xml", OUT_XML},
				   {"ErrorCode", OUT_ERRORCODE},
				   {"Win32Error", OUT_WIN32ERROR},
				   {"NTSTATUS", OUT_NTSTATUS},
				   {"HResult", OUT_HRESULT},
				   {"DateTimeCultureInsensitive", OUT_CULTURE_INSENSITIVE_DATETIME},
				   {"Json", OUT_JSON},
				   {"Utf8", OUT_UTF8},
				   {"Pkcs7WithTypeInfo", OUT_PKCS7},
				   {"CodePointer", OUT_CODE_POINTER},
				   {"DateTimeUtc", OUT_DATETIME_UTC}};

static int type_of(const struct word *w, size_t n, const char *word)
{
	const char *colon = strrchr(word, ':');

	word = colon ? colon + 1 : word;
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(w[i].word, word) == 0)
			return w[i].type;
	return -1;
}

int man_in_type(const char *word)
{
	return type_of(ins, sizeof(ins) / sizeof(ins[0]), word);
}

int man_out_type(const char *word)
{
	return type_of(outs, sizeof(outs) / sizeof(outs[0]), word);
}
