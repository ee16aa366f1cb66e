#include "kernels/machine.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Exception.h>

#include <thread>

#include "kernels/onednn.h"

namespace lorikeet {

namespace {

// The name of ATen's function for this differs between supported libtorch versions.
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

std::optional<std::uint64_t> available_cuda_memory() {
  if (!at::hasCUDA()) return std::nullopt;
  try {
    const auto device = c10::impl::VirtualGuardImpl(at::kCUDA).getDevice().index();
    auto& allocator = *c10::getDeviceAllocator(at::kCUDA);
    const auto [free, total] = allocator.getMemoryInfo(device);
    const auto statistics = allocator.getDeviceStats(device);
    constexpr auto kAll = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    const std::int64_t reusable = statistics.reserved_bytes[kAll].current - statistics.allocated_bytes[kAll].current;
    return free + static_cast<std::uint64_t>(reusable);
  } catch (const c10::Error&) {  // an allocator that cannot say, as cudaMallocAsync's
    return std::nullopt;
  }
}

}  // namespace lorikeet
