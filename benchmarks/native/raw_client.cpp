// The driver's calls alone, without any client around them: the floor under every client's cost per frame. Loaded by
// ctypes into the process that measures; written against the interface of version 13.0.
#include <dlfcn.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "nvenc_13_0.hpp"

namespace {

using namespace raw;

using Device = int;
using Pointer = uint64_t;
struct Copy2D {
    size_t source_x, source_y;
    unsigned source_type;
    const void* source_host;
    Pointer source_device;
    void* source_array;
    size_t source_pitch, target_x, target_y;
    unsigned target_type;
    void* target_host;
    Pointer target_device;
    void* target_array;
    size_t target_pitch, width, height;
};
static_assert(sizeof(Copy2D) == 128);

void require(int status, const char* call) {
    if (status != 0) throw std::runtime_error(std::string(call) + " answered " + std::to_string(status));
}

template <typename Function>
Function* find(const char* library, const char* name) {
    void* handle = dlopen(library, RTLD_NOW);
    void* symbol = handle != nullptr ? dlsym(handle, name) : nullptr;
    if (symbol == nullptr) throw std::runtime_error(std::string(library) + " has no " + name);
    return reinterpret_cast<Function*>(symbol);
}

template <typename Function>
Function* cuda(const char* name) {
    return find<Function>("libcuda.so.1", name);
}

struct Cuda {
    int (*current)(void**) = cuda<int(void**)>("cuCtxGetCurrent");
    int (*attribute)(void*, int, Pointer) = cuda<int(void*, int, Pointer)>("cuPointerGetAttribute");
    int (*allocate)(Pointer*, size_t*, size_t, size_t,
                    unsigned) = cuda<int(Pointer*, size_t*, size_t, size_t, unsigned)>("cuMemAllocPitch_v2");
    int (*release)(Pointer) = cuda<int(Pointer)>("cuMemFree_v2");
    int (*make_stream)(void**, unsigned) = cuda<int(void**, unsigned)>("cuStreamCreate");
    int (*drop_stream)(void*) = cuda<int(void*)>("cuStreamDestroy_v2");
    int (*make_event)(void**, unsigned) = cuda<int(void**, unsigned)>("cuEventCreate");
    int (*drop_event)(void*) = cuda<int(void*)>("cuEventDestroy_v2");
    int (*record)(void*, void*) = cuda<int(void*, void*)>("cuEventRecord");
    int (*wait)(void*, void*, unsigned) = cuda<int(void*, void*, unsigned)>("cuStreamWaitEvent");
    int (*copy)(const Copy2D*, void*) = cuda<int(const Copy2D*, void*)>("cuMemcpy2DAsync_v2");
};

// A session with one surface and one output buffer, as little as encoding one frame at a time needs.
class Client {
   public:
    Client(uint32_t width, uint32_t height) : width_(width), height_(height) {
        list_.version = NV_ENCODE_API_FUNCTION_LIST_VER;
        require(find<int(void*)>("libnvidia-encode.so.1", "NvEncodeAPICreateInstance")(&list_), "CreateInstance");
        void* context = nullptr;
        require(cuda_.current(&context), "cuCtxGetCurrent");
        NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS open{};
        open.version = NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER;
        open.deviceType = NV_ENC_DEVICE_TYPE_CUDA;
        open.device = context;
        open.apiVersion = NVENCAPI_VERSION;
        require(list_.nvEncOpenEncodeSessionEx(&open, &session_), "OpenEncodeSessionEx");
        initialize();
        make_buffers();
    }

    ~Client() {
        list_.nvEncUnregisterResource(session_, registered_);
        list_.nvEncDestroyBitstreamBuffer(session_, output_);
        list_.nvEncDestroyEncoder(session_);
        cuda_.release(surface_);
        cuda_.drop_event(ready_);
        cuda_.drop_event(read_);
        cuda_.drop_stream(stream_);
    }

    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    // What a careful client calls to have the frame copied in its producer's order.
    void copy_in(Pointer frame, size_t pitch, void* producer) {
        void* context = nullptr;
        require(cuda_.current(&context), "cuCtxGetCurrent");
        Device gpu = 0;
        require(cuda_.attribute(&gpu, 9, frame), "cuPointerGetAttribute");
        require(cuda_.record(ready_, producer), "cuEventRecord");
        require(cuda_.wait(stream_, ready_, 0), "cuStreamWaitEvent");
        Copy2D copy{};
        copy.source_type = copy.target_type = 2;
        copy.source_device = frame;
        copy.source_pitch = pitch;
        copy.target_device = surface_;
        copy.target_pitch = pitch_;
        copy.width = width_;
        copy.height = size_t{height_} * 3 / 2;
        require(cuda_.copy(&copy, stream_), "cuMemcpy2DAsync");
        require(cuda_.record(read_, stream_), "cuEventRecord");
        require(cuda_.wait(producer, read_, 0), "cuStreamWaitEvent");
    }

    size_t encode() {
        require(list_.nvEncMapInputResource(session_, &map_), "MapInputResource");
        picture_.inputBuffer = map_.mappedResource;
        ++picture_.inputTimeStamp;
        require(list_.nvEncEncodePicture(session_, &picture_), "EncodePicture");
        require(list_.nvEncLockBitstream(session_, &lock_), "LockBitstream");
        const size_t bytes = lock_.bitstreamSizeInBytes;
        require(list_.nvEncUnlockBitstream(session_, output_), "UnlockBitstream");
        require(list_.nvEncUnmapInputResource(session_, map_.mappedResource), "UnmapInputResource");
        return bytes;
    }

   private:
    void initialize() {
        NV_ENC_PRESET_CONFIG preset{};
        preset.version = NV_ENC_PRESET_CONFIG_VER;
        preset.presetCfg.version = NV_ENC_CONFIG_VER;
        require(list_.nvEncGetEncodePresetConfigEx(session_, NV_ENC_CODEC_H264_GUID, NV_ENC_PRESET_P3_GUID,
                                                   NV_ENC_TUNING_INFO_LOW_LATENCY, &preset),
                "GetEncodePresetConfigEx");
        NV_ENC_INITIALIZE_PARAMS parameters{};
        parameters.version = NV_ENC_INITIALIZE_PARAMS_VER;
        parameters.encodeGUID = NV_ENC_CODEC_H264_GUID;
        parameters.presetGUID = NV_ENC_PRESET_P3_GUID;
        parameters.tuningInfo = NV_ENC_TUNING_INFO_LOW_LATENCY;
        parameters.encodeWidth = parameters.darWidth = parameters.maxEncodeWidth = width_;
        parameters.encodeHeight = parameters.darHeight = parameters.maxEncodeHeight = height_;
        parameters.frameRateNum = 30;
        parameters.frameRateDen = 1;
        parameters.enablePTD = 1;
        parameters.encodeConfig = &preset.presetCfg;
        require(list_.nvEncInitializeEncoder(session_, &parameters), "InitializeEncoder");
        require(cuda_.make_stream(&stream_, 1), "cuStreamCreate");
        require(list_.nvEncSetIOCudaStreams(session_, &stream_, &stream_), "SetIOCudaStreams");
        require(cuda_.make_event(&ready_, 2), "cuEventCreate");
        require(cuda_.make_event(&read_, 2), "cuEventCreate");
    }

    void make_buffers() {
        require(cuda_.allocate(&surface_, &pitch_, width_, size_t{height_} * 3 / 2, 16), "cuMemAllocPitch");
        NV_ENC_REGISTER_RESOURCE resource{};
        resource.version = NV_ENC_REGISTER_RESOURCE_VER;
        resource.resourceType = NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR;
        resource.resourceToRegister = reinterpret_cast<void*>(surface_);
        resource.width = width_;
        resource.height = height_;
        resource.pitch = static_cast<uint32_t>(pitch_);
        resource.bufferFormat = NV_ENC_BUFFER_FORMAT_NV12;
        require(list_.nvEncRegisterResource(session_, &resource), "RegisterResource");
        registered_ = resource.registeredResource;
        NV_ENC_CREATE_BITSTREAM_BUFFER output{};
        output.version = NV_ENC_CREATE_BITSTREAM_BUFFER_VER;
        require(list_.nvEncCreateBitstreamBuffer(session_, &output), "CreateBitstreamBuffer");
        output_ = output.bitstreamBuffer;
        map_.version = NV_ENC_MAP_INPUT_RESOURCE_VER;
        map_.registeredResource = registered_;
        lock_.version = NV_ENC_LOCK_BITSTREAM_VER;
        lock_.outputBitstream = output_;
        picture_.version = NV_ENC_PIC_PARAMS_VER;
        picture_.inputWidth = width_;
        picture_.inputHeight = height_;
        picture_.inputPitch = resource.pitch;
        picture_.bufferFmt = NV_ENC_BUFFER_FORMAT_NV12;
        picture_.pictureStruct = NV_ENC_PIC_STRUCT_FRAME;
        picture_.outputBitstream = output_;
    }

    const uint32_t width_, height_;
    Cuda cuda_;
    NV_ENCODE_API_FUNCTION_LIST list_{};
    void* session_ = nullptr;
    void* stream_ = nullptr;
    void* ready_ = nullptr;
    void* read_ = nullptr;
    Pointer surface_ = 0;
    size_t pitch_ = 0;
    NV_ENC_REGISTERED_PTR registered_ = nullptr;
    NV_ENC_OUTPUT_PTR output_ = nullptr;
    NV_ENC_MAP_INPUT_RESOURCE map_{};
    NV_ENC_LOCK_BITSTREAM lock_{};
    NV_ENC_PIC_PARAMS picture_{};
};

std::string last_error;

template <typename Action>
long long guarded(Action action) {
    try {
        return action();
    } catch (const std::exception& error) {
        last_error = error.what();
        return -1;
    }
}

}  // namespace

extern "C" {

const char* raw_error() { return last_error.c_str(); }

// Null where it fails; the thread's current context is the one that is used.
void* raw_open(uint32_t width, uint32_t height) {
    Client* client = nullptr;
    guarded([&] {
        client = new Client(width, height);
        return 0;
    });
    return client;
}

void raw_close(void* client) { delete static_cast<Client*>(client); }

// The number of access units with bytes in them. Without a frame nothing is copied: the surface is encoded as it is.
long long raw_encode(void* client, long long frames, uint64_t frame, size_t pitch, void* producer) {
    return guarded([&] {
        long long units = 0;
        for (long long i = 0; i < frames; ++i) {
            if (frame != 0) static_cast<Client*>(client)->copy_in(frame, pitch, producer);
            if (static_cast<Client*>(client)->encode() > 0) ++units;
        }
        return units;
    });
}

}  // extern "C"
