/* seeds.h - the parts of mkseeds that have a file of their own. */
#ifndef ETLIFT_SEEDS_H
#define ETLIFT_SEEDS_H

#include "buf.h"

void put(const char *dir, const char *target, const char *name, const struct buf *b); /* DIR/TARGET/NAME */

void disk_seeds(const char *dir);  /* EWF, VMware, AFF4 */
void layer_seeds(const char *dir); /* packed files */
void windows_seeds(const char *dir);
void container_seeds(const char *dir); /* LiME, ELF, AVML, kdump, QEVM */

#endif
