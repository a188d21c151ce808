// Virtual memory: address ranges, memory, and the mapping of one into the other. A mapping covers a whole range.
#include "common/immortal.hpp"
#include "cuda/entry.hpp"
#include "cuda/handles.hpp"
#include "cuda/memory.hpp"

namespace nvsim::cuda {

// It takes room only if it is mapped.
struct PhysicalMemory {
    std::atomic<size_t> size{0};
    std::atomic<int> device{0};
    std::atomic<bool> alive{false};
};

}  // namespace nvsim::cuda

using namespace nvsim::cuda;

using CUmemory = PhysicalMemory*;

namespace {

constexpr size_t kGranularity = size_t{2} << 20;
constexpr int kPinned = 1;
constexpr int kOnDevice = 1;

struct Location {
    int type;
    int id;
};

// The beginnings of CUmemAllocationProp and CUmemAccessDesc.
struct Properties {
    int type;
    int handle_types;
    Location location;
};

struct Access {
    Location location;
    int flags;
};

using MemoryHandles = HandlePool<PhysicalMemory, 1 << 16>;

MemoryHandles& handles() { return nvsim::immortal<MemoryHandles>(); }

bool fits(const Properties* wanted) {
    return wanted != nullptr && wanted->type == kPinned && wanted->location.type == kOnDevice &&
           wanted->location.id >= 0 && wanted->location.id < machine().devices;
}

// The range of exactly those addresses.
Allocation* range_at(CUdeviceptr address, size_t size) {
    Allocation* range = find_allocation(address);
    const bool exact = range != nullptr && range->alive && range->kind == MemoryKind::mapped &&
                       range->base == address && range->size == size;
    return exact ? range : nullptr;
}

// Of a range: what is mapped into it. The memory itself may be released already.
bool is_mapped(const Allocation& range) { return range.flags != 0; }

}  // namespace

NVSIM_CUDA(cuMemGetAllocationGranularity, (size_t* granularity, const void* properties, int option),
           (granularity, properties, option)) {
    static_cast<void>(option);
    if (granularity == nullptr || !fits(static_cast<const Properties*>(properties))) return CUDA_ERROR_INVALID_VALUE;
    *granularity = kGranularity;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuMemCreate, (CUmemory * memory, size_t size, const void* properties, unsigned long long flags),
           (memory, size, properties, flags)) {
    const auto* wanted = static_cast<const Properties*>(properties);
    const bool whole = size != 0 && size % kGranularity == 0;
    if (memory == nullptr || !whole || flags != 0 || !fits(wanted)) return CUDA_ERROR_INVALID_VALUE;
    *memory = handles().take();
    (*memory)->size = size;
    (*memory)->device = wanted->location.id;
    handles().publish(*memory);
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuMemRelease, (CUmemory memory), (memory)) {
    if (handles().state(memory) != HandleState::alive || !handles().end(memory)) return CUDA_ERROR_INVALID_VALUE;
    handles().retire(memory);
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuMemAddressReserve,
           (CUdeviceptr * address, size_t size, size_t alignment, CUdeviceptr near, unsigned long long flags),
           (address, size, alignment, near, flags)) {
    static_cast<void>(alignment);
    static_cast<void>(near);
    if (address == nullptr || size == 0 || size % kGranularity != 0 || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    CUresult status = CUDA_SUCCESS;
    const Context* context = ThreadContexts::current() != nullptr ? working_context(status) : nullptr;
    const Allocation* range = reserve_addresses(context != nullptr ? context->device.load() : 0, size);
    if (range == nullptr) return CUDA_ERROR_OUT_OF_MEMORY;
    *address = range->base;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuMemAddressFree, (CUdeviceptr address, size_t size), (address, size)) {
    Allocation* range = range_at(address, size);
    const bool idle = range != nullptr && !is_mapped(*range);
    return idle && free_allocation(*range) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

NVSIM_CUDA(cuMemMap, (CUdeviceptr address, size_t size, size_t offset, CUmemory memory, unsigned long long flags),
           (address, size, offset, memory, flags)) {
    Allocation* range = range_at(address, size);
    const bool fine = range != nullptr && !is_mapped(*range) && handles().state(memory) == HandleState::alive &&
                      memory->size == size && offset == 0 && flags == 0;
    if (!fine) return CUDA_ERROR_INVALID_VALUE;
    range->device = memory->device.load();
    range->flags = 1;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuMemSetAccess, (CUdeviceptr address, size_t size, const void* accesses, size_t count),
           (address, size, accesses, count)) {
    constexpr int kReadWrite = 3;
    Allocation* range = range_at(address, size);
    if (range == nullptr || !is_mapped(*range) || accesses == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const auto* wanted = static_cast<const Access*>(accesses);
    for (size_t i = 0; i < count; ++i) {
        if (wanted[i].location.id == range->device) range->accessible = wanted[i].flags == kReadWrite;
    }
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuMemUnmap, (CUdeviceptr address, size_t size), (address, size)) {
    Allocation* range = range_at(address, size);
    if (range == nullptr || !is_mapped(*range)) return CUDA_ERROR_INVALID_VALUE;
    range->accessible = false;
    range->flags = 0;
    return CUDA_SUCCESS;
}
