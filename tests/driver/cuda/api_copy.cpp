// cuMemcpy* and cuMemset*.
#include "cuda/copy.hpp"
#include "cuda/entry.hpp"

using nvsim::cuda::copy;
using nvsim::cuda::Extent;
using nvsim::cuda::fill;
using nvsim::cuda::Layout;

namespace {

constexpr CUstream kLegacy = nullptr;

uint64_t number(const void* address) { return reinterpret_cast<uint64_t>(address); }
Layout on_device(CUdeviceptr address, size_t size) { return {address, CU_MEMORYTYPE_DEVICE, size, 0}; }
Layout on_host(const void* address, size_t size) { return {number(address), CU_MEMORYTYPE_HOST, size, 0}; }
Layout anywhere(CUdeviceptr address, size_t size) { return {address, CU_MEMORYTYPE_UNIFIED, size, 0}; }

// One side of a copy of areas.
Layout area(CUmemorytype type, const void* host, CUdeviceptr device, size_t x, size_t pitch, size_t row) {
    const uint64_t base = type == CU_MEMORYTYPE_HOST ? number(host) : device;
    return {base + row * pitch + x, type, pitch, 0};
}

bool known_type(CUmemorytype type) { return type >= CU_MEMORYTYPE_HOST && type <= CU_MEMORYTYPE_UNIFIED; }

CUresult copy_2d(const CUDA_MEMCPY2D* p, CUstream stream, bool host_waits) {
    if (p == nullptr || !known_type(p->srcMemoryType) || !known_type(p->dstMemoryType)) return CUDA_ERROR_INVALID_VALUE;
    const bool source_too_narrow = p->Height > 1 && p->srcPitch < p->srcXInBytes + p->WidthInBytes;
    const bool target_too_narrow = p->Height > 1 && p->dstPitch < p->dstXInBytes + p->WidthInBytes;
    if (source_too_narrow || target_too_narrow) return CUDA_ERROR_INVALID_VALUE;
    const Layout to = area(p->dstMemoryType, p->dstHost, p->dstDevice, p->dstXInBytes, p->dstPitch, p->dstY);
    const Layout from = area(p->srcMemoryType, p->srcHost, p->srcDevice, p->srcXInBytes, p->srcPitch, p->srcY);
    return copy(to, from, {p->WidthInBytes, p->Height, 1}, stream, host_waits);
}

CUresult copy_3d(const CUDA_MEMCPY3D* p, CUstream stream, bool host_waits) {
    if (p == nullptr || !known_type(p->srcMemoryType) || !known_type(p->dstMemoryType)) return CUDA_ERROR_INVALID_VALUE;
    const size_t from_row = p->srcY + p->srcZ * p->srcHeight;
    const size_t to_row = p->dstY + p->dstZ * p->dstHeight;
    Layout to = area(p->dstMemoryType, p->dstHost, p->dstDevice, p->dstXInBytes, p->dstPitch, to_row);
    Layout from = area(p->srcMemoryType, p->srcHost, p->srcDevice, p->srcXInBytes, p->srcPitch, from_row);
    to.slice = p->dstPitch * p->dstHeight;
    from.slice = p->srcPitch * p->srcHeight;
    return copy(to, from, {p->WidthInBytes, p->Height, p->Depth}, stream, host_waits);
}

Extent row(size_t size) { return {size, 1, 1}; }

}  // namespace

NVSIM_CUDA(cuMemcpy, (CUdeviceptr dst, CUdeviceptr src, size_t size), (dst, src, size)) {
    return copy(anywhere(dst, size), anywhere(src, size), row(size), kLegacy, true);
}

NVSIM_CUDA(cuMemcpyAsync, (CUdeviceptr dst, CUdeviceptr src, size_t size, CUstream stream), (dst, src, size, stream)) {
    return copy(anywhere(dst, size), anywhere(src, size), row(size), stream, false);
}

NVSIM_CUDA(cuMemcpyPeer, (CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src, CUcontext src_context, size_t size),
           (dst, dst_context, src, src_context, size)) {
    static_cast<void>(dst_context);
    static_cast<void>(src_context);
    return copy(on_device(dst, size), on_device(src, size), row(size), kLegacy, true);
}

NVSIM_CUDA(cuMemcpyPeerAsync,
           (CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src, CUcontext src_context, size_t size,
            CUstream stream),
           (dst, dst_context, src, src_context, size, stream)) {
    static_cast<void>(dst_context);
    static_cast<void>(src_context);
    return copy(on_device(dst, size), on_device(src, size), row(size), stream, false);
}

NVSIM_CUDA(cuMemcpyHtoD_v2, (CUdeviceptr dst, const void* src, size_t size), (dst, src, size)) {
    return copy(on_device(dst, size), on_host(src, size), row(size), kLegacy, true);
}

NVSIM_CUDA(cuMemcpyHtoDAsync_v2, (CUdeviceptr dst, const void* src, size_t size, CUstream stream),
           (dst, src, size, stream)) {
    return copy(on_device(dst, size), on_host(src, size), row(size), stream, false);
}

NVSIM_CUDA(cuMemcpyDtoH_v2, (void* dst, CUdeviceptr src, size_t size), (dst, src, size)) {
    return copy(on_host(dst, size), on_device(src, size), row(size), kLegacy, true);
}

NVSIM_CUDA(cuMemcpyDtoHAsync_v2, (void* dst, CUdeviceptr src, size_t size, CUstream stream), (dst, src, size, stream)) {
    return copy(on_host(dst, size), on_device(src, size), row(size), stream, false);
}

NVSIM_CUDA(cuMemcpyDtoD_v2, (CUdeviceptr dst, CUdeviceptr src, size_t size), (dst, src, size)) {
    return copy(on_device(dst, size), on_device(src, size), row(size), kLegacy, true);
}

NVSIM_CUDA(cuMemcpyDtoDAsync_v2, (CUdeviceptr dst, CUdeviceptr src, size_t size, CUstream stream),
           (dst, src, size, stream)) {
    return copy(on_device(dst, size), on_device(src, size), row(size), stream, false);
}

NVSIM_CUDA(cuMemcpy2D_v2, (const CUDA_MEMCPY2D* p), (p)) { return copy_2d(p, kLegacy, true); }
NVSIM_CUDA(cuMemcpy2DUnaligned_v2, (const CUDA_MEMCPY2D* p), (p)) { return copy_2d(p, kLegacy, true); }
NVSIM_CUDA(cuMemcpy2DAsync_v2, (const CUDA_MEMCPY2D* p, CUstream stream), (p, stream)) {
    return copy_2d(p, stream, false);
}
NVSIM_CUDA(cuMemcpy3D_v2, (const CUDA_MEMCPY3D* p), (p)) { return copy_3d(p, kLegacy, true); }
NVSIM_CUDA(cuMemcpy3DAsync_v2, (const CUDA_MEMCPY3D* p, CUstream stream), (p, stream)) {
    return copy_3d(p, stream, false);
}
NVSIM_CUDA(cuMemcpy3DPeer, (const CUDA_MEMCPY3D* p), (p)) { return copy_3d(p, kLegacy, true); }
NVSIM_CUDA(cuMemcpy3DPeerAsync, (const CUDA_MEMCPY3D* p, CUstream stream), (p, stream)) {
    return copy_3d(p, stream, false);
}

// Fills come in widths of 8, 16 and 32 bits, in lines and areas, at once and in a stream's order.
#define NVSIM_MEMSET(bits, type)                                                                                 \
    NVSIM_CUDA(cuMemsetD##bits##_v2, (CUdeviceptr dst, type value, size_t n), (dst, value, n)) {                 \
        return fill(on_device(dst, n * sizeof(type)), value, sizeof(type), row(n * sizeof(type)), kLegacy);      \
    }                                                                                                            \
    NVSIM_CUDA(cuMemsetD##bits##Async, (CUdeviceptr dst, type value, size_t n, CUstream stream),                 \
               (dst, value, n, stream)) {                                                                        \
        return fill(on_device(dst, n * sizeof(type)), value, sizeof(type), row(n * sizeof(type)), stream);       \
    }                                                                                                            \
    NVSIM_CUDA(cuMemsetD2D##bits##_v2, (CUdeviceptr dst, size_t pitch, type value, size_t width, size_t height), \
               (dst, pitch, value, width, height)) {                                                             \
        return fill(on_device(dst, pitch), value, sizeof(type), {width * sizeof(type), height, 1}, kLegacy);     \
    }                                                                                                            \
    NVSIM_CUDA(cuMemsetD2D##bits##Async,                                                                         \
               (CUdeviceptr dst, size_t pitch, type value, size_t width, size_t height, CUstream stream),        \
               (dst, pitch, value, width, height, stream)) {                                                     \
        return fill(on_device(dst, pitch), value, sizeof(type), {width * sizeof(type), height, 1}, stream);      \
    }

NVSIM_MEMSET(8, unsigned char)
NVSIM_MEMSET(16, unsigned short)
NVSIM_MEMSET(32, unsigned int)
