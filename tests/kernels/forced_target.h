// Runs Highway's kernels with a given instruction set.
#pragma once

#include <hwy/targets.h>

#include <cstdint>
#include <vector>

namespace lorikeet {

/// While it exists, the kernels are those of one instruction set.
class ForcedTarget {
 public:
  explicit ForcedTarget(std::int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  ~ForcedTarget() {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  ForcedTarget(const ForcedTarget&) = delete;
  ForcedTarget& operator=(const ForcedTarget&) = delete;
};

/// AVX2 and AVX-512, where the processor has them, and the fallback, which takes minutes under ThreadSanitizer.
inline std::vector<std::int64_t> forced_targets() {
  std::vector<std::int64_t> out;
  for (const std::int64_t target : {HWY_AVX3, HWY_AVX2})
    if ((hwy::SupportedTargets() & target) != 0) out.push_back(target);
#ifndef __SANITIZE_THREAD__
  out.push_back(HWY_SCALAR);
#endif
  return out;
}

}  // namespace lorikeet
