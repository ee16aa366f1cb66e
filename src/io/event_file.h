// TensorBoard's event files: records of TFRecord's framing (length, masked CRC-32C, data, masked CRC-32C), each an
// Event message of tensorflow/core/util/event.proto.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lorikeet {

/// CRC-32C (Castagnoli) of `bytes`.
std::uint32_t crc32c(std::string_view bytes);

class EventFile {
 public:
  /// Creates the file. TensorBoard reads files whose name contains "tfevents". `wall_time` is in seconds since 1970.
  /// Throws Error if it cannot be written.
  EventFile(std::filesystem::path path, double wall_time);

  /// Appends the values of one step, by their tags ("train/loss").
  void add(std::int64_t step, double wall_time, const std::vector<std::pair<std::string, double>>& scalars);
  /// Passes everything to the system, so that TensorBoard sees it.
  void flush();

 private:
  void write_record(const std::string& event);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

}  // namespace lorikeet
