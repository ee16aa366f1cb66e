#include "train/out_of_memory.h"

#include <c10/util/Exception.h>
#include <sys/resource.h>

#include <algorithm>
#include <new>
#include <optional>
#include <string_view>

#include "base/available_memory.h"
#include "base/error.h"
#include "base/text.h"

namespace lorikeet {
namespace {

// The most memory that this process has had.
std::uint64_t peak_memory() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

[[noreturn]] void fail_out_of_memory(const PlannedRun& run, std::uint64_t got, std::uint64_t wanted) {
  const std::int64_t batch = std::min(run.options.loop.batch_size, run.data.train->size());
  std::int64_t fits = batch / 2;
  while (fits > 0 && run_memory(run, fits).total() > got) fits /= 2;
  fail("training: got no memory", wanted > 0 ? cat(" for another ", human_bytes(wanted)) : "", " after ",
       human_bytes(got), ", expected about ", human_bytes(std::max(run_memory(run, batch).total(), got + wanted)),
       " for batch_size ", batch, ". Set batch_size to ", std::max<std::int64_t>(fits, 1), " or less",
       fits == 0 ? ", and a smaller image_size or cache_gib" : "", ", or close other programs.");
}

}  // namespace

void rethrow_out_of_memory(const PlannedRun& run) { rethrow_out_of_memory(run, peak_memory()); }

void rethrow_out_of_memory(const PlannedRun& run, std::uint64_t got) {
  try {
    throw;
  } catch (const c10::OutOfMemoryError&) {
    fail_out_of_memory(run, got, 0);
  } catch (const c10::Error& error) {
    const auto wanted = failed_allocation(error.what_without_backtrace());
    if (!wanted) throw;
    fail_out_of_memory(run, got, *wanted);
  } catch (const std::bad_alloc&) {
    fail_out_of_memory(run, got, 0);
  }
}

}  // namespace lorikeet
