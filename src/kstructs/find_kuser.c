/* find_kuser.c - the shared user page: version, times, frequency. Its layout has been the same where these members stand since NT 5
 * (ntddk.h, KUSER_SHARED_DATA); NtBuildNumber since 10.0, QpcFrequency since 6.2, ActiveProcessorCount since 6.1. */
#include "find.h"
#include "rd.h"

enum {
	KU_INTERRUPT_TIME = 0x8,
	KU_SYSTEM_TIME = 0x14,
	KU_BIAS = 0x20,
	KU_MACHINE_LOW = 0x2c, /* ImageNumberLow, ImageNumberHigh: of native images */
	KU_MACHINE_HIGH = 0x2e,
	KU_BUILD = 0x260,
	KU_MAJOR = 0x26c,
	KU_MINOR = 0x270,
	KU_QPC_FREQUENCY = 0x300,
	KU_CPUS = 0x3c0,
	KU_SIZE = 0x400
};
#define KUSER_64 UINT64_C(0xfffff78000000000)
#define KUSER_32 UINT64_C(0xffdf0000)
#define FREQ_MAX UINT64_C(100000000000)

/* KSYSTEM_TIME: low, high 1, high 2. The halves differ when the clock was just being written: then the first one is the newer. */
static int64_t ksystem_time(struct rd *r, unsigned off)
{
	return (int64_t)((uint64_t)rd_u32(r, off + 4) << 32 | rd_u32(r, off));
}

void kuser_read(struct vm *vm, struct kuser *out)
{
	uint64_t va = vm_pointer_size(vm) == 4 ? KUSER_32 : KUSER_64;
	uint8_t b[KU_SIZE];
	struct rd r = rd_init(b, sizeof(b));
	struct kuser u = {0};

	if (vm_read(vm, va, b, sizeof(b)) < 0) {
		u.mapped = vm_fault(vm, NULL) == VM_NOT_IN_IMAGE;
		if (u.mapped) { /* the page, and not one of the tables on the way */
			struct vm_page p;

			vm_page(vm, va, &p);
			u.mapped = p.pa != 0;
		}
		*out = u;
		return;
	}
	u.there = true;
	u.interrupt_time = ksystem_time(&r, KU_INTERRUPT_TIME);
	u.system_time = ksystem_time(&r, KU_SYSTEM_TIME);
	u.bias_100ns = ksystem_time(&r, KU_BIAS);
	if (rd_u16(&r, KU_MACHINE_LOW) == rd_u16(&r, KU_MACHINE_HIGH))
		u.machine = rd_u16(&r, KU_MACHINE_LOW);
	u.major = rd_u32(&r, KU_MAJOR);
	u.minor = rd_u32(&r, KU_MINOR);
	if (u.major == 10)
		u.build = rd_u32(&r, KU_BUILD) & 0xffff;
	if (u.major == 10 || (u.major == 6 && u.minor >= 2)) {
		u.qpc_frequency = rd_u64(&r, KU_QPC_FREQUENCY);
		if (u.qpc_frequency > FREQ_MAX)
			u.qpc_frequency = 0;
	}
	if (u.major == 10 || (u.major == 6 && u.minor >= 1))
		u.n_cpus = rd_u32(&r, KU_CPUS);
	if (u.n_cpus > HINTS_CPUS_MAX)
		u.n_cpus = 0;
	*out = u;
}

bool kuser_sane(const struct kuser *u)
{
	if (!u->there)
		return u->mapped;
	return (u->major == 5 && (u->minor == 1 || u->minor == 2)) || (u->major == 6 && u->minor <= 4) || (u->major == 10 && u->minor == 0);
}

/* NT versions from XP on, with their first and last build (public release history; 6003: Server 2008 SP2 since KB4493471 of April 2019, betawiki.net). */
static const struct {
	uint32_t major, minor, first, last;
} released[] = {{5, 1, 2600, 2600}, {5, 2, 3790, 3790}, {6, 0, 6000, 6003},        {6, 1, 7600, 7601},
		{6, 2, 9200, 9200}, {6, 3, 9600, 9600}, {10, 0, 10240, UINT32_MAX}};

uint32_t kuser_only_build(unsigned major, unsigned minor)
{
	for (size_t i = 0; i < sizeof(released) / sizeof(released[0]); i++)
		if (released[i].major == major && released[i].minor == minor && released[i].first == released[i].last)
			return released[i].first;
	return 0;
}

bool kuser_may_be(unsigned major, unsigned minor, uint32_t build)
{
	for (size_t i = 0; i < sizeof(released) / sizeof(released[0]); i++)
		if (released[i].major == major && released[i].minor == minor)
			return build >= released[i].first && build <= released[i].last;
	return true;
}

const char *kuser_old(const struct kuser *u)
{
	if (!u->there || u->major != 5)
		return NULL;
	return u->minor == 2 ? "Windows Server 2003 or XP x64" : u->minor == 1 ? "Windows XP" : u->minor == 0 ? "Windows 2000" : NULL;
}
