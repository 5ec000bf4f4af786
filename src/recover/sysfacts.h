/* sysfacts.h - what the kernel says about the machine: clock, CPUs, times, time zone. */
#ifndef ETLIFT_SYSFACTS_H
#define ETLIFT_SYSFACTS_H

#include "etw.h"
#include "kernel.h"

/* Fills the members of *sys that the kernel knows; the others stay as they are. */
void sysfacts_read(const struct kernel *k, struct etw_system *sys);

#endif
