#include "kernels/buffer_pool.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>

namespace lorikeet {
namespace {

constexpr std::size_t kLarge = std::size_t{4} << 20;  // malloc already reuses smaller blocks
constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Maps new memory, aligned to huge pages and a multiple of them in size.
char* map(std::size_t size) {
  const std::size_t whole = size + kHugePage;
  void* const space = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (space == MAP_FAILED) throw std::bad_alloc();
  const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(space) % kHugePage) % kHugePage;
  char* const data = static_cast<char*>(space) + before;
  if (before > 0) munmap(space, before);
  munmap(data + size, kHugePage - before);
  madvise(data, size, MADV_HUGEPAGE);  // fewer page faults; optional
  return data;
}

// Moves a huge page to the address of another one.
void move(char* page, char* to) {
  if (mremap(page, kHugePage, kHugePage, MREMAP_MAYMOVE | MREMAP_FIXED, to) != MAP_FAILED) return;
  // Too many mappings; the system may already have unmapped the target.
  munmap(page, kHugePage);
  if (mmap(to, kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
    throw std::bad_alloc();
}

// All sizes are multiples of kHugePage, and all runs and buffers are aligned to it. A buffer of a new size is assembled
// from the pages of free runs, which are remapped without copying.
class BufferPool final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    void* const data = bytes < kLarge ? c10::alloc_cpu(bytes) : large(bytes);
    return {data, data, &BufferPool::release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &BufferPool::release; }
  void copy_data(void* to, const void* from, std::size_t count) const override { default_copy_data(to, from, count); }

  // Never destroyed: static tensors are freed after main returns.
  static BufferPool& instance() {
    static auto* const kPool = new BufferPool;
    return *kPool;
  }

  PoolUse use() {
    const std::lock_guard lock(mutex_);
    return use_;
  }

 private:
  void* large(std::size_t bytes) {
    if (bytes > std::numeric_limits<std::size_t>::max() - 2 * kHugePage) throw std::bad_alloc();
    const std::size_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    const std::lock_guard lock(mutex_);
    const auto fits = held_.lower_bound(size);
    const auto found = fits == held_.end()
                           ? fits
                           : std::prev(held_.upper_bound(
                                 fits->first));  // the most recently used one of that size, likely still in cache
    char* const data = found == held_.end() ? put_together(size) : take(found, size);
    in_use_.emplace(data, size);
    ++use_.requests;
    if (found != held_.end()) ++use_.reused;
    use_.live += size;
    use_.peak = std::max(use_.peak, use_.live);
    return data;
  }

  using Runs = std::multimap<std::size_t, char*>;  // by size

  void hold(char* run, std::size_t size) {
    if (size == 0) return;
    held_.emplace(size, run);
    use_.held += size;
  }

  // Takes the first `size` bytes of a held run.
  char* take(Runs::iterator held, std::size_t size) {
    const auto [whole, run] = *held;
    held_.erase(held);
    use_.held -= whole;
    hold(run + size, whole - size);
    return run;
  }

  // Assembles a buffer from the pages of smaller runs, and new pages if these do not suffice.
  char* put_together(std::size_t size) {
    char* const data = map(size);
    for (std::size_t filled = 0; filled < size && !held_.empty();) {
      const auto largest = std::prev(held_.end());
      const std::size_t part = std::min(largest->first, size - filled);
      char* const from = take(largest, part);
      // Page by page, because pages of a run may belong to different mappings.
      for (std::size_t page = 0; page < part; page += kHugePage) move(from + page, data + filled + page);
      filled += part;
    }
    return data;
  }

  // Returns false if `data` is not from the pool.
  bool take_back(void* data) {
    const std::lock_guard lock(mutex_);
    const auto buffer = in_use_.find(data);
    if (buffer == in_use_.end()) return false;
    use_.live -= buffer->second;
    hold(static_cast<char*>(data), buffer->second);
    in_use_.erase(buffer);
    return true;
  }

  static void release(void* data) {
    const bool may_be_large = reinterpret_cast<std::uintptr_t>(data) % kHugePage == 0;
    if (data != nullptr && !(may_be_large && instance().take_back(data))) c10::free_cpu(data);
  }

  std::mutex mutex_;
  Runs held_;
  std::unordered_map<void*, std::size_t> in_use_;
  PoolUse use_;
};

}  // namespace

void reuse_buffers() { c10::SetCPUAllocator(&BufferPool::instance(), /*priority=*/1); }

PoolUse pool_use() { return BufferPool::instance().use(); }

}  // namespace lorikeet
