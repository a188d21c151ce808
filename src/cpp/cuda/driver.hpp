// NVIDIA's driver, opened at first use: libcuda, libnvidia-encode and libnvcuvid by name, never linked.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/cuda_types.hpp"

namespace pdum::nvenc {

// The part of libcuda that this module calls. Names without their _v2 suffix.
struct CudaFunctions {
    CUresult (*cuInit)(unsigned flags);
    CUresult (*cuDriverGetVersion)(int* version);
    CUresult (*cuGetErrorName)(CUresult error, const char** name);
    CUresult (*cuGetErrorString)(CUresult error, const char** text);
    CUresult (*cuDeviceGetCount)(int* count);
    CUresult (*cuDeviceGet)(CUdevice* device, int ordinal);
    CUresult (*cuDeviceGetName)(char* name, int length, CUdevice device);
    CUresult (*cuDeviceGetUuid)(uint8_t* sixteen_bytes, CUdevice device);
    CUresult (*cuDeviceGetPCIBusId)(char* text, int length, CUdevice device);
    CUresult (*cuDeviceTotalMem)(size_t* bytes, CUdevice device);
    CUresult (*cuDevicePrimaryCtxRetain)(CUcontext* context, CUdevice device);
    CUresult (*cuDevicePrimaryCtxRelease)(CUdevice device);
    CUresult (*cuCtxPushCurrent)(CUcontext context);
    CUresult (*cuCtxPopCurrent)(CUcontext* context);
    CUresult (*cuCtxGetCurrent)(CUcontext* context);
    CUresult (*cuCtxGetDevice)(CUdevice* device);
    CUresult (*cuStreamCreate)(CUstream* stream, unsigned flags);
    CUresult (*cuStreamDestroy)(CUstream stream);
    CUresult (*cuStreamSynchronize)(CUstream stream);
    CUresult (*cuStreamGetCtx)(CUstream stream, CUcontext* context);
    CUresult (*cuStreamIsCapturing)(CUstream stream, int* status);
    CUresult (*cuStreamWaitEvent)(CUstream stream, CUevent event, unsigned flags);
    CUresult (*cuEventCreate)(CUevent* event, unsigned flags);
    CUresult (*cuEventDestroy)(CUevent event);
    CUresult (*cuEventQuery)(CUevent event);
    CUresult (*cuEventRecord)(CUevent event, CUstream stream);
    CUresult (*cuEventSynchronize)(CUevent event);
    CUresult (*cuMemAllocPitch)(CUdeviceptr* pointer, size_t* pitch, size_t width, size_t rows, unsigned element);
    CUresult (*cuMemFree)(CUdeviceptr pointer);
    CUresult (*cuMemsetD2D8Async)(CUdeviceptr pointer, size_t pitch, unsigned char value, size_t width, size_t rows,
                                  CUstream stream);
    CUresult (*cuMemcpy2DAsync)(const CUDA_MEMCPY2D* copy, CUstream stream);
    CUresult (*cuPointerGetAttribute)(void* value, int attribute, CUdeviceptr pointer);
    CUresult (*cuModuleLoadData)(CUmodule* module, const void* image);
    CUresult (*cuModuleUnload)(CUmodule module);
    CUresult (*cuModuleGetFunction)(CUfunction* function, CUmodule module, const char* name);
    CUresult (*cuLaunchKernel)(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                               unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream,
                               void** arguments, void** extra);
};

// The two entry points of libnvidia-encode; the argument of the second one depends on the version of the interface.
struct EncodeExports {
    int (*get_max_version)(uint32_t* version);
    int (*create_instance)(void* function_list);
};

// The part of libnvcuvid that this module calls. Its structs are known to abi/ alone, so they are void here.
struct DecodeExports {
    CUresult (*cuvidGetDecoderCaps)(void* capabilities);
    CUresult (*cuvidCreateDecoder)(void** decoder, void* parameters);
    CUresult (*cuvidDestroyDecoder)(void* decoder);
    CUresult (*cuvidDecodePicture)(void* decoder, void* picture);
    CUresult (*cuvidGetDecodeStatus)(void* decoder, int picture_index, void* status);
    CUresult (*cuvidMapVideoFrame64)(void* decoder, int picture_index, unsigned long long* address, unsigned* pitch,
                                     void* parameters);
    CUresult (*cuvidUnmapVideoFrame64)(void* decoder, unsigned long long address);
    CUresult (*cuvidCreateVideoParser)(void** parser, void* parameters);
    CUresult (*cuvidParseVideoData)(void* parser, void* packet);
    CUresult (*cuvidDestroyVideoParser)(void* parser);
};

// Each opens its library once per process. They throw driver_not_found or driver_too_old, at each call.
const CudaFunctions& cuda_functions();
const EncodeExports& encode_exports();
const DecodeExports& decode_exports();

// The newest version of NVENC's interface that the driver speaks.
struct EncodeVersion {
    unsigned major = 0;
    unsigned minor = 0;
};
EncodeVersion max_encode_version();

}  // namespace pdum::nvenc
