/* src/kstructs profiles: the format, hostile files, the built-in set, ISF tables, sources in order. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "builtin.h"
#include "isf.h"
#include "proffile.h"
#include "unpack.h"

static struct guid guid_of(const char *s)
{
	struct guid g;

	cr_assert(guid_parse(s, &g), "%s", s);
	return g;
}

/* ---- the built-in set ---- */
Test(profile, builtin_kernel_by_guid)
{
	struct guid g = guid_of("DCA4AD4BEEB4746D48F84C0125019E43"); /* 18362.836 */
	const char *from = NULL;
	struct profile p;
	struct profset *s;

	cr_assert_eq(profset_new(&s, NULL), 0);
	cr_assert_eq(profset_find(s, &g, 1, 0, &p, &from, NULL), 0);
	cr_assert_str_eq(from, "guid");
	cr_assert_str_eq(p.name, "18362-x64/ntkrnlmp.pdb-DCA4AD4BEEB4746D48F84C0125019E43-1");
	cr_assert_str_eq(p.version, "10.0.18362.836");
	cr_assert_str_eq(p.pdb, "ntkrnlmp.pdb");
	cr_assert(p.has_guid);
	cr_assert_eq(p.build, 18362);
	cr_assert_eq(p.pointer_size, 8);
	cr_assert_eq(prof_off(&p, F_CTX_GlobalList), 0x60); /* layouts.md, group D */
	cr_assert_eq(prof_off(&p, F_SILO_EtwpLoggerContext), 0x1c8);
	cr_assert_eq(prof_size(&p, T_CTX), 0x540);
	cr_assert_not(prof_has(&p, F_SILO_WmipLoggerContext));
	cr_assert(prof_has_symbol(&p, S_EtwpHostSiloState));
	cr_assert_eq(p.symbol[S_PspHostSiloGlobals], 0x58e540u);
	cr_assert_eq(p.field[F_HENTRY_ObjectPointerBits].bit, 20);
	cr_assert_eq(p.field[F_HENTRY_ObjectPointerBits].bits, 44);
	cr_assert_eq(p.traits.handle_object_shift, 20);
	cr_assert(p.traits.partition_record);
	cr_assert(p.traits.vm.has_swizzle);
	cr_assert_eq(profset_find(s, &g, 2, 0, &p, &from, NULL), ERR_NOTFOUND);
	profset_free(s);
}

Test(profile, every_builtin_file_parses_and_every_index_entry_is_in_it)
{
	size_t kernels = 0;

	cr_assert_geq(builtin_count(), 8u);
	for (size_t i = 0; i < builtin_count(); i++) {
		struct proffile *pf;
		struct buf text, again;
		struct err e;
		enum vm_arch arch;
		uint32_t build;

		buf_init(&text);
		buf_init(&again);
		cr_assert_eq(builtin_text(i, &text, &e), 0, "%s", e.msg);
		cr_assert_eq(proffile_parse(&pf, (const char *)text.p, text.n, &e), 0, "%s: %s", builtin_name(i), e.msg);
		cr_assert(builtin_build(i, &build, &arch));
		cr_assert_eq(build, pf->build);
		cr_assert_eq((int)arch, (int)pf->arch);
		for (size_t k = 0; k < pf->n_k; k++) {
			size_t file = SIZE_MAX;

			cr_assert(builtin_find(&pf->k[k].guid, pf->k[k].age, &file));
			cr_assert_eq(file, i);
		}
		kernels += pf->n_k;
		cr_assert_eq(proffile_write(pf, &again, NULL), 0);
		proffile_free(pf);
		cr_assert_eq(proffile_parse(&pf, (const char *)again.p, again.n, &e), 0, "%s", e.msg);
		proffile_free(pf);
		buf_free(&text);
		buf_free(&again);
	}
	cr_assert_eq(kernels, profiles_data_ids);
	cr_assert_eq(kernels, 213u);
}

Test(profile, names_lead_back)
{
	struct profset *s;
	struct profile p;
	uint32_t build = 0, last = 0;
	enum vm_arch arch;
	size_t n = 0;

	cr_assert_eq(profset_new(&s, NULL), 0);
	for (; profset_build_at(s, n, &build, &arch, NULL) == 0; n++) {
		cr_assert_geq(build, last);
		last = build;
		cr_assert_eq(profset_variant(s, build, arch, 0, &p, NULL), 0);
		cr_assert_eq(profset_named(s, p.name, &p, NULL), 0);
		cr_assert_not(p.has_guid);
	}
	cr_assert_geq(n, 8u);
	cr_assert_eq(profset_named(s, "18362-x64/ntkrnlmp.pdb-DCA4AD4BEEB4746D48F84C0125019E43-1", &p, NULL), 0);
	cr_assert(p.has_guid);
	cr_assert_eq(profset_named(s, "18362-x64/nothing", &p, NULL), ERR_NOTFOUND);
	cr_assert_eq(profset_named(s, "18362-x64", &p, NULL), ERR_USAGE); /* two variants: which? */
	cr_assert_eq(profset_named(s, "no such thing", &p, NULL), ERR_NOTFOUND);
	profset_free(s);
}

Test(profile, no_builtin)
{
	struct guid g = guid_of("DCA4AD4BEEB4746D48F84C0125019E43");
	const char *from;
	struct profset *s;
	struct profile p;
	enum vm_arch arch;
	uint32_t build;

	cr_assert_eq(profset_new(&s, NULL), 0);
	profset_disable_builtin_build(s);
	cr_assert_eq(profset_find(s, &g, 1, 18362, &p, &from, NULL), ERR_NOTFOUND);
	cr_assert_eq(profset_variant(s, 18362, VM_X64, 0, &p, NULL), ERR_NOTFOUND);
	cr_assert_eq(profset_variant(s, 19041, VM_X64, 0, &p, NULL), 0);
	for (size_t i = 0; profset_build_at(s, i, &build, &arch, NULL) == 0; i++)
		cr_assert_neq(build, 18362);
	cr_assert_eq(profset_variant(s, 18363, VM_X64, 0, &p, NULL), ERR_NOTFOUND); /* the same family */
	profset_disable_builtin(s);
	cr_assert_eq(profset_variant(s, 19041, VM_X64, 0, &p, NULL), ERR_NOTFOUND);
	cr_assert_eq(profset_build_at(s, 0, &build, &arch, NULL), ERR_NOTFOUND);
	profset_free(s);
}

Test(profile, families_and_order_of_variants)
{
	struct profset *s;
	struct profile p;
	bool structure = false;
	size_t n = 0;

	cr_assert_eq(profset_new(&s, NULL), 0);
	cr_assert_eq(profset_variant(s, 19045, VM_X64, 0, &p, NULL), 0);
	cr_assert_eq(p.build, 19041);
	for (; profset_variant(s, 9600, VM_X64, n, &p, NULL) == 0; n++) {
		bool by_structure = strchr(p.name, '/')[1] == 's';

		cr_assert(by_structure || !structure, "%s after one known by structure", p.name);
		structure = by_structure;
	}
	cr_assert(structure && n >= 3);
	cr_assert_eq(profset_variant(s, 7601, VM_X86_PAE, 0, &p, NULL), 0);
	cr_assert_eq(p.pointer_size, 4);
	profset_free(s);
}

/* ---- texts that lie ---- */
#define HEAD "{\"format\":\"etlift-profile/1\",\"build\":9,\"arch\":\"x64\","
#define ONE                                                                                                                                \
	HEAD "\"variants\":[{\"name\":\"a\",\"types\":{\"_WMI_LOGGER_CONTEXT\":{\"size\":\"0x100\",\"members\":{\"LoggerId\":\"0x8\"}}}}"

Test(profile, refusals_name_the_place)
{
	static const struct {
		const char *text;
		int code;
		const char *says;
	} bad[] = {
		{"", ERR_NOTMINE, "not JSON"},
		{"{", ERR_NOTMINE, "not JSON"},
		{"[]", ERR_NOTMINE, "format"},
		{"{\"format\":\"etlift-profile/2\"}", ERR_NOTMINE, "format"},
		{"{\"format\":\"etlift-profile/1\",\"build\":-1}", ERR_FORMAT, "build"},
		{"{\"format\":\"etlift-profile/1\",\"build\":1e99}", ERR_FORMAT, "build"},
		{"{\"format\":\"etlift-profile/1\",\"build\":9,\"arch\":\"vax\"}", ERR_FORMAT, "arch"},
		{HEAD "\"variants\":[]}", ERR_FORMAT, "variants"},
		{HEAD "\"variants\":[{\"name\":\"a\"}]}", ERR_FORMAT, "variants[0]: types"},
		{HEAD "\"variants\":[{\"name\":\"../a\",\"types\":{}}]}", ERR_FORMAT, "name"},
		{HEAD "\"variants\":[{\"name\":\"a\",\"base\":\"a\",\"types\":{}}]}", ERR_FORMAT, "base"},
		{HEAD "\"variants\":[{\"name\":\"a\",\"base\":\"b\"},{\"name\":\"b\",\"base\":\"a\"}]}", ERR_FORMAT, "base"},
		{ONE ",{\"name\":\"a\",\"types\":{}}]}", ERR_FORMAT, "variants[1]: name"},
		{ONE ",{\"name\":\"b\",\"types\":{\"_WMI_LOGGER_CONTEXT\":{\"size\":\"0xffffffffffff\"}}}]}", ERR_FORMAT, "size"},
		{ONE ",{\"name\":\"b\",\"types\":{\"_WMI_LOGGER_CONTEXT\":{\"members\":{\"Flags\":\"0x1000001\"}}}}]}", ERR_FORMAT,
		 "CONTEXT.Flags"},
		{ONE ",{\"name\":\"b\",\"types\":{\"_WMI_LOGGER_CONTEXT\":{\"members\":{\"Flags\":\"8:60+9\"}}}}]}", ERR_FORMAT, "Flags"},
		{ONE ",{\"name\":\"b\",\"types\":{\"_WMI_LOGGER_CONTEXT\":{\"members\":{\"Flags\":\"8:1\"}}}}]}", ERR_FORMAT, "Flags"},
		{ONE ",{\"name\":\"b\",\"types\":{\"_WMI_LOGGER_CONTEXT\":{\"members\":{\"Flags\":true}}}}]}", ERR_FORMAT, "Flags"},
		{ONE ",{\"name\":\"b\",\"types\":{},\"traits\":{\"nonsense\":1}}]}", ERR_FORMAT, "nonsense"},
		{ONE ",{\"name\":\"b\",\"types\":{},\"traits\":{\"cpu_low_byte\":2}}]}", ERR_FORMAT, "cpu_low_byte"},
		{ONE ",{\"name\":\"b\",\"types\":{},\"traits\":{\"vm.pfn_bits\":64}}]}", ERR_FORMAT, "vm.pfn_bits"},
		{ONE ",{\"name\":\"b\",\"types\":{},\"source\":\"\\u001b[2J\"}]}", ERR_FORMAT, "source"},
		{ONE "],\"kernels\":[{\"id\":\"x\"}]}", ERR_FORMAT, "kernels[0]: id"},
		{ONE "],\"kernels\":[{\"id\":\"DCA4AD4BEEB4746D48F84C0125019E43-1\",\"variant\":\"a\"}]}", ERR_FORMAT, "pdb"},
		{ONE "],\"pdb\":\"../x\"}", ERR_FORMAT, "pdb"},
		{ONE "],\"pdb\":\"n\",\"kernels\":[{\"id\":\"DCA4AD4BEEB4746D48F84C0125019E43-1\",\"variant\":\"z\"}]}", ERR_FORMAT,
		 "variant"},
		{ONE "],\"pdb\":\"n\",\"kernels\":[{\"id\":\"DCA4AD4BEEB4746D48F84C0125019E43-4294967296\",\"variant\":\"a\"}]}",
		 ERR_FORMAT, "id"},
		{ONE
		 "],\"pdb\":\"n\",\"symbols\":[\"MiState\"],\"kernels\":[{\"id\":\"DCA4AD4BEEB4746D48F84C0125019E43-1\",\"variant\":\"a\","
		 "\"rva\":\"1 2\"}]}",
		 ERR_FORMAT, "rva"},
		{ONE
		 "],\"pdb\":\"n\",\"symbols\":[\"MiState\"],\"kernels\":[{\"id\":\"DCA4AD4BEEB4746D48F84C0125019E43-1\",\"variant\":\"a\","
		 "\"rva\":\"100000000\"}]}",
		 ERR_FORMAT, "rva"},
		{ONE "],\"symbols\":[1]}", ERR_FORMAT, "symbols"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct proffile *pf;
		struct err e = {0, ""};

		cr_assert_eq(proffile_parse(&pf, bad[i].text, strlen(bad[i].text), &e), bad[i].code, "row %zu: %s", i, e.msg);
		cr_assert(strstr(e.msg, bad[i].says), "row %zu: %s", i, e.msg);
	}
}

Test(profile, variants_build_on_each_other)
{
	static const char text[] =
		ONE ",{\"name\":\"b\",\"base\":\"a\",\"types\":{\"_WMI_LOGGER_CONTEXT\":{\"members\":{\"LoggerId\":null,\"Flags\":\"0x10:3+"
		    "2\"}},"
		    "\"_NO_SUCH\":{\"size\":\"0x1\"}},\"traits\":{\"cpu_low_byte\":true,\"vm.pfn_bits\":52}}],"
		    "\"pdb\":\"n.pdb\",\"symbols\":[\"Unknown\",\"MiState\",\"MmPteBase\"],"
		    "\"kernels\":[{\"id\":\"DCA4AD4BEEB4746D48F84C0125019E43-1\",\"variant\":\"b\",\"rva\":\"5 a0 -\"}]}";
	struct proffile *pf;
	struct profile p;
	struct err e;

	cr_assert_eq(proffile_parse(&pf, text, strlen(text), &e), 0, "%s", e.msg);
	cr_assert_eq(pf->n_v, 2u);
	proffile_view_variant(pf, 0, &p);
	cr_assert_eq(prof_off(&p, F_CTX_LoggerId), 8);
	cr_assert_not(prof_has(&p, F_CTX_Flags));
	proffile_view_kernel(pf, 0, &p);
	cr_assert_not(prof_has(&p, F_CTX_LoggerId));
	cr_assert_eq(prof_size(&p, T_CTX), 0x100);
	cr_assert_eq(p.field[F_CTX_Flags].off, 0x10);
	cr_assert_eq(p.field[F_CTX_Flags].bit, 3);
	cr_assert_eq(p.field[F_CTX_Flags].bits, 2);
	cr_assert(p.traits.cpu_low_byte);
	cr_assert_eq(p.traits.vm.pfn_bits, 52);
	cr_assert_eq(p.symbol[S_MiState], 0xa0u);
	cr_assert_not(prof_has_symbol(&p, S_MmPteBase));
	proffile_free(pf);
}

/* ---- ISF ---- */
#define ISF_HEAD                                                                                                                           \
	"{\"base_types\":{\"pointer\":{\"size\":8},\"unsigned long\":{\"size\":4}},\"enums\":{},\"metadata\":{\"windows\":{\"pdb\":{"      \
	"\"GUID\":\"00112233445566778899AABBCCDDEEFF\",\"age\":3,\"database\":\"ntkrnlmp.pdb\",\"machine_type\":34404}}},"

Test(isf, members_bitfields_anonymous_parts_symbols)
{
	static const char text[] = ISF_HEAD
		"\"symbols\":{\"MiState\":{\"address\":4096},\"other\":{\"address\":1}},"
		"\"user_types\":{\"_WMI_LOGGER_CONTEXT\":{\"size\":64,\"fields\":{"
		"\"LoggerId\":{\"offset\":4,\"type\":{\"kind\":\"base\",\"name\":\"unsigned long\"}},"
		"\"u1\":{\"offset\":8,\"anonymous\":true,\"type\":{\"kind\":\"union\",\"name\":\"__unnamed_1\"}}}},"
		"\"__unnamed_1\":{\"size\":8,\"fields\":{\"CurrentBuffer\":{\"offset\":0,\"type\":{\"kind\":\"pointer\"}},"
		"\"u2\":{\"offset\":4,\"anonymous\":true,\"type\":{\"kind\":\"struct\",\"name\":\"__unnamed_2\"}},"
		"\"self\":{\"offset\":0,\"anonymous\":true,\"type\":{\"kind\":\"struct\",\"name\":\"__unnamed_3\"}}}},"
		"\"__unnamed_2\":{\"size\":4,\"fields\":{\"Flags\":{\"offset\":2,\"type\":{\"kind\":\"bitfield\",\"bit_position\":3,"
		"\"bit_length\":2,\"type\":{\"kind\":\"base\",\"name\":\"unsigned long\"}}}}},"
		"\"_ETW_SILO_TRACING_BLOCK\":{\"size\":64,\"fields\":{\"ProcessorBuffers\":{\"offset\":0,\"type\":{\"kind\":\"array\","
		"\"count\":64,"
		"\"subtype\":{\"kind\":\"pointer\"}}}}}}}";
	struct prof_source s;
	struct err e;

	cr_assert_eq(isf_parse(text, strlen(text), &s, &e), 0, "%s", e.msg);
	cr_assert(s.has_guid);
	cr_assert_eq(s.age, 3);
	cr_assert_eq((int)s.arch, (int)VM_X64);
	cr_assert_eq(s.field[F_CTX_LoggerId].off, 4);
	cr_assert_eq(s.field_size[F_CTX_LoggerId], 4);
	cr_assert_eq(s.field[F_CTX_CurrentBuffer].off, 8);
	cr_assert_eq(s.field[F_CTX_Flags].off, 14);
	cr_assert_eq(s.field[F_CTX_Flags].bit, 3);
	cr_assert_eq(s.field[F_CTX_Flags].bits, 2);
	cr_assert_eq(s.field[F_CTX_GlobalList].off, PROF_ABSENT);
	cr_assert_eq(s.rva[S_MiState], 4096);
	cr_assert(s.field_is_array[F_BLOCK_ProcessorBuffers]);
	cr_assert_eq(s.field_count[F_BLOCK_ProcessorBuffers], 64);
	cr_assert_eq(s.field_size[F_BLOCK_ProcessorBuffers], 512);
}

Test(isf, anonymous_parts_that_hold_themselves_end)
{
	static const char text[] =
		ISF_HEAD "\"symbols\":{},\"user_types\":{\"_WMI_LOGGER_CONTEXT\":{\"size\":64,\"fields\":{"
			 "\"u\":{\"offset\":1,\"anonymous\":true,\"type\":{\"kind\":\"union\",\"name\":\"_WMI_LOGGER_CONTEXT\"}}}}}}";
	struct prof_source s;
	struct err e;

	cr_assert_eq(isf_parse(text, strlen(text), &s, &e), ERR_LIMIT, "%s", e.msg);
}

Test(isf, refusals)
{
	static const struct {
		const char *text;
		int code;
		const char *says;
	} bad[] = {
		{"", ERR_NOTMINE, "JSON"},
		{"{\"user_types\":{}}", ERR_NOTMINE, "symbols"},
		{"{\"user_types\":{},\"symbols\":{}}", ERR_FORMAT, "pointer"},
		{"{\"base_types\":{\"pointer\":{\"size\":5}},\"user_types\":{},\"symbols\":{}}", ERR_FORMAT, "pointer"},
		{ISF_HEAD "\"user_types\":{},\"symbols\":{\"MiState\":{\"address\":-1}}}", ERR_FORMAT, "MiState"},
		{ISF_HEAD "\"user_types\":{},\"symbols\":{\"MiState\":{\"address\":1e300}}}", ERR_FORMAT, "MiState"},
		{ISF_HEAD "\"user_types\":{\"_KPCR\":{\"size\":-5,\"fields\":{}}},\"symbols\":{}}", ERR_FORMAT, "_KPCR: no fitting size"},
		{ISF_HEAD "\"user_types\":{\"_KPCR\":{\"size\":5,\"fields\":{\"Prcb\":{\"offset\":0.5}}}},\"symbols\":{}}", ERR_FORMAT,
		 "_KPCR.Prcb"},
		{ISF_HEAD "\"user_types\":{\"_KPCR\":{\"size\":5,\"fields\":{\"Prcb\":{\"offset\":0,\"type\":{\"kind\":\"bitfield\","
			  "\"bit_position\":60,\"bit_length\":9}}}}},\"symbols\":{}}",
		 ERR_FORMAT, "bit field"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct prof_source s;
		struct err e = {0, ""};

		cr_assert_eq(isf_parse(bad[i].text, strlen(bad[i].text), &s, &e), bad[i].code, "row %zu: %s", i, e.msg);
		cr_assert(strstr(e.msg, bad[i].says), "row %zu: %s", i, e.msg);
	}
}

/* ---- packed bytes ---- */
Test(unpack, limits_and_damage)
{
	static const uint8_t gz[] = {/* 100 times "a" */ 31,
				     139,
				     8,
				     0,
				     0,
				     0,
				     0,
				     0,
				     2,
				     3,
				     75,
				     76,
				     164,
				     61,
				     0,
				     0,
				     100,
				     122,
				     112,
				     175,
				     100,
				     0,
				     0,
				     0};
	struct buf b;
	int r;

	buf_init(&b);
	r = unpack_bytes(&b, gz, sizeof(gz), 100, NULL);
	cr_assert_eq(r, 0);
	cr_assert_eq(b.n, 100u);
	cr_assert_eq(unpack_bytes(&b, gz, sizeof(gz), 99, NULL), ERR_LIMIT);
	cr_assert_eq(unpack_bytes(&b, gz, 12, 100, NULL), ERR_TRUNC);
	cr_assert_eq(unpack_bytes(&b, "plain", 5, 4, NULL), ERR_LIMIT);
	buf_clear(&b);
	cr_assert_eq(unpack_bytes(&b, "plain", 5, 5, NULL), 0);
	cr_assert_eq(b.n, 5u);
	buf_free(&b);
}
