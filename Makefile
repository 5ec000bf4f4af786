# etlift - see README.md for the two commands a newcomer needs (make demo, make check).
#
#   make                 build/release/etlift, libetlift.a, libetlift.so
#   make CONFIG=san      the same with ASan + UBSan in build/san; CONFIG=fuzz for libFuzzer (clang)
#   make unit            unit tests of the current CONFIG
#   make check           everything: both compilers, all tests (installs what is missing)
#   make doc             the library's manual, in build/doc/html
#   make tarball         one archive that runs on other Linux systems
#   make bench fuzz sweep demo install uninstall clean
#   make cross TARGET=win64|s390x|i386   a build for another system, in build/TARGET (tools/cross.sh)
#
# Layering is enforced here: each module is compiled with -I for the modules it may use and no others (the MAY_ lines).

CONFIG ?= release
# V=1 shows the commands
ifeq ($(V),)
MAKEFLAGS += -s --no-print-directory
endif
BUILD ?= build
B := $(BUILD)/$(CONFIG)
CC ?= cc
HOSTCC ?= $(CC)
AR ?= ar
OBJCOPY ?= objcopy
PKG_CONFIG ?= pkg-config
# What it is built for: posix, or win (src/util/win in place of what it has; Windows' own hashes in place of libcrypto)
SYS ?= posix
EXE := $(if $(filter win,$(SYS)),.exe)
prefix ?= /usr/local
bindir ?= $(prefix)/bin
libdir ?= $(prefix)/lib
includedir ?= $(prefix)/include
mandir ?= $(prefix)/share/man
docdir ?= $(prefix)/share/doc/etlift
bashcompdir ?= $(prefix)/share/bash-completion/completions
zshcompdir ?= $(prefix)/share/zsh/site-functions

VERSION := 0.1.0
SOVERSION := 0

# ---- modules, lowest first, and what each may include -------------------------------------------------------------------------------
MODULES := util phys etw dumpfmt addrspace kstructs etlwrite etl recover report decode scan job
MAY_util := util
MAY_phys := util phys
MAY_etw := util etw
MAY_dumpfmt := util phys dumpfmt
MAY_addrspace := util phys addrspace
MAY_kstructs := util phys addrspace kstructs
MAY_etlwrite := util etw etlwrite
MAY_etl := util etw etl
MAY_recover := util phys etw dumpfmt addrspace kstructs recover
MAY_report := util etw report
MAY_decode := util etw etl decode
MAY_scan := util etw scan
MAY_job := $(MODULES)
MAY_cli := $(MODULES) cli

# ---- flags ---------------------------------------------------------------------------------------------------------------------------
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings -Wundef -Wvla -Wformat=2 \
        -Wimplicit-fallthrough -Wnull-dereference $(if $(findstring clang,$(CC)),,-Wno-format-truncation)
WERROR ?= $(if $(CI),-Werror)
comma := ,
# the folder of a build leaves no trace in it
CFLAGS_release := -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2 -ffile-prefix-map=$(CURDIR)=.
CFLAGS_san := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
CFLAGS_fuzz := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
LDFLAGS_release := $(if $(filter posix,$(SYS)),-Wl$(comma)-z$(comma)relro$(comma)-z$(comma)now)
LDFLAGS_san := -fsanitize=address,undefined
LDFLAGS_fuzz := -fsanitize=address,undefined

# Required libraries; optional ones are found by pkg-config, and `etlift --version` says which are in.
REQUIRED := zlib libcjson $(if $(filter posix,$(SYS)),libcrypto)
OPTIONAL := LZMA:liblzma MSPACK:libmspack ZSTD:libzstd LZ4:liblz4 SNAPPY:snappy LZO:lzo2 EXPAT:expat YARA:yara
pc_name = $(word 2,$(subst :, ,$1))
pc_macro = $(word 1,$(subst :, ,$1))
FOUND := $(foreach o,$(OPTIONAL),$(if $(shell $(PKG_CONFIG) --exists $(call pc_name,$o) && echo y),$o))
LIB_CFLAGS := $(shell $(PKG_CONFIG) --cflags $(REQUIRED) $(foreach f,$(FOUND),$(call pc_name,$f))) $(foreach f,$(FOUND),-DHAVE_$(call pc_macro,$f)=1)
LIB_LIBS := $(shell $(PKG_CONFIG) --libs $(REQUIRED) $(foreach f,$(FOUND),$(call pc_name,$f)))
# libbz2 comes without a .pc file
ifneq ($(shell echo | $(CC) -include bzlib.h -E -x c - >/dev/null 2>&1 && echo y),)
LIB_CFLAGS += -DHAVE_BZ2=1
LIB_LIBS += -lbz2
endif
# libwim packs XPRESS for the test tools when it is there (its .pc file wants more than is installed with it)
ifneq ($(shell echo | $(CC) -include wimlib.h -E -x c - >/dev/null 2>&1 && echo y),)
TEST_CFLAGS := -DHAVE_WIM=1
TEST_LIBS := -lwim
endif
CFLAGS_win := -DWIN32_LEAN_AND_MEAN -D_WIN32_WINNT=0x0601 -Isrc/util/win -include src/util/win/win.h
LIBS_win := -lbcrypt
LDFLAGS_win := -static -municode -fstack-protector-strong
BASE_CFLAGS := -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DETLIFT_VERSION='"$(VERSION)"' -fPIC -pthread $(WARN) $(WERROR) $(CFLAGS_$(CONFIG)) $(CFLAGS_$(SYS)) $(LIB_CFLAGS) $(CFLAGS)
ALL_LDFLAGS := -pthread -Wl,--as-needed $(LDFLAGS_$(CONFIG)) $(LDFLAGS_$(SYS)) $(LDFLAGS)
LIBS := $(LIB_LIBS) $(LIBS_$(SYS)) -lm

# ---- what there is -------------------------------------------------------------------------------------------------------------------
LIB_SRC := $(foreach m,$(MODULES),$(sort $(wildcard src/$m/*.c)))
SYS_SRC := $(if $(filter win,$(SYS)),$(sort $(wildcard src/util/win/*.c)))
LIB_SRC := $(filter-out $(SYS_SRC:src/util/win/%=src/util/%),$(LIB_SRC)) $(SYS_SRC)
CLI_SRC := $(sort $(wildcard src/cli/*.c))
GEN_C :=
.DEFAULT_GOAL := all
-include $(sort $(wildcard mk/*.mk))
LIB_OBJ := $(LIB_SRC:%.c=$B/%.o) $(GEN_C:.c=.o)
CLI_OBJ := $(CLI_SRC:%.c=$B/%.o)
UNIT_SRC := $(sort $(wildcard tests/unit/*.c)) $(sort $(wildcard tests/lib/*.c))
UNIT_OBJ := $(UNIT_SRC:%.c=$B/%.o)
TOOL_SRC := $(sort $(wildcard tests/tools/*/main.c))
FUZZ_SRC := $(sort $(wildcard fuzz/fuzz_*.c))
FUZZ_NAMES := $(patsubst fuzz/fuzz_%.c,%,$(FUZZ_SRC))

BIN := $(if $(CLI_SRC),$B/etlift$(EXE))
LIBA := $B/libetlift.a
LIBSO := $(if $(filter release-posix,$(CONFIG)-$(SYS)),$B/libetlift.so.$(SOVERSION))

.PHONY: all
all: $(LIBA) $(LIBSO) $(BIN)

# ---- compiling -----------------------------------------------------------------------------------------------------------------------
# Rebuild on changed flags: the stamp changes when compiler or flags do.
FLAGS_NOW := $(CC) $(BASE_CFLAGS) $(ALL_LDFLAGS) $(LIBS) $(TEST_LIBS)
$B/flags: FORCE
	@mkdir -p $B
	@printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' > $@
FORCE:

define module_rule
$B/src/$1/%.o: src/$1/%.c $B/flags | $$(GEN_H)
	@mkdir -p $$(@D)
	$$(if $$(V),,echo "  CC $$<")
	$$(CC) $$(BASE_CFLAGS) -Iinclude -I$B/gen $(foreach d,$(MAY_$1),-iquote src/$d) -MMD -MP -c -o $$@ $$<
endef
$(foreach m,$(MODULES) cli,$(eval $(call module_rule,$m)))

ALL_INC := -Iinclude -I$B/gen $(foreach d,$(MODULES),-iquote src/$d)
$B/gen/%.o: $B/gen/%.c $B/flags
	$(CC) $(BASE_CFLAGS) $(ALL_INC) -MMD -MP -c -o $@ $<
# Criterion's macros and the test tools need a shorter warning list; tests see every module.
TEST_WARN := -Wno-shadow -Wno-null-dereference -Wno-missing-prototypes -Wno-format-nonliteral
$B/tests/%.o: tests/%.c $B/flags | $(GEN_H)
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(TEST_WARN) $(TEST_CFLAGS) $(ALL_INC) -Itests/lib -Itests/tools/$(firstword $(subst /, ,$(patsubst tests/tools/%,%,$<))) -MMD -MP -c -o $@ $<
$B/fuzz/%.o: fuzz/%.c $B/flags | $(GEN_H)
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(TEST_WARN) $(ALL_INC) -Itests/lib -Ifuzz -MMD -MP -c -o $@ $<

$(LIBA): $(LIB_OBJ)
	@rm -f $@
	$(AR) rcsD $@ $^

$B/libetlift.so.$(SOVERSION): $(LIB_OBJ) src/job/etlift.map
	$(CC) -shared -Wl,-soname,libetlift.so.$(SOVERSION) -Wl,--version-script=src/job/etlift.map $(ALL_LDFLAGS) -o $@ $(LIB_OBJ) $(LIBS)
	ln -sf libetlift.so.$(SOVERSION) $B/libetlift.so

# What is installed as libetlift.a: one object whose only global names are the header's, so that a program may have names like ours.
LIBPUBLIC := $B/libetlift-public.a
$(LIBPUBLIC): $(LIB_OBJ)
	@rm -f $@
	$(CC) -r -nostdlib -o $(@:.a=.o) $^
	$(OBJCOPY) --wildcard --keep-global-symbol='etlift_*' $(@:.a=.o)
	$(AR) rcsD $@ $(@:.a=.o)

$B/etlift$(EXE): $(CLI_OBJ) $(LIBA)
	$(CC) $(ALL_LDFLAGS) -o $@ $(CLI_OBJ) $(LIBA) $(LIBS)

# ---- tests ---------------------------------------------------------------------------------------------------------------------------
$B/unit: $(UNIT_OBJ) $(LIBA)
	$(CC) $(ALL_LDFLAGS) -o $@ $(UNIT_OBJ) $(LIBA) $(LIBS) -lcriterion

# A leak report does not fail a Criterion test: it goes to a file, and a file fails the run (whatever status the process had that wrote it).
.PHONY: unit
unit: $B/unit
	@rm -f $B/asan.*
	ASAN_OPTIONS=log_path=$(abspath $B)/asan:detect_leaks=1:exitcode=0 $B/unit --timeout 120 $(UNIT_ARGS)
	@bash tests/reports.sh $B/asan.*

# What tools and fuzz targets share with the unit tests
LIBTEST := $B/libtest.a
$(LIBTEST): $(patsubst %.c,$B/%.o,$(sort $(wildcard tests/lib/*.c)))
	@rm -f $@
	$(AR) rcsD $@ $^

# Test tools: tests/tools/NAME/*.c -> build/CONFIG/tools/NAME
define tool_rule
$B/tools/$1$(EXE): $$(patsubst %.c,$B/%.o,$$(sort $$(wildcard tests/tools/$1/*.c))) $$(LIBTEST) $$(LIBA)
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_LDFLAGS) -o $$@ $$^ $$(LIBS) $$(TEST_LIBS)
tools: $B/tools/$1$(EXE)
endef
.PHONY: tools
tools:
$(foreach t,$(TOOL_SRC),$(eval $(call tool_rule,$(patsubst tests/tools/%/main.c,%,$t))))

# Fuzz targets. Without an engine they replay files (fuzz/replay.c); with CONFIG=fuzz CC=clang they are libFuzzer programs.
define fuzz_rule
$B/fuzz-$1: $B/fuzz/fuzz_$1.o $(if $(filter fuzz,$(CONFIG)),,$B/fuzz/replay.o) $$(LIBTEST) $$(LIBA)
	$$(CC) $$(ALL_LDFLAGS) $(if $(filter fuzz,$(CONFIG)),-fsanitize=fuzzer) -o $$@ $$^ $$(LIBS)
fuzzers: $B/fuzz-$1
endef
.PHONY: fuzzers
fuzzers:
$(foreach f,$(FUZZ_NAMES),$(eval $(call fuzz_rule,$f)))

.PHONY: deps cross check check-build demo bench fuzz lint sweep doc
cross:
	@tools/cross.sh $(TARGET)
deps:
	@tools/deps.sh build
check:
	@tools/deps.sh build check
	@tests/check.sh
demo:
	@tools/deps.sh build
	@tools/demo.sh
bench:
	@tools/deps.sh build bench
	@bench/run.sh
fuzz:
	@tools/deps.sh build fuzz
	@fuzz/run.sh
sweep:
	@tools/deps.sh build
	@tests/sweep.sh
lint:
	@tests/lint.sh
# build/doc/html: the manual of the library
doc:
	@mkdir -p build/doc
	doxygen docs/Doxyfile

# ---- installing ----------------------------------------------------------------------------------------------------------------------
.PHONY: install install-data uninstall clean
install: all install-data $(LIBPUBLIC)
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(includedir)
	install -m 755 $B/etlift $(DESTDIR)$(bindir)/etlift
	install -m 644 $B/libetlift-public.a $(DESTDIR)$(libdir)/libetlift.a
	install -m 755 $B/libetlift.so.$(SOVERSION) $(DESTDIR)$(libdir)/libetlift.so.$(SOVERSION)
	ln -sf libetlift.so.$(SOVERSION) $(DESTDIR)$(libdir)/libetlift.so
	install -m 644 include/etlift.h $(DESTDIR)$(includedir)/etlift.h
	sed -e 's|@prefix@|$(prefix)|' -e 's|@libdir@|$(libdir)|' -e 's|@includedir@|$(includedir)|' -e 's|@version@|$(VERSION)|' \
	    -e 's|@requires@|$(REQUIRED) $(foreach f,$(FOUND),$(call pc_name,$f))|' tools/etlift.pc.in > $(DESTDIR)$(libdir)/pkgconfig/etlift.pc
# The pages of the commands, by the program itself.
COMMANDS := $(shell sed -n 's/^CMD.\([a-z]*\),.*/\1/p' src/cli/commands.def)
$B/man: $B/etlift
	rm -rf $@.new $@
	mkdir $@.new
	for c in $(COMMANDS); do $B/etlift --man $$c > $@.new/etlift-$$c.1 || exit 1; done
	mv $@.new $@
# what is the same on every machine
install-data: $B/man
	install -d $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(docdir)
	install -m 644 man/*.1 $B/man/*.1 $(DESTDIR)$(mandir)/man1/
	install -m 644 README.md LICENSE NOTICE CHANGELOG.md docs/*.md docs/*.json docs/*.xsd $(DESTDIR)$(docdir)/
	install -d $(DESTDIR)$(docdir)/formats $(DESTDIR)$(docdir)/examples $(DESTDIR)$(bashcompdir) $(DESTDIR)$(zshcompdir)
	install -m 644 contrib/completion/etlift.bash $(DESTDIR)$(bashcompdir)/etlift
	install -m 644 contrib/completion/_etlift $(DESTDIR)$(zshcompdir)/_etlift
	install -m 644 docs/formats/*.md $(DESTDIR)$(docdir)/formats/
	install -m 644 contrib/examples/sessions.c contrib/examples/sessions.py $(DESTDIR)$(docdir)/examples/
	install -d $(DESTDIR)$(docdir)/examples/slurm $(DESTDIR)$(docdir)/examples/snakemake $(DESTDIR)$(docdir)/examples/openrelik/src
	install -m 755 contrib/slurm/* $(DESTDIR)$(docdir)/examples/slurm/
	install -m 644 contrib/snakemake/Snakefile $(DESTDIR)$(docdir)/examples/snakemake/
	install -m 644 contrib/openrelik/README.md contrib/openrelik/pyproject.toml $(DESTDIR)$(docdir)/examples/openrelik/
	install -m 644 contrib/openrelik/src/*.py $(DESTDIR)$(docdir)/examples/openrelik/src/
uninstall:
	rm -f $(DESTDIR)$(bindir)/etlift $(DESTDIR)$(libdir)/libetlift.a $(DESTDIR)$(libdir)/libetlift.so $(DESTDIR)$(libdir)/libetlift.so.$(SOVERSION)
	rm -f $(DESTDIR)$(includedir)/etlift.h $(DESTDIR)$(libdir)/pkgconfig/etlift.pc
	rm -f $(DESTDIR)$(mandir)/man1/etlift.1 $(COMMANDS:%=$(DESTDIR)$(mandir)/man1/etlift-%.1)
	rm -rf $(DESTDIR)$(docdir)
	rm -f $(DESTDIR)$(bashcompdir)/etlift $(DESTDIR)$(zshcompdir)/_etlift
clean:
	rm -rf $(BUILD)

# ---- releasing -----------------------------------------------------------------------------------------------------------------------
# `make tarball`: one file that runs on any Linux with the C library of Debian 12 or a younger one. Every library that comes as an archive is linked in;
# one that does not comes along in lib/. Same sources and compiler: same bytes, wherever they lie.
.PHONY: tarball
tarball: all $B/portable/etlift
	+@tools/tarball.sh $B $(VERSION)

STATIC_LIBS = $(shell $(PKG_CONFIG) --static --libs $(REQUIRED) $(foreach f,$(FOUND),$(call pc_name,$f))) $(filter -lbz2,$(LIB_LIBS)) -lm
$B/portable/etlift: $(CLI_OBJ) $(LIBA) tools/staticlibs.sh
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -static-libgcc -static-libstdc++ -Wl,-rpath,'$$ORIGIN/../lib' -o $@ $(CLI_OBJ) $(LIBA) \
	    -Wl,--start-group $(shell tools/staticlibs.sh $(CC) $(STATIC_LIBS)) -Wl,--end-group

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(UNIT_OBJ:.o=.d)
-include $(wildcard $B/tests/tools/*/*.d $B/fuzz/*.d)

# For scripts: make -s print-NAME
print-%:
	@echo '$($*)'
