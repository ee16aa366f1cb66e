// doctest's main for the tests of `device: cuda`. They use the device in LORIKEET_TEST_DEVICE, by default "cuda". The
// exit code is 77, which ctest counts as skipped, if there is none. With "cpu" they compare the CPU with itself, to
// check the tests.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "cuda/device.h"

int main(int argc, char** argv) {
  if (lorikeet::test_device().is_cuda() && !at::hasCUDA()) {
    std::puts("... skipped: no CUDA device; LORIKEET_TEST_DEVICE=cpu runs these tests on the CPU");
    return 77;
  }
  return doctest::Context(argc, argv).run();
}
