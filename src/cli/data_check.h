// lorikeet data check.
#pragma once

#include <cstdint>
#include <string>

namespace lorikeet::cli {

struct CheckOptions {
  std::string data;
  double validation_share = 0.1;
  double test_share = 0.1;
  std::int64_t split_seed = 0;
  int threads = 0;
  bool json = false;
};

/// Returns the exit code.
int check_command(const CheckOptions& options);

}  // namespace lorikeet::cli
