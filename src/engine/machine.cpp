#include "engine/machine.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>

#include <thread>

namespace lorikeet {

Machine examine_machine() {
  return {static_cast<int>(std::thread::hardware_concurrency()), at::get_num_threads(), at::get_cpu_capability(), at::hasMKLDNN(),
          at::hasCUDA()};
}

}  // namespace lorikeet
