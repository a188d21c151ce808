#include "cuda/driver.hpp"

#include <dlfcn.h>

#include <string>

#include "core/error.hpp"

namespace pdum::nvenc {
namespace {

constexpr const char* install_driver =
    "Install NVIDIA's driver. In a container, start it with the GPU and its video capability: --gpus all and "
    "NVIDIA_DRIVER_CAPABILITIES=compute,utility,video.";

// The library stays open until the process ends, because the driver runs its own threads in it.
class Library {
   public:
    Library(const char* file, const char* purpose) : file_(file), handle_(dlopen(file, RTLD_NOW | RTLD_LOCAL)) {
        if (handle_ != nullptr) return;
        const char* reason = dlerror();
        fail(ErrorKind::driver_not_found,
             std::string("NVIDIA's driver library ") + file + " (" + purpose +
                 ") could not be opened: " + (reason != nullptr ? reason : "no reason given") + ".",
             install_driver);
    }

    template <typename Function>
    void find(Function& function, const char* name) const {
        function = reinterpret_cast<Function>(dlsym(handle_, name));
        if (function != nullptr) return;
        fail(ErrorKind::driver_too_old,
             std::string("NVIDIA's driver library ") + file_ + " has no function " + name + ".",
             "Update the NVIDIA driver.");
    }

   private:
    const char* file_;
    void* handle_;
};

CudaFunctions load_cuda() {
    const Library library("libcuda.so.1", "CUDA");
    CudaFunctions f{};
    library.find(f.cuInit, "cuInit");
    library.find(f.cuDriverGetVersion, "cuDriverGetVersion");
    library.find(f.cuGetErrorName, "cuGetErrorName");
    library.find(f.cuGetErrorString, "cuGetErrorString");
    library.find(f.cuDeviceGetCount, "cuDeviceGetCount");
    library.find(f.cuDeviceGet, "cuDeviceGet");
    library.find(f.cuDeviceGetName, "cuDeviceGetName");
    library.find(f.cuDeviceGetUuid, "cuDeviceGetUuid_v2");
    library.find(f.cuDeviceGetPCIBusId, "cuDeviceGetPCIBusId");
    library.find(f.cuDeviceTotalMem, "cuDeviceTotalMem_v2");
    library.find(f.cuDevicePrimaryCtxRetain, "cuDevicePrimaryCtxRetain");
    library.find(f.cuDevicePrimaryCtxRelease, "cuDevicePrimaryCtxRelease_v2");
    library.find(f.cuCtxPushCurrent, "cuCtxPushCurrent_v2");
    library.find(f.cuCtxPopCurrent, "cuCtxPopCurrent_v2");
    library.find(f.cuCtxGetCurrent, "cuCtxGetCurrent");
    library.find(f.cuCtxGetDevice, "cuCtxGetDevice");
    library.find(f.cuStreamCreate, "cuStreamCreate");
    library.find(f.cuStreamDestroy, "cuStreamDestroy_v2");
    library.find(f.cuStreamSynchronize, "cuStreamSynchronize");
    library.find(f.cuStreamGetCtx, "cuStreamGetCtx");
    library.find(f.cuStreamIsCapturing, "cuStreamIsCapturing");
    library.find(f.cuStreamWaitEvent, "cuStreamWaitEvent");
    library.find(f.cuEventCreate, "cuEventCreate");
    library.find(f.cuEventDestroy, "cuEventDestroy_v2");
    library.find(f.cuEventQuery, "cuEventQuery");
    library.find(f.cuEventRecord, "cuEventRecord");
    library.find(f.cuEventSynchronize, "cuEventSynchronize");
    library.find(f.cuMemAllocPitch, "cuMemAllocPitch_v2");
    library.find(f.cuMemFree, "cuMemFree_v2");
    library.find(f.cuMemsetD2D8Async, "cuMemsetD2D8Async");
    library.find(f.cuMemcpy2DAsync, "cuMemcpy2DAsync_v2");
    library.find(f.cuPointerGetAttribute, "cuPointerGetAttribute");
    library.find(f.cuModuleLoadData, "cuModuleLoadData");
    library.find(f.cuModuleUnload, "cuModuleUnload");
    library.find(f.cuModuleGetFunction, "cuModuleGetFunction");
    library.find(f.cuLaunchKernel, "cuLaunchKernel");
    return f;
}

EncodeExports load_encode() {
    const Library library("libnvidia-encode.so.1", "video encoding");
    EncodeExports exports{};
    library.find(exports.get_max_version, "NvEncodeAPIGetMaxSupportedVersion");
    library.find(exports.create_instance, "NvEncodeAPICreateInstance");
    return exports;
}

DecodeExports load_decode() {
    const Library library("libnvcuvid.so.1", "video decoding");
    DecodeExports exports{};
    library.find(exports.cuvidGetDecoderCaps, "cuvidGetDecoderCaps");
    library.find(exports.cuvidCreateDecoder, "cuvidCreateDecoder");
    library.find(exports.cuvidDestroyDecoder, "cuvidDestroyDecoder");
    library.find(exports.cuvidDecodePicture, "cuvidDecodePicture");
    library.find(exports.cuvidGetDecodeStatus, "cuvidGetDecodeStatus");
    library.find(exports.cuvidMapVideoFrame64, "cuvidMapVideoFrame64");
    library.find(exports.cuvidUnmapVideoFrame64, "cuvidUnmapVideoFrame64");
    library.find(exports.cuvidCreateVideoParser, "cuvidCreateVideoParser");
    library.find(exports.cuvidParseVideoData, "cuvidParseVideoData");
    library.find(exports.cuvidDestroyVideoParser, "cuvidDestroyVideoParser");
    return exports;
}

}  // namespace

const CudaFunctions& cuda_functions() {
    static const CudaFunctions functions = load_cuda();  // an exception leaves it unset: the next call tries again
    return functions;
}

const EncodeExports& encode_exports() {
    static const EncodeExports exports = load_encode();
    return exports;
}

const DecodeExports& decode_exports() {
    static const DecodeExports exports = load_decode();
    return exports;
}

EncodeVersion max_encode_version() {
    uint32_t packed = 0;
    const int status = encode_exports().get_max_version(&packed);
    if (status != 0) throw encode_error(status, "NvEncodeAPIGetMaxSupportedVersion", "ask the driver's version", {});
    return {packed >> 4, packed & 0xF};
}

}  // namespace pdum::nvenc
