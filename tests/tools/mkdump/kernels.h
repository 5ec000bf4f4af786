/* kernels.h - the kernel that a made machine runs: a real one of the build with its symbols, or for builds whose symbols nobody has a made one
 * with a real layout. */
#ifndef ETLIFT_KERNELS_H
#define ETLIFT_KERNELS_H

#include "profile.h"
#include "winmem.h"

/* `version` names a kernel ("10.0.19041.1466") or a layout variant ("s15063.0"); "" takes the last kernel, else the last variant. True: a real
 * kernel; false: a layout, symbols at places of our own, an identity that no profile has. Ends the program when there is neither. */
bool kernel_of_build(unsigned build, enum wm_arch arch, const char *version, struct profile *out);

#endif
