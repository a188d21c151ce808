// Allocation, pinned memory, and what is known of a pointer.
#include <cstring>

#include "cuda/entry.hpp"
#include "cuda/memory.hpp"
#include "cuda/stream.hpp"

using namespace nvsim::cuda;

namespace {

constexpr size_t kPitchAlignment = 512;

CUresult free_now(uint64_t address, bool host) {
    Allocation* allocation = allocation_to_free(address, host);
    if (allocation == nullptr) return CUDA_ERROR_INVALID_VALUE;
    finish_work(*allocation->context);  // work that uses the memory may be under way
    return free_allocation(*allocation) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult allocate_host(void** address, size_t size, unsigned flags) {
    CUdeviceptr found = 0;
    if (address == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const CUresult status = allocate_in_current(size, MemoryKind::pinned, flags, &found);
    if (status == CUDA_SUCCESS) *address = reinterpret_cast<void*>(found);
    return status;
}

const Allocation* living(uint64_t address) {
    const Allocation* allocation = find_allocation(address);
    const bool known =
        allocation != nullptr && allocation->alive.load(std::memory_order_acquire) && allocation->accessible &&
        address - allocation->base.load(std::memory_order_relaxed) < allocation->size.load(std::memory_order_relaxed);
    return known ? allocation : nullptr;
}

template <typename T>
CUresult answer(void* data, T value) {
    std::memcpy(data, &value, sizeof value);
    return CUDA_SUCCESS;
}

// The numbers are those of CUpointer_attribute. Memory of pools and virtual memory belongs to no context; only what
// cuMemAlloc gives is fit for CUDA's legacy IPC, and for NVENC.
CUresult pointer_attribute(void* data, int attribute, const Allocation& allocation, uint64_t address) {
    const bool pinned = allocation.kind == MemoryKind::pinned;
    const bool managed = allocation.kind == MemoryKind::managed;
    const bool shared = allocation.kind == MemoryKind::pool || allocation.kind == MemoryKind::mapped;
    switch (attribute) {
        case 1: return answer<Context*>(data, shared ? nullptr : allocation.context.load());
        case 2: return answer<unsigned>(data, pinned ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
        case 3: return answer<uint64_t>(data, address);
        case 4:
            if (!pinned && !managed) return CUDA_ERROR_INVALID_VALUE;
            return answer<uint64_t>(data, address);
        case 6: return answer<unsigned>(data, 0);
        case 7: return answer<uint64_t>(data, allocation.id);
        case 8: return answer<unsigned>(data, managed);
        case 9: return answer<int>(data, allocation.device);
        case 10:
            return answer<unsigned>(data, allocation.kind == MemoryKind::device && gpu(allocation.device).legacy_ipc);
        case 11: return answer<uint64_t>(data, allocation.base);
        case 12: return answer<uint64_t>(data, allocation.size);
        case 13: return answer<unsigned>(data, 1);
        case 14: return answer<uint64_t>(data, 0);
        case 15: return answer<unsigned>(data, 0);
        case 16: return answer<unsigned>(data, 3);
        case 17: return answer<const void*>(data, allocation.pool);
        default: return CUDA_ERROR_INVALID_VALUE;
    }
}

// What the calls with many attributes answer of a pointer that CUDA does not know.
CUresult unknown_attribute(void* data, int attribute) {
    constexpr int kNoDevice = -2;
    switch (attribute) {
        case 1:
        case 3:
        case 4:
        case 7:
        case 11:
        case 12:
        case 14:
        case 17: return answer<uint64_t>(data, 0);
        case 2:
        case 6:
        case 8:
        case 10:
        case 13:
        case 15:
        case 16: return answer<unsigned>(data, 0);
        case 9: return answer<int>(data, kNoDevice);
        default: return CUDA_ERROR_INVALID_VALUE;
    }
}

}  // namespace

NVSIM_CUDA(cuMemGetInfo_v2, (size_t* free_bytes, size_t* total), (free_bytes, total)) {
    if (free_bytes == nullptr || total == nullptr) return CUDA_ERROR_INVALID_VALUE;
    CUresult status = CUDA_SUCCESS;
    const Context* context = working_context(status);
    if (context == nullptr) return status;
    *total = gpu(context->device).memory_bytes;
    *free_bytes = *total - memory_used(context->device);
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuMemAlloc_v2, (CUdeviceptr * address, size_t size), (address, size)) {
    return allocate_in_current(size, MemoryKind::device, 0, address);
}

NVSIM_CUDA(cuMemAllocPitch_v2,
           (CUdeviceptr * address, size_t* pitch, size_t width, size_t height, unsigned element_size),
           (address, pitch, width, height, element_size)) {
    const bool known_size = element_size == 4 || element_size == 8 || element_size == 16;
    if (pitch == nullptr || width == 0 || height == 0 || !known_size) return CUDA_ERROR_INVALID_VALUE;
    const size_t row = (width + kPitchAlignment - 1) / kPitchAlignment * kPitchAlignment;
    if (row < width || height > (size_t{1} << 46) / row) return CUDA_ERROR_OUT_OF_MEMORY;
    const CUresult status = allocate_in_current(row * height, MemoryKind::device, 0, address);
    if (status == CUDA_SUCCESS) *pitch = row;
    return status;
}

NVSIM_CUDA(cuMemAllocManaged, (CUdeviceptr * address, size_t size, unsigned flags), (address, size, flags)) {
    return allocate_in_current(size, MemoryKind::managed, flags, address);
}

NVSIM_CUDA(cuMemFree_v2, (CUdeviceptr address), (address)) {
    return address == 0 ? CUDA_SUCCESS : free_now(address, false);
}

NVSIM_CUDA(cuMemAllocHost_v2, (void** address, size_t size), (address, size)) {
    return allocate_host(address, size, 0);
}

NVSIM_CUDA(cuMemHostAlloc, (void** address, size_t size, unsigned flags), (address, size, flags)) {
    return allocate_host(address, size, flags);
}

NVSIM_CUDA(cuMemFreeHost, (void* address), (address)) {
    return address == nullptr ? CUDA_SUCCESS : free_now(reinterpret_cast<uint64_t>(address), true);
}

NVSIM_CUDA(cuMemHostGetDevicePointer_v2, (CUdeviceptr * device, void* host, unsigned flags), (device, host, flags)) {
    uint64_t base = 0;
    uint64_t size = 0;
    const uint64_t address = reinterpret_cast<uint64_t>(host);
    const bool known = living(address) != nullptr || registered_host(address, base, size);
    if (device == nullptr || flags != 0 || !known) return CUDA_ERROR_INVALID_VALUE;
    *device = address;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuMemHostGetFlags, (unsigned* flags, void* host), (flags, host)) {
    const Allocation* allocation = living(reinterpret_cast<uint64_t>(host));
    if (flags == nullptr || allocation == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *flags = allocation->flags;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuMemHostRegister_v2, (void* address, size_t size, unsigned flags), (address, size, flags)) {
    static_cast<void>(flags);
    CUresult status = CUDA_SUCCESS;
    return working_context(status) == nullptr ? status : register_host(address, size);
}

NVSIM_CUDA(cuMemHostUnregister, (void* address), (address)) {
    CUresult status = CUDA_SUCCESS;
    Context* context = working_context(status);
    if (context == nullptr) return status;
    finish_work(*context);
    return unregister_host(address);
}

NVSIM_CUDA(cuMemGetAddressRange_v2, (CUdeviceptr * base, size_t* size, CUdeviceptr address), (base, size, address)) {
    const Allocation* allocation = living(address);
    if (allocation == nullptr) return CUDA_ERROR_NOT_FOUND;
    if (base != nullptr) *base = allocation->base;
    if (size != nullptr) *size = allocation->size;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuPointerGetAttribute, (void* data, int attribute, CUdeviceptr address), (data, attribute, address)) {
    if (data == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Allocation* allocation = living(address);
    if (allocation != nullptr) return pointer_attribute(data, attribute, *allocation, address);
    uint64_t base = 0;
    uint64_t size = 0;
    if (!registered_host(address, base, size)) return CUDA_ERROR_INVALID_VALUE;
    if (attribute == 2) return answer<unsigned>(data, CU_MEMORYTYPE_HOST);
    if (attribute == 3 || attribute == 4) return answer<uint64_t>(data, address);
    return unknown_attribute(data, attribute);
}

NVSIM_CUDA(cuPointerGetAttributes, (unsigned count, int* attributes, void** data, CUdeviceptr address),
           (count, attributes, data, address)) {
    if (attributes == nullptr || data == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Allocation* allocation = living(address);
    for (unsigned i = 0; i < count; ++i) {
        const CUresult status = allocation == nullptr || attributes[i] == 4
                                    ? unknown_attribute(data[i], attributes[i])
                                    : pointer_attribute(data[i], attributes[i], *allocation, address);
        if (status != CUDA_SUCCESS) return status;
    }
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuPointerSetAttribute, (const void* value, int attribute, CUdeviceptr address),
           (value, attribute, address)) {
    constexpr int kSyncMemops = 6;
    const bool fine = value != nullptr && attribute == kSyncMemops && living(address) != nullptr;
    return fine ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
