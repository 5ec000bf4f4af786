/* kernel_versions.h - the version of a kernel file by its PE header, compiled in from data/kernel-versions.txt: for kernels whose RSDS record no
 * profile knows. Tells a name only: layouts come from profiles or from the memory. */
#ifndef ETLIFT_KERNEL_VERSIONS_H
#define ETLIFT_KERNEL_VERSIONS_H

#include <stdbool.h>
#include <stdint.h>

#define KERNEL_VERSION_MAX 48

/* "10.0.19041.1466", or both with " or " between them where two versions share the pair. False: not known (or out of memory). */
bool kernel_version(uint32_t timestamp, uint64_t size, char out[KERNEL_VERSION_MAX]);

#endif
