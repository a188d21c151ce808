// Allocation in a stream's order, and the pools that it draws from.
#include <cstring>

#include "common/immortal.hpp"
#include "cuda/entry.hpp"
#include "cuda/memory.hpp"
#include "cuda/stream.hpp"

using namespace nvsim::cuda;

namespace nvsim::cuda {

// Pools give every allocation back at once; their settings are kept and have no effect.
struct MemoryPool {
    std::atomic<int> device{0};
    std::atomic<bool> alive{false};
    std::atomic<uint64_t> release_threshold{0};
};

}  // namespace nvsim::cuda

namespace {

using PoolPool = HandlePool<MemoryPool, 1 << 12>;

PoolPool& pools() { return nvsim::immortal<PoolPool>(); }

struct DefaultPools {
    DefaultPools() {
        for (int i = 0; i < nvsim::kMostGpus; ++i) pools[i].device = i;
    }
    MemoryPool pools[nvsim::kMostGpus];
};

CUmemoryPool default_pool(int device) { return &nvsim::immortal<DefaultPools>().pools[device]; }

bool known_device(CUdevice device) { return device >= 0 && device < machine().devices; }

// From the pool, or the GPU's own for null.
CUresult allocate_in_order(CUdeviceptr* address, size_t size, CUmemoryPool pool, CUstream handle) {
    CUresult status = CUDA_SUCCESS;
    Context* context = working_context(status);
    if (context == nullptr) return status;
    Stream* stream = nullptr;
    if (!resolve_stream(handle, *context, stream)) return CUDA_ERROR_INVALID_HANDLE;
    status = allocate_in_current(size, MemoryKind::pool, 0, address);
    if (status != CUDA_SUCCESS) return status;
    find_allocation(*address)->pool = pool != nullptr ? pool : default_pool(context->device);
    return CUDA_SUCCESS;
}

}  // namespace

NVSIM_CUDA(cuMemAllocAsync, (CUdeviceptr * address, size_t size, CUstream stream), (address, size, stream)) {
    return allocate_in_order(address, size, nullptr, stream);
}

NVSIM_CUDA(cuMemAllocFromPoolAsync, (CUdeviceptr * address, size_t size, CUmemoryPool pool, CUstream stream),
           (address, size, pool, stream)) {
    return pool == nullptr ? CUDA_ERROR_INVALID_VALUE : allocate_in_order(address, size, pool, stream);
}

NVSIM_CUDA(cuMemFreeAsync, (CUdeviceptr address, CUstream handle), (address, handle)) {
    CUresult status = CUDA_SUCCESS;
    Context* context = working_context(status);
    if (context == nullptr) return status;
    Stream* stream = nullptr;
    if (!resolve_stream(handle, *context, stream)) return CUDA_ERROR_INVALID_HANDLE;
    Allocation* allocation = allocation_to_free(address, false);
    if (allocation == nullptr) return CUDA_ERROR_INVALID_VALUE;
    do_in_order(stream, *context, [allocation] { free_allocation(*allocation); });
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuDeviceGetDefaultMemPool, (CUmemoryPool * pool, CUdevice device), (pool, device)) {
    if (pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!known_device(device)) return CUDA_ERROR_INVALID_DEVICE;
    *pool = default_pool(device);
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuDeviceGetMemPool, (CUmemoryPool * pool, CUdevice device), (pool, device)) {
    if (pool == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!known_device(device)) return CUDA_ERROR_INVALID_DEVICE;
    *pool = default_pool(device);
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuMemPoolCreate, (CUmemoryPool * pool, const void* properties), (pool, properties)) {
    if (pool == nullptr || properties == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pool = pools().take();
    pools().publish(*pool);
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuMemPoolDestroy, (CUmemoryPool pool), (pool)) {
    if (pools().state(pool) != HandleState::alive || !pools().end(pool)) return CUDA_ERROR_INVALID_VALUE;
    pools().retire(pool);
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuMemPoolTrimTo, (CUmemoryPool pool, size_t keep), (pool, keep)) {
    static_cast<void>(keep);
    return pool == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

namespace {

constexpr int kReleaseThreshold = 4;

template <typename T>
CUresult answer(void* data, T value) {
    std::memcpy(data, &value, sizeof value);
    return CUDA_SUCCESS;
}

bool is_pool(CUmemoryPool pool) {
    const bool is_default = pool >= default_pool(0) && pool < default_pool(0) + nvsim::kMostGpus;
    return is_default || pools().state(pool) == HandleState::alive;
}

}  // namespace

NVSIM_CUDA(cuMemPoolSetAttribute, (CUmemoryPool pool, int attribute, void* value), (pool, attribute, value)) {
    if (!is_pool(pool) || value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    uint64_t number = 0;
    if (attribute == kReleaseThreshold) {
        std::memcpy(&number, value, sizeof number);
        pool->release_threshold = number;
    }
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuMemPoolGetAttribute, (CUmemoryPool pool, int attribute, void* value), (pool, attribute, value)) {
    if (!is_pool(pool) || value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (attribute < kReleaseThreshold) return answer<int>(value, 1);
    return answer<uint64_t>(value, attribute == kReleaseThreshold ? pool->release_threshold.load() : 0);
}
