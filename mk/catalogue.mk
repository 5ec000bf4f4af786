# The event catalogue (profiles/events/*.txt), packed into $B/gen/events_data.c.
EVENT_FILES := $(sort $(wildcard profiles/events/*.txt))
GEN_C += $B/gen/events_data.c

$B/pack: tools/pack.c
	@mkdir -p $(@D)
	$(HOSTCC) -O2 -Wall -Wextra -o $@ $< -lz

$B/gen/events_data.c: $B/pack $(EVENT_FILES)
	@mkdir -p $(@D)
	$B/pack $@ events_packed $(EVENT_FILES)
