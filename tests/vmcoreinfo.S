/* vmcoreinfo.S - a ROM of 64 KiB for tests/producers.py: what a guest's driver does before QEMU writes a Windows dump. It brings the processor
 * into long mode on tables of its own, tells QEMU over fw_cfg (docs/specs/fw_cfg.txt, docs/specs/vmcoreinfo.txt) where a note stands in
 * memory, and halts. At 7000 the script leaves the note's address (u64) and size (u32); at 7010 the ROM leaves 1 when it is done.
 * Built by: as --64, ld -Ttext=0xf0000, objcopy -O binary. */
	.set	ARGS, 0x7000
	.set	DONE, 0x7010
	.set	INFO, 0x7100		/* FWCfgVmcoreinfo: u16 host, u16 guest format, u32 size, u64 address */
	.set	DMA, 0x7200		/* FWCfgDmaAccess, big endian: u32 control, u32 length, u64 address */
	.set	TABLES, 0x8000		/* three pages */
	.set	SELECT, 0x510
	.set	DATA, 0x511
	.set	DMA_HIGH, 0x514
	.set	DMA_LOW, 0x518

	.text
	.code16
	.globl	_start
_start:
	cli
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %ss
	movw	$0x6ff0, %sp
	cld

	/* the file directory: u32 count, then {u32 size, u16 key, u16 0, name[56]}, big endian */
	movw	$SELECT, %dx
	movw	$0x19, %ax
	outw	%ax, %dx
	call	read32
	movl	%eax, %ebp
1:	testl	%ebp, %ebp
	jz	long_mode		/* no such file: nothing to tell */
	call	read32
	call	read32
	shrl	$16, %eax
	movl	%eax, %edi		/* its key */
	movw	$56, %cx
	movw	$name, %si
	xorw	%bx, %bx		/* differences */
2:	call	read8
	cmpb	$0, %cs:(%si)
	je	3f
	cmpb	%al, %cs:(%si)
	je	4f
	incw	%bx
4:	incw	%si
3:	loop	2b
	decl	%ebp
	testw	%bx, %bx
	jnz	1b

	/* the note's place, written by DMA: select the key, write */
	movw	$1, INFO
	movw	$1, INFO + 2
	movl	ARGS + 8, %eax
	movl	%eax, INFO + 4
	movl	ARGS, %eax
	movl	%eax, INFO + 8
	movl	ARGS + 4, %eax
	movl	%eax, INFO + 12
	movl	%edi, %eax
	shll	$16, %eax
	orl	$0x18, %eax
	bswapl	%eax
	movl	%eax, DMA
	movl	$0x10000000, DMA + 4	/* 16 */
	movl	$0, DMA + 8
	movl	$INFO, %eax
	bswapl	%eax
	movl	%eax, DMA + 12
	xorl	%eax, %eax
	movw	$DMA_HIGH, %dx
	outl	%eax, %dx
	movl	$DMA, %eax
	bswapl	%eax
	movw	$DMA_LOW, %dx
	outl	%eax, %dx
	movb	$1, DONE

long_mode:
	/* the first 2 MiB, as they are */
	movw	$TABLES, %di
	xorl	%eax, %eax
	movw	$0xc00, %cx
	movw	%ax, %es
	rep stosl
	movl	$TABLES + 0x1003, TABLES
	movl	$TABLES + 0x2003, TABLES + 0x1000
	movl	$0x83, TABLES + 0x2000
	lgdtl	%cs:gdt_at
	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$TABLES, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x100, %eax		/* LME */
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000001, %eax
	movl	%eax, %cr0
	ljmpl	$8, $0xf0000 + in_long

read8:
	movw	$DATA, %dx
	inb	%dx, %al
	ret
read32:
	pushw	%cx
	movw	$4, %cx
	xorl	%ebx, %ebx
5:	shll	$8, %ebx
	call	read8
	movb	%al, %bl
	loop	5b
	movl	%ebx, %eax
	popw	%cx
	ret

	.code64
in_long:
	cli
	hlt
	jmp	in_long

name:	.asciz	"etc/vmcoreinfo"
	.balign	8
gdt:	.quad	0
	.quad	0x00209a0000000000
gdt_at:	.word	15
	.long	0xf0000 + gdt

	.org	0xfff0
	.code16
	.byte	0xea			/* far jump to f000:_start */
	.word	_start
	.word	0xf000
	.org	0x10000
