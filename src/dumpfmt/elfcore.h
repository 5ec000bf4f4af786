/* elfcore.h - what other containers share with ELF cores. */
#ifndef ETLIFT_ELFCORE_H
#define ETLIFT_ELFCORE_H

#include "dumpfmt.h"

/* Hints out of ELF notes: QEMU's processors, a Windows dump header in VMCOREINFO. */
void elfcore_notes(struct dump *d, const uint8_t *p, uint32_t n);
/* The same for the contents of a VMCOREINFO note alone. */
void elfcore_vmcoreinfo(struct dump *d, const uint8_t *p, uint32_t n);

#endif
