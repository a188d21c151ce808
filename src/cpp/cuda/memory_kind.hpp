// How device memory was allocated, which decides whether NVENC can read it.
#pragma once

#include "cuda/driver.hpp"

namespace pdum::nvenc {

// NVENC takes only plain memory: what cuMemAlloc gives.
enum class MemoryKind {
    plain,
    pool,     // of a stream-ordered pool: cuMemAllocAsync
    managed,  // cuMemAllocManaged
    other,    // virtual memory, or memory of the host
};

// CUDA's legacy IPC can share plain memory and no other kind, and CUDA tells for each pointer whether it can. Some
// systems have no such IPC: there only pools and managed memory can be told from plain memory.
class MemoryKinds {
   public:
    // `plain`: any plain memory.
    MemoryKinds(const CudaFunctions& functions, CUdeviceptr plain)
        : functions_(functions), has_legacy_ipc_(is_legacy_ipc_capable(plain)) {}

    // Makes only one query if that shows the kind.
    bool is_plain(CUdeviceptr address) const;
    MemoryKind of(CUdeviceptr address) const;

   private:
    bool is_legacy_ipc_capable(CUdeviceptr address) const;

    const CudaFunctions& functions_;
    bool has_legacy_ipc_;
};

}  // namespace pdum::nvenc
