/* fuzz_vm.c - page tables of every format from arbitrary bytes. Input: u8 format, u8 flags, u16 extra, u64 root, u64 va, then memory from
 * address 0 on (a pagefile is the same bytes). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "phys.h"
#include "rd.h"
#include "vm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vm_traits t = vm_traits_default;
	struct vm_missing m[3];
	struct input *in = NULL;
	struct phys *ph = NULL;
	struct vm *vm = NULL, *child = NULL;
	uint64_t va, start, len, at;
	uint8_t buf[9000];

	if (size < 24)
		return 0;
	va = le64(data + 12);
	if (input_open_memory(&in, data + 20, size - 20, "fuzz", NULL) < 0 || phys_new(&ph, NULL, NULL) < 0)
		abort();
	phys_add_file(ph, 0, size - 20, in, 0, NULL);
	phys_seal(ph, NULL);
	if (vm_open(&vm, ph, (enum vm_arch)(data[0] % 5), le64(data + 4), NULL) < 0)
		abort();
	t.has_swizzle = data[1] & 1;
	t.pagefile_low_shift = data[1] & 2 ? 1 : 12;
	t.pfn_bits = data[1] & 4 ? 52 : 48;
	t.invalid_pte_mask = (uint64_t)le16(data + 2) << 36;
	vm_set_traits(vm, &t);
	vm_set_pagefile(vm, data[1] >> 4, in, NULL);
	if (vm_open_like(&child, vm, va, NULL) < 0)
		abort();
	vm_read(vm, va, buf, 8);
	vm_read_padded(vm, va, buf, sizeof(buf), m, 3);
	vm_read_padded(child, le64(data + 4), buf, sizeof(buf), m, 3);
	vm_pa(child, va, &start);
	at = va & 0xffff;
	for (unsigned i = 0; i < 4 && vm_next_mapped(vm, at, at + (UINT64_C(1) << 28), &start, &len); i++) {
		if (start + len <= at || len == 0)
			abort();
		at = start + len;
	}
	vm_close(child);
	vm_close(vm);
	phys_free(ph);
	input_close(in);
	return 0;
}
