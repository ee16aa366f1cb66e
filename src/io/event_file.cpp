#include "io/event_file.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <protozero/pbf_builder.hpp>

#include "base/error.h"

namespace lorikeet {
namespace {

using EventTag = protozero::pbf_tag_type;
enum class EventField : EventTag { kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5 };
enum class SummaryField : EventTag { kValue = 1 };
enum class ScalarField : EventTag { kTag = 1, kSimpleValue = 2 };

std::array<std::uint32_t, 256> castagnoli_table() {
  std::array<std::uint32_t, 256> out{};
  for (std::uint32_t i = 0; i < out.size(); ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78U : 0U);
    out[i] = value;
  }
  return out;
}

template <typename Integer>
std::string little_endian(Integer value) {
  std::string out;
  for (std::size_t i = 0; i < sizeof(Integer); ++i) out += static_cast<char>((value >> (8 * i)) & 0xff);
  return out;
}

// TFRecord's mask: records that contain CRCs would otherwise have CRCs of a special form.
std::string masked_crc(std::string_view bytes) {
  const std::uint32_t crc = crc32c(bytes);
  return little_endian(((crc >> 15) | (crc << 17)) + 0xa282ead8U);
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static const auto kTable = castagnoli_table();
  std::uint32_t crc = 0xffffffffU;
  for (const char c : bytes) crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

EventFile::EventFile(std::filesystem::path path, double wall_time)
    : path_(std::move(path)), file_(std::fopen(path_.c_str(), "we"), std::fclose) {
  if (!file_) fail(path_.string(), ": cannot be written: ", std::strerror(errno), ".");
  std::string event;
  protozero::pbf_builder<EventField> out(event);
  out.add_double(EventField::kWallTime, wall_time);
  out.add_string(EventField::kFileVersion, "brain.Event:2");
  write_record(event);
}

void EventFile::add(std::int64_t step, double wall_time, const std::vector<std::pair<std::string, double>>& scalars) {
  std::string event;
  {
    protozero::pbf_builder<EventField> out(event);
    out.add_double(EventField::kWallTime, wall_time);
    out.add_int64(EventField::kStep, step);
    protozero::pbf_builder<SummaryField> summary(out, EventField::kSummary);
    for (const auto& [tag, value] : scalars) {
      protozero::pbf_builder<ScalarField> scalar(summary, SummaryField::kValue);
      scalar.add_string(ScalarField::kTag, tag);
      scalar.add_float(ScalarField::kSimpleValue, static_cast<float>(value));
    }
  }
  write_record(event);
}

void EventFile::write_record(const std::string& event) {
  const std::string length = little_endian(static_cast<std::uint64_t>(event.size()));
  const std::string record = length + masked_crc(length) + event + masked_crc(event);
  if (std::fwrite(record.data(), 1, record.size(), file_.get()) != record.size())
    fail(path_.string(), ": cannot be written: ", std::strerror(errno), ".");
}

void EventFile::flush() {
  if (std::fflush(file_.get()) != 0) fail(path_.string(), ": cannot be written: ", std::strerror(errno), ".");
}

}  // namespace lorikeet
