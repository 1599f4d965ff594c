// HRM_CPU, the namespace of the CPU's kernels. The sources in this folder are compiled once for
// each instruction set, each time into a namespace of its own (-DHRM_CPU=cpu_v3, say), and a
// program picks one of these copies when it starts: see kernels/instruction_sets.h. Whoever else
// includes a header of this folder, such as a test, has what it declares in hrm::cpu.
#pragma once

#ifdef HRM_CPU
#define HRM_IN_KERNEL_COPY 1
#else
#define HRM_IN_KERNEL_COPY 0
#define HRM_CPU cpu
#endif
