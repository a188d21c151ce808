#include "cuda/memory_kind.hpp"

namespace pdum::nvenc {
namespace {

// False if CUDA does not say. The driver may write fewer bytes than the value has.
bool attribute(const CudaFunctions& functions, int attribute, CUdeviceptr address) {
    uint64_t value = 0;
    return functions.cuPointerGetAttribute(&value, attribute, address) == cuda_success && value != 0;
}

}  // namespace

bool MemoryKinds::is_legacy_ipc_capable(CUdeviceptr address) const {
    return attribute(functions_, pointer_is_legacy_ipc_capable, address);
}

bool MemoryKinds::is_plain(CUdeviceptr address) const {
    if (is_legacy_ipc_capable(address)) return true;
    return !has_legacy_ipc_ && of(address) == MemoryKind::plain;
}

MemoryKind MemoryKinds::of(CUdeviceptr address) const {
    if (is_legacy_ipc_capable(address)) return MemoryKind::plain;
    if (attribute(functions_, pointer_mempool, address)) return MemoryKind::pool;
    if (attribute(functions_, pointer_is_managed, address)) return MemoryKind::managed;
    return has_legacy_ipc_ ? MemoryKind::other : MemoryKind::plain;
}

}  // namespace pdum::nvenc
