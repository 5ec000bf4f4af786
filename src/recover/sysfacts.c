#include "sysfacts.h"

#include "rd.h"

/* KUSER_SHARED_DATA stands at one address on all machines of a word size (docs/finding-the-kernel.md). */
#define KUSER_64 UINT64_C(0xfffff78000000000)
#define KUSER_32 UINT64_C(0xffdf0000)

#define CPUS_BELIEVED 2048u

static bool symbol_u32(const struct kernel *k, enum prof_symbol s, uint32_t *out)
{
	uint64_t va;
	uint8_t b[4];

	if (!kernel_symbol(k, s, &va) || vm_read(k->vm, va, b, sizeof b) != 0)
		return false;
	*out = le32(b);
	return true;
}

static bool symbol_u64(const struct kernel *k, enum prof_symbol s, uint64_t *out)
{
	uint64_t va;
	uint8_t b[8];

	if (!kernel_symbol(k, s, &va) || vm_read(k->vm, va, b, sizeof b) != 0)
		return false;
	*out = le64(b);
	return true;
}

/* A global up to some servicing, since then in the host silo's globals. */
static bool time_zone(const struct kernel *k, uint8_t out[ETW_TIME_ZONE_SIZE])
{
	uint64_t va, state;

	if (kernel_symbol(k, S_ExpTimeZoneInformation, &va))
		return vm_read(k->vm, va, out, ETW_TIME_ZONE_SIZE) == 0;
	return kernel_symbol(k, S_PspHostSiloGlobals, &va) && kread_ptr(k, va, F_SILOGLOBALS_ExTimeZoneState, &state) == 0 &&
	       kread_bytes(k, state, F_TZSTATE_TimeZoneInformation, out, ETW_TIME_ZONE_SIZE) == 0;
}

/* The first processor that names its speed: a block's page may be lost. */
static bool speed(const struct kernel *k, uint32_t *mhz)
{
	uint64_t array = kernel_processor_block(k), prcb;
	unsigned ps = vm_pointer_size(k->vm);

	for (unsigned i = 0; array && i < (k->n_cpus ? k->n_cpus : 1) && i < CPUS_BELIEVED; i++)
		if (kread_ptr_at(k, array + (uint64_t)i * ps, &prcb) == 0 && kread_u32(k, prcb, F_KPRCB_MHz, mhz) == 0 && *mhz)
			return true;
	return false;
}

static void cpus(const struct kernel *k, struct etw_system *sys)
{
	uint32_t n;

	if (symbol_u32(k, S_KeNumberProcessors, &n) && n >= 1 && n <= CPUS_BELIEVED)
		sys->n_cpus = n;
	else if (k->n_cpus)
		sys->n_cpus = k->n_cpus;
	n = 0;
	if ((symbol_u32(k, S_EtwCPUSpeedInMHz, &n) && n != 0) || speed(k, &n))
		sys->cpu_mhz = n;
}

static void times(const struct kernel *k, struct etw_system *sys)
{
	uint64_t v, kuser = k->prof.pointer_size == 4 ? KUSER_32 : KUSER_64;

	if (k->system_time > 0)
		sys->system_time = k->system_time;
	if ((symbol_u64(k, S_EtwpBootTime, &v) || symbol_u64(k, S_KeBootTime, &v)) && (int64_t)v > 0)
		sys->boot_time = (int64_t)v;
	else if (k->boot_time > 0)
		sys->boot_time = k->boot_time;
	if (symbol_u64(k, S_EtwPerfFreq, &v) && v != 0)
		sys->perf_freq = v;
	else if (k->qpc_frequency)
		sys->perf_freq = k->qpc_frequency;
	if (kread_u64(k, kuser, F_KUSER_BaselineSystemTimeQpc, &v) == 0 && v != 0 && k->system_time > 0) {
		sys->has_qpc_pair = true;
		sys->qpc_pair_time = k->system_time;
		sys->qpc_pair_ts = v;
	}
}

void sysfacts_read(const struct kernel *k, struct etw_system *sys)
{
	uint32_t n;

	sys->build = k->build;
	sys->major = k->major;
	sys->minor = k->minor;
	if (k->has_bias) {
		sys->has_bias = true;
		sys->bias = k->bias;
	}
	sys->pointer_size = (uint8_t)vm_pointer_size(k->vm);
	if (!k->has_profile) {
		if (k->n_cpus)
			sys->n_cpus = k->n_cpus;
		if (k->system_time > 0)
			sys->system_time = k->system_time;
		if (k->boot_time > 0)
			sys->boot_time = k->boot_time;
		if (k->qpc_frequency)
			sys->perf_freq = k->qpc_frequency;
		return;
	}
	sys->partition_record = k->prof.traits.partition_record;
	if (symbol_u32(k, S_KeMaximumIncrement, &n) && n != 0)
		sys->timer_resolution = n;
	cpus(k, sys);
	times(k, sys);
	sys->has_time_zone |= time_zone(k, sys->time_zone);
}
