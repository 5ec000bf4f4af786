# Text that is compiled in: the event catalogue (profiles/events/*.txt) and the kernel's classic events, packed into $B/gen.
EVENT_FILES := $(sort $(wildcard profiles/events/*.txt))
GEN_C += $B/gen/events_data.c $B/gen/kernel_events_data.c

$B/pack: tools/pack.c
	@mkdir -p $(@D)
	$(HOSTCC) -O2 -Wall -Wextra -o $@ $< -lz

$B/gen/events_data.c: $B/pack $(EVENT_FILES)
	@mkdir -p $(@D)
	$B/pack $@ events_packed $(EVENT_FILES)

$B/gen/kernel_events_data.c: $B/pack profiles/kernel-events.txt
	@mkdir -p $(@D)
	$B/pack $@ kernel_events_packed profiles/kernel-events.txt
