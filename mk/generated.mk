# Files made at build time, in $B/gen.
GEN_C += $B/gen/profiles_data.c
GEN_H +=

PROFILES := $(sort $(filter-out profiles/builds.json,$(wildcard profiles/*.json)))

$B/embed: tools/embed.c
	@mkdir -p $(@D)
	$(HOSTCC) -O2 -Wall -Wextra -o $@ $< -lz

# A file that went away must not stay in: the list is part of the rule.
$B/gen/profiles.list: FORCE
	@mkdir -p $(@D)
	@echo '$(PROFILES)' | cmp -s - $@ || echo '$(PROFILES)' > $@

$B/gen/profiles_data.c: $B/embed profiles/builds.json $(PROFILES) $B/gen/profiles.list
	$B/embed $@ profiles/builds.json $(PROFILES)

# Provider names (src/etw/provider_names.h)
GEN_C += $B/gen/provider_names_data.c
$B/embed-names: tools/embed-names.c
	@mkdir -p $(@D)
	$(HOSTCC) -O2 -Wall -Wextra -o $@ $<
$B/gen/provider_names_data.c: $B/embed-names data/provider-names.txt
	@mkdir -p $(@D)
	$B/embed-names $@ data/provider-names.txt

# Versions of kernel files (src/kstructs/kernel_versions.h); $B/pack is of catalogue.mk
GEN_C += $B/gen/kernel_versions_data.c
$B/gen/kernel_versions_data.c: $B/pack data/kernel-versions.txt
	@mkdir -p $(@D)
	$B/pack $@ kernel_versions_packed data/kernel-versions.txt
