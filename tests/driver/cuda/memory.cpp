#include "cuda/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <new>
#include <shared_mutex>

#include "common/immortal.hpp"
#include "common/instrument.hpp"
#include "cuda/context.hpp"
#include "cuda/handles.hpp"

namespace nvsim::cuda {
namespace {

constexpr unsigned kPageBits = 12;  // every allocation has pages of its own, and one more that tells what runs over
constexpr uint64_t kPage = 1ull << kPageBits;
constexpr unsigned kSpaceBits = 34;  // addresses for each GPU; a GPU may have less memory, or claim more
constexpr uint64_t kSpace = 1ull << kSpaceBits;
constexpr int kHostSpace = kMostGpus;  // one more space for pinned and managed memory
constexpr int kSpaces = kMostGpus + 1;
constexpr uint64_t kDeviceRange = kSpace * kMostGpus;
constexpr uint64_t kRange = kSpace * kSpaces;
constexpr uint64_t kGrowth = 64ull << 20;     // memory is made usable in steps
constexpr uint64_t kMostKept = 256ull << 20;  // freed memory of a space that is not given back to the system

uint64_t pages_of(uint64_t size) { return (size + kPage - 1) & ~(kPage - 1); }

char* reserve(uint64_t size, int protection) {
    void* memory = mmap(nullptr, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    return static_cast<char*>(memory);
}

using AllocationPool = HandlePool<Allocation, 1 << 20>;

// First-fit over one space, neighbours merged.
class Space {
   public:
    // An offset, or kSpace if there is no room.
    uint64_t take(uint64_t size, char* backing) {
        for (auto block = free_.begin(); block != free_.end(); ++block) {
            if (block->second < size) continue;
            const uint64_t offset = block->first;
            const uint64_t rest = block->second - size;
            free_.erase(block);
            kept_ -= std::min(kept_, size);
            if (rest != 0) free_.emplace(offset + size, rest);
            return offset;
        }
        if (end_ + size > kSpace) return kSpace;
        const uint64_t offset = end_;
        end_ += size;
        if (end_ > usable_) {
            const uint64_t wanted = (end_ + kGrowth - 1) / kGrowth * kGrowth;
            if (mprotect(backing + usable_, wanted - usable_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
            usable_ = wanted;
        }
        return offset;
    }

    void give(uint64_t offset, uint64_t size, char* backing) {
        if (kept_ + size > kMostKept)
            madvise(backing + offset, size, MADV_DONTNEED);
        else
            kept_ += size;
        auto next = free_.lower_bound(offset);
        if (next != free_.end() && offset + size == next->first) {
            size += next->second;
            next = free_.erase(next);
        }
        if (next != free_.begin()) {
            const auto before = std::prev(next);
            if (before->first + before->second == offset) {
                before->second += size;
                return;
            }
        }
        free_.emplace_hint(next, offset, size);
    }

   private:
    std::map<uint64_t, uint64_t> free_;  // offset -> size
    uint64_t end_ = 0;
    uint64_t usable_ = 0;
    uint64_t kept_ = 0;
};

class Memory {
   public:
    Memory()
        : addresses_(reserve(kDeviceRange, PROT_NONE)),
          backing_(reserve(kRange, PROT_NONE)),
          page_owners_(reinterpret_cast<std::atomic<Allocation*>*>(
              reserve((kRange >> kPageBits) * sizeof(std::atomic<Allocation*>), PROT_READ | PROT_WRITE))) {}

    Allocation* allocate(int device, Context* context, size_t size, MemoryKind kind, unsigned flags) {
        const int space = kind == MemoryKind::pinned || kind == MemoryKind::managed ? kHostSpace : device;
        const uint64_t pages = pages_of(size);
        if (space == device && used_[device] + pages > gpu(device).memory_bytes) return nullptr;
        uint64_t offset = 0;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            const uint64_t found = pages > kSpace ? kSpace : spaces_[space].take(pages + kPage, space_start(space));
            if (found == kSpace) return nullptr;
            offset = kSpace * static_cast<uint64_t>(space) + found;
        }
        if (space == device) used_[device] += pages;
        Allocation* allocation = pool_.take();
        allocation->base = client_address(offset);
        allocation->size = size;
        allocation->context = context;
        allocation->context_serial = context != nullptr ? context->serial.load() : 0;
        allocation->device = device;
        allocation->kind = kind;
        allocation->flags = flags;
        allocation->id = next_id_.fetch_add(1);
        allocation->pool = nullptr;
        allocation->accessible = kind != MemoryKind::mapped;
        for (uint64_t page = offset; page <= offset + pages; page += kPage)
            page_owners_[page >> kPageBits].store(allocation, std::memory_order_release);
        pool_.publish(allocation);
        (kind == MemoryKind::pinned ? live_host_ : live_device_).fetch_add(1);
        return allocation;
    }

    bool free(Allocation& allocation) {
        if (!pool_.end(&allocation)) return false;
        const uint64_t offset = offset_of(allocation.base);
        const uint64_t pages = pages_of(allocation.size);
        const int space = static_cast<int>(offset >> kSpaceBits);
        if (space != kHostSpace) used_[space] -= pages;
        (allocation.kind == MemoryKind::pinned ? live_host_ : live_device_).fetch_sub(1);
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            spaces_[space].give(offset & (kSpace - 1), pages + kPage, space_start(space));
        }
        pool_.retire(&allocation);
        return true;
    }

    Allocation* find(uint64_t address) const {
        const uint64_t offset = offset_of(address);
        return offset < kRange ? page_owners_[offset >> kPageBits].load(std::memory_order_acquire) : nullptr;
    }

    bool is_device(uint64_t address) const { return address - base(addresses_) < kDeviceRange; }

    std::byte* bytes(uint64_t address) const {
        return reinterpret_cast<std::byte*>(is_device(address) ? address - base(addresses_) + base(backing_) : address);
    }

    void end_of(const Context& context) {
        pool_.each([&](Allocation& allocation) {
            if (allocation.context == &context) free(allocation);
        });
    }

    uint64_t used(int device) const { return used_[device]; }
    int64_t live_device() const { return live_device_; }
    int64_t live_host() const { return live_host_; }

   private:
    static uint64_t base(const char* start) { return reinterpret_cast<uint64_t>(start); }

    char* space_start(int space) const { return backing_ + kSpace * static_cast<uint64_t>(space); }

    // An offset counts through all spaces; kRange or more: none of ours.
    uint64_t offset_of(uint64_t address) const {
        const uint64_t in_device = address - base(addresses_);
        if (in_device < kDeviceRange) return in_device;
        const uint64_t in_host = address - base(backing_);
        return in_host >= kDeviceRange && in_host < kRange ? in_host : kRange;
    }

    uint64_t client_address(uint64_t offset) const {
        return offset + (offset < kDeviceRange ? base(addresses_) : base(backing_));
    }

    char* addresses_;
    char* backing_;
    std::atomic<Allocation*>* page_owners_;
    AllocationPool pool_;
    std::mutex mutex_;  // over the spaces
    Space spaces_[kSpaces];
    std::atomic<uint64_t> used_[kMostGpus] = {};
    std::atomic<uint64_t> next_id_{1};
    std::atomic<int64_t> live_device_{0};
    std::atomic<int64_t> live_host_{0};
};

Memory& memory() { return immortal<Memory>(); }

struct Registrations {
    std::shared_mutex mutex;
    std::map<uint64_t, uint64_t> sizes;  // by address
    std::atomic<int64_t> count{0};       // lets a look-up pass by without the lock
};

Registrations& registrations() { return immortal<Registrations>(); }

}  // namespace

Allocation* allocate(Context& context, size_t size, MemoryKind kind, unsigned flags) {
    return memory().allocate(context.device, &context, size, kind, flags);
}

Allocation* reserve_addresses(int device, size_t size) {
    return memory().allocate(device, nullptr, size, MemoryKind::mapped, 0);
}

CUresult allocate_in_current(size_t size, MemoryKind kind, unsigned flags, CUdeviceptr* address) {
    if (address == nullptr || size == 0) return CUDA_ERROR_INVALID_VALUE;
    CUresult status = CUDA_SUCCESS;
    Context* context = working_context(status);
    if (context == nullptr) return status;
    const Allocation* allocation = allocate(*context, size, kind, flags);
    if (allocation == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
    *address = allocation->base;
    return CUDA_SUCCESS;
}

Allocation* allocation_to_free(uint64_t address, bool host) {
    Allocation* allocation = find_allocation(address);
    const bool pinned = allocation != nullptr && allocation->kind == MemoryKind::pinned;
    const bool mapped = allocation != nullptr && allocation->kind == MemoryKind::mapped;
    const bool begins = allocation != nullptr && allocation->base == address && pinned == host && !mapped;
    if (begins && allocation->alive) return allocation;
    instrument::violation(name_of(reinterpret_cast<const void*>(address), "address"),
                          begins ? "freed twice, or after its context" : "freed, but no allocation begins here");
    return nullptr;
}

bool free_allocation(Allocation& allocation) { return memory().free(allocation); }
void end_allocations_of(const Context& context) { memory().end_of(context); }
Allocation* find_allocation(uint64_t address) { return memory().find(address); }
bool is_device_address(uint64_t address) { return memory().is_device(address); }
std::byte* bytes_at(uint64_t address) { return memory().bytes(address); }
uint64_t memory_used(int device) { return memory().used(device); }
int64_t live_device_allocations() { return memory().live_device(); }
int64_t live_host_allocations() { return memory().live_host(); }

CUresult register_host(void* address, size_t size) {
    if (address == nullptr || size == 0) return CUDA_ERROR_INVALID_VALUE;
    const uint64_t start = reinterpret_cast<uint64_t>(address);
    Registrations& known = registrations();
    const std::unique_lock<std::shared_mutex> lock(known.mutex);
    const auto next = known.sizes.lower_bound(start);
    const bool overlaps_next = next != known.sizes.end() && next->first < start + size;
    const bool overlaps_before =
        next != known.sizes.begin() && std::prev(next)->first + std::prev(next)->second > start;
    if (overlaps_next || overlaps_before) return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    known.sizes.emplace(start, size);
    known.count.fetch_add(1);
    return CUDA_SUCCESS;
}

CUresult unregister_host(void* address) {
    Registrations& known = registrations();
    const std::unique_lock<std::shared_mutex> lock(known.mutex);
    if (known.sizes.erase(reinterpret_cast<uint64_t>(address)) == 0) return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    known.count.fetch_sub(1);
    return CUDA_SUCCESS;
}

bool registered_host(uint64_t address, uint64_t& base, uint64_t& size) {
    Registrations& known = registrations();
    if (known.count.load(std::memory_order_acquire) == 0) return false;
    const std::shared_lock<std::shared_mutex> lock(known.mutex);
    auto found = known.sizes.upper_bound(address);
    if (found == known.sizes.begin()) return false;
    --found;
    if (address >= found->first + found->second) return false;
    base = found->first;
    size = found->second;
    return true;
}

int64_t live_registrations() { return registrations().count; }

}  // namespace nvsim::cuda
