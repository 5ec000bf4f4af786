/* qevmrecord.h - numbers of a QEMU stream: types of sections, flags of a record of RAM pages (QEMU's migration/savevm.h and ram.c). */
#ifndef ETLIFT_QEVMRECORD_H
#define ETLIFT_QEVMRECORD_H

enum {
	QEVM_EOF = 0,
	QEVM_START,
	QEVM_PART,
	QEVM_END,
	QEVM_FULL,
	QEVM_SUBSECTION,
	QEVM_VMDESC,
	QEVM_CONFIG,
	QEVM_COMMAND,
	QEVM_FOOTER = 0x7e
};

enum { /* in the low bits of a record's u64, whose others are the page's offset in its block */
       QEVM_RAM_ZERO = 2,
       QEVM_RAM_SIZES = 4,
       QEVM_RAM_PAGE = 8,
       QEVM_RAM_EOS = 0x10,
       QEVM_RAM_CONTINUE = 0x20, /* of the block of the record before; else a name follows */
       QEVM_RAM_XBZRLE = 0x40,
       QEVM_RAM_HOOK = 0x80,
       QEVM_RAM_PACKED = 0x100,
       QEVM_RAM_FLUSH = 0x200
};

#endif
