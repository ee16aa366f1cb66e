// A function marked with LORIKEET_VECTOR_CLONES is compiled for several instruction sets, and the program uses the best
// that the processor has. For plain loops that compilers vectorise: wider vectors make them several times faster.
#pragma once

// glibc chooses the clone while it loads the program, before the sanitizers are ready.
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define LORIKEET_VECTOR_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define LORIKEET_VECTOR_CLONES
#endif
