#include "engine/buffer_pool.h"

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
#include <tuple>
#include <utility>

namespace lorikeet {
namespace {

constexpr std::size_t kHeader = 64;                   // ATen's alignment
constexpr std::size_t kPage = 4096;                   // of a large buffer's block the first page has the header, and nothing else
constexpr std::size_t kLarge = std::size_t{4} << 20;  // what is smaller the C library's heap keeps by itself
constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Lies before the data, so that a buffer can be returned by its address alone, as oneDNN's scratchpads are.
struct Header {
  std::size_t block;  // bytes of the block with its first page; 0: small, and c10's own
};
static_assert(sizeof(Header) <= kHeader && kHeader <= kPage);

void* data_behind(void* header, std::size_t block) {
  static_cast<Header*>(header)->block = block;
  return static_cast<char*>(header) + kHeader;
}

// Address space for a block, such that its data begin where a huge page can: a buffer of 4 MiB is two of them, and not three.
void* reserve(std::size_t size) {
  const std::size_t whole = size + kHugePage;
  void* const space = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (space == MAP_FAILED) throw std::bad_alloc();
  const std::size_t unaligned = (reinterpret_cast<std::uintptr_t>(space) + kPage) % kHugePage;
  const std::size_t before = unaligned == 0 ? 0 : kHugePage - unaligned;
  char* const block = static_cast<char*>(space) + before;
  if (before > 0) munmap(space, before);
  munmap(block + size, kHugePage - before);
  return block;
}

class BufferPool final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    void* const data = bytes < kLarge ? small(bytes) : large(bytes);
    return {data, data, &BufferPool::release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &BufferPool::release; }
  void copy_data(void* to, const void* from, std::size_t count) const override { default_copy_data(to, from, count); }

  // Never destroyed: tensors of static lifetime come back after main.
  static BufferPool& instance() {
    static auto* const kPool = new BufferPool;
    return *kPool;
  }

  PoolUse use() {
    const std::lock_guard lock(mutex_);
    return use_;
  }

 private:
  static void* small(std::size_t bytes) { return bytes == 0 ? nullptr : data_behind(c10::alloc_cpu(bytes + kHeader), 0); }

  void* large(std::size_t bytes) {
    if (bytes > std::numeric_limits<std::size_t>::max() - 2 * kHugePage) throw std::bad_alloc();
    const std::size_t wanted = kPage + (bytes + kPage - 1) / kPage * kPage;
    const std::lock_guard lock(mutex_);
    ++use_.requests;
    auto [size, block] = take(wanted);
    if (block == nullptr) std::tie(size, block) = std::pair(wanted, map(wanted));
    use_.live += size;
    use_.peak = std::max(use_.peak, use_.live);
    return data_behind(static_cast<char*>(block) + kPage - kHeader, size);
  }

  using Held = std::multimap<std::size_t, void*>;  // blocks by size

  std::pair<std::size_t, void*> drop(Held::iterator held) {
    const auto out = *held;
    use_.held -= held->first;
    held_.erase(held);
    return out;
  }

  // A held block that is large enough, and not much too large; null where there is none.
  std::pair<std::size_t, void*> take(std::size_t size) {
    const auto fits = held_.lower_bound(size);
    if (fits == held_.end() || fits->first > size + size / 4) return {0, nullptr};
    ++use_.reused;
    return drop(std::prev(held_.upper_bound(fits->first)));  // of that size the one last used: caches still have it
  }

  // A block from the system. Where what is held has to make room for it below the peak, one that is held grows or shrinks: its pages
  // stay, and need not come zeroed again.
  void* map(std::size_t size) {
    const auto too_much = [&] { return !held_.empty() && use_.live + use_.held + size > use_.peak; };
    void* block = nullptr;
    if (too_much()) {
      const auto larger = held_.lower_bound(size);
      block = resized(drop(larger == held_.end() ? std::prev(larger) : larger), size);
    }
    while (too_much()) {
      const auto [held, address] = drop(std::prev(held_.end()));
      munmap(address, held);
    }
    if (block == nullptr) block = reserve(size);
    madvise(block, size, MADV_HUGEPAGE);  // fewer faults; where it is refused, small pages do
    return block;
  }

  // Null where the system refuses; the block is gone then.
  static void* resized(std::pair<std::size_t, void*> block, std::size_t size) {
    const auto [held, address] = block;
    if (size <= held) {
      if (size < held) munmap(static_cast<char*>(address) + size, held - size);
      return address;
    }
    void* const moved = mremap(address, held, size, MREMAP_MAYMOVE | MREMAP_FIXED, reserve(size));
    if (moved != MAP_FAILED) return moved;
    munmap(address, held);
    return nullptr;
  }

  void give_back(void* block, std::size_t size) {
    const std::lock_guard lock(mutex_);
    use_.live -= size;
    use_.held += size;
    held_.emplace(size, block);
  }

  static void release(void* data) {
    if (data == nullptr) return;
    void* const header = static_cast<char*>(data) - kHeader;
    const std::size_t size = static_cast<Header*>(header)->block;
    if (size == 0) {
      c10::free_cpu(header);
    } else {
      instance().give_back(static_cast<char*>(data) - kPage, size);
    }
  }

  std::mutex mutex_;
  Held held_;
  PoolUse use_;
};

}  // namespace

void reuse_buffers() { c10::SetCPUAllocator(&BufferPool::instance(), /*priority=*/1); }

PoolUse pool_use() { return BufferPool::instance().use(); }

}  // namespace lorikeet
