#include "engine/buffer_pool.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <sys/mman.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <new>

namespace lorikeet {
namespace {

constexpr std::size_t kHeader = 64;               // ATen's alignment
constexpr std::size_t kLarge = std::size_t{4} << 20;  // what is smaller the C library's heap keeps by itself
constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Lies before the data, so that a buffer can be returned by its address alone, as oneDNN's scratchpads are.
struct Header {
  std::size_t block;  // bytes of the block with its header; 0: small, and c10's own
};
static_assert(sizeof(Header) <= kHeader);

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
  static void* data_of(void* block, std::size_t size) {
    static_cast<Header*>(block)->block = size;
    return static_cast<char*>(block) + kHeader;
  }

  static void* small(std::size_t bytes) { return bytes == 0 ? nullptr : data_of(c10::alloc_cpu(bytes + kHeader), 0); }

  void* large(std::size_t bytes) {
    if (bytes > std::numeric_limits<std::size_t>::max() - 2 * kHugePage) throw std::bad_alloc();
    const std::size_t size = (bytes + kHeader + kHugePage - 1) / kHugePage * kHugePage;
    const std::lock_guard lock(mutex_);
    ++use_.requests;
    void* block = take(size);
    if (block == nullptr) block = map(size);
    const std::size_t taken = static_cast<Header*>(block)->block;
    use_.live += taken;
    use_.peak = std::max(use_.peak, use_.live);
    return static_cast<char*>(block) + kHeader;
  }

  // A held block that is large enough, and not much too large; null where there is none.
  void* take(std::size_t size) {
    const auto fits = held_.lower_bound(size);
    if (fits == held_.end() || fits->first > size + size / 4) return nullptr;
    const auto found = std::prev(held_.upper_bound(fits->first));  // of that size the one last used: caches still have it
    void* const block = found->second;
    use_.held -= found->first;
    ++use_.reused;
    held_.erase(found);
    return block;
  }

  // From the system, once what is held has made room for it below the peak.
  void* map(std::size_t size) {
    while (!held_.empty() && use_.live + use_.held + size > use_.peak) {
      const auto largest = std::prev(held_.end());
      munmap(largest->second, largest->first);
      use_.held -= largest->first;
      held_.erase(largest);
    }
    void* const block = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) throw std::bad_alloc();
    madvise(block, size, MADV_HUGEPAGE);  // fewer faults; where it is refused, small pages do
    static_cast<Header*>(block)->block = size;
    return block;
  }

  void give_back(void* block, std::size_t size) {
    const std::lock_guard lock(mutex_);
    use_.live -= size;
    use_.held += size;
    held_.emplace(size, block);
  }

  static void release(void* data) {
    if (data == nullptr) return;
    void* const block = static_cast<char*>(data) - kHeader;
    const std::size_t size = static_cast<Header*>(block)->block;
    if (size == 0) {
      c10::free_cpu(block);
    } else {
      instance().give_back(block, size);
    }
  }

  std::mutex mutex_;
  std::multimap<std::size_t, void*> held_;  // by size
  PoolUse use_;
};

}  // namespace

void reuse_buffers() { c10::SetCPUAllocator(&BufferPool::instance(), /*priority=*/1); }

PoolUse pool_use() { return BufferPool::instance().use(); }

}  // namespace lorikeet
