/* relatives.h - which files make one image together, where their names alone don't tell: for who goes through a folder (batch).
 *
 * Pieces that split(1) made (their sizes must be those of pieces), parts of a split kdump (by their headers), a VMware state file of another name than
 * its memory (by what it says of it). Not: what names tell, .E02, .002, a .vmss of the memory's name. */
#ifndef ETLIFT_RELATIVES_H
#define ETLIFT_RELATIVES_H

/* Tells the path of each other file that is read with this one, and that is not to be given itself. Nothing, where it can't be read. */
void dump_relatives(const char *path, void (*fn)(void *ctx, const char *other), void *ctx);

#endif
