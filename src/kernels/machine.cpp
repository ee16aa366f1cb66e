#include "kernels/machine.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <thread>

#include "kernels/onednn.h"

namespace lorikeet {

namespace {

// ATen's own question for this has changed its name between the versions of libtorch that are supported.
bool has_bfloat16() {
#if defined(__x86_64__) && defined(__GNUC__)
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return false;
#endif
}

}  // namespace

Machine examine_machine() {
  return {static_cast<int>(std::thread::hardware_concurrency()),
          at::get_num_threads(),
          at::get_cpu_capability(),
          at::hasMKLDNN(),
          has_bfloat16(),
          has_int8(),
          at::hasCUDA()};
}

}  // namespace lorikeet
