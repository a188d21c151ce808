// The types of CUDA's driver API that this module needs, declared by us so that the build needs no toolkit.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pdum::nvenc {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = uint64_t;
using CUcontext = struct CUctx_st*;
using CUstream = struct CUstream_st*;
using CUevent = struct CUevent_st*;
using CUarray = struct CUarray_st*;
using CUmodule = struct CUmod_st*;
using CUfunction = struct CUfunc_st*;

constexpr CUresult cuda_success = 0;
constexpr CUresult cuda_invalid_value = 1;
constexpr CUresult cuda_out_of_memory = 2;
constexpr CUresult cuda_no_device = 100;
constexpr CUresult cuda_not_supported = 801;
constexpr CUresult cuda_system_driver_mismatch = 803;

constexpr unsigned stream_non_blocking = 1;
constexpr int stream_capture_none = 0;
constexpr unsigned event_disable_timing = 2;

constexpr unsigned memory_host = 1;
constexpr unsigned memory_device = 2;

constexpr int pointer_context = 1;
constexpr int pointer_buffer_id = 7;
constexpr int pointer_is_managed = 8;
constexpr int pointer_device_ordinal = 9;
constexpr int pointer_is_legacy_ipc_capable = 10;
constexpr int pointer_mempool = 17;

// One 2-D copy; either side is host or device memory.
struct CUDA_MEMCPY2D {
    size_t srcXInBytes;
    size_t srcY;
    unsigned srcMemoryType;
    const void* srcHost;
    CUdeviceptr srcDevice;
    CUarray srcArray;
    size_t srcPitch;
    size_t dstXInBytes;
    size_t dstY;
    unsigned dstMemoryType;
    void* dstHost;
    CUdeviceptr dstDevice;
    CUarray dstArray;
    size_t dstPitch;
    size_t WidthInBytes;
    size_t Height;
};
static_assert(sizeof(CUDA_MEMCPY2D) == 128);

// CUDA reserves two stream handles: 1 for the legacy default stream, which waits for all others and makes them wait,
// and 2 for the calling thread's own default stream.
inline CUstream legacy_stream() { return reinterpret_cast<CUstream>(uintptr_t{1}); }
// Default streams, 0 among them, belong to whatever context is current.
inline bool is_default_stream(CUstream stream) { return reinterpret_cast<uintptr_t>(stream) <= 2; }

}  // namespace pdum::nvenc
