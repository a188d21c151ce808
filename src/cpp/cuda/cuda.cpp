#include "cuda/cuda.hpp"

#include <utility>

#include "core/error.hpp"
#include "core/process.hpp"

namespace pdum::nvenc {
namespace {

std::string error_text(CUresult result, CUresult (*look_up)(CUresult, const char**)) {
    const char* text = nullptr;
    return look_up(result, &text) == cuda_success && text != nullptr ? text : "unknown";
}

ErrorKind kind_of(CUresult result) {
    switch (result) {
        case cuda_out_of_memory: return ErrorKind::out_of_memory;
        case cuda_no_device: return ErrorKind::no_encoder;
        case cuda_system_driver_mismatch: return ErrorKind::driver_too_old;
        default: return ErrorKind::cuda_failed;
    }
}

const char* advice_for(CUresult result) {
    switch (result) {
        case 2: return "Free GPU memory, encode a smaller picture, or keep fewer frames in flight.";
        case 3:
        case 4:
            return "CUDA cannot be used in a process that was forked after CUDA had started, nor while it exits: start "
                   "workers with multiprocessing's \"spawn\".";
        case 100: return "No GPU is visible: see `nvidia-smi` and the variable CUDA_VISIBLE_DEVICES.";
        case 218:
        case 221:
        case 222:
            return "The driver's compiler of kernels is missing or does not know this GPU. In a container, start it "
                   "with NVIDIA_DRIVER_CAPABILITIES=compute,utility,video; else update the driver.";
        case 700:
        case 719:
            return "A kernel of this process failed earlier; its context is lost. Find it with compute-sanitizer.";
        case cuda_not_supported:
            return "This CUDA driver or GPU cannot do that. If it cannot run kernels, which RGB frames "
                   "need, convert to NV12 before, or use a format that the engine converts itself, such as 'argb'.";
        case 803: return "The driver's kernel module and its libraries differ: reboot after a driver update.";
        default: return "";
    }
}

const CudaFunctions& initialized_functions() {
    const CudaFunctions& functions = cuda_functions();
    check_cuda(functions.cuInit(0), "cuInit");
    return functions;
}

}  // namespace

void check_cuda(CUresult result, const char* call) {
    if (result == cuda_success) return;
    const CudaFunctions& functions = cuda_functions();
    ErrorDetails details;
    details.kind = kind_of(result);
    details.summary = "A CUDA call failed";
    details.advice = advice_for(result);
    details.call = call;
    details.status = result;
    details.status_name = error_text(result, functions.cuGetErrorName);
    details.driver_text = error_text(result, functions.cuGetErrorString);
    throw Error(std::move(details));
}

int gpu_count() {
    int count = 0;
    check_cuda(initialized_functions().cuDeviceGetCount(&count), "cuDeviceGetCount");
    return count;
}

std::shared_ptr<const Context> Context::primary(int gpu) {
    const CudaFunctions& functions = initialized_functions();
    const int count = gpu_count();
    if (gpu < 0 || gpu >= count) {
        fail(ErrorKind::invalid_config,
             "gpu_id=" + std::to_string(gpu) + ", but this process sees " + std::to_string(count) + " GPU" +
                 (count == 1 ? "" : "s") + ".",
             "GPUs count from 0; CUDA_VISIBLE_DEVICES chooses and orders them.");
    }
    CUdevice device = 0;
    check_cuda(functions.cuDeviceGet(&device, gpu), "cuDeviceGet");
    CUcontext handle = nullptr;
    check_cuda(functions.cuDevicePrimaryCtxRetain(&handle, device), "cuDevicePrimaryCtxRetain");
    return std::make_shared<const Context>(Key{}, handle, gpu, true);
}

std::shared_ptr<const Context> Context::borrowed(CUcontext handle) {
    const CudaFunctions& functions = initialized_functions();
    check_cuda(functions.cuCtxPushCurrent(handle), "cuCtxPushCurrent");
    CUdevice device = 0;
    const CUresult result = functions.cuCtxGetDevice(&device);
    CUcontext popped = nullptr;
    check_cuda(functions.cuCtxPopCurrent(&popped), "cuCtxPopCurrent");
    check_cuda(result, "cuCtxGetDevice");
    return std::make_shared<const Context>(Key{}, handle, device, false);
}

std::shared_ptr<const Context> Context::chosen(int gpu, CUcontext handle) {
    if (handle == nullptr) return primary(gpu);
    std::shared_ptr<const Context> context = borrowed(handle);
    if (gpu != 0 && gpu != context->gpu()) {
        fail(ErrorKind::invalid_config,
             "gpu_id=" + std::to_string(gpu) + ", but the context given is one of GPU " +
                 std::to_string(context->gpu()) + ".",
             "Leave gpu_id out: the context tells the GPU.");
    }
    return context;
}

Context::Context(Key, CUcontext handle, int gpu, bool retained)
    : functions_(cuda_functions()), handle_(handle), gpu_(gpu), retained_(retained), made_in_(process_generation()) {}

Context::~Context() {
    if (retained_ && is_usable()) functions_.cuDevicePrimaryCtxRelease(gpu_);
}

bool Context::is_usable() const noexcept { return made_in_ == process_generation(); }

std::string Context::gpu_name() const {
    char name[256] = {};
    return functions_.cuDeviceGetName(name, sizeof name - 1, gpu_) == cuda_success ? name : "unknown GPU";
}

namespace {

bool is_current(const Context& context) {
    CUcontext current = nullptr;
    check_cuda(context.functions().cuCtxGetCurrent(&current), "cuCtxGetCurrent");
    return current == context.handle();
}

}  // namespace

ContextScope::ContextScope(const Context& context) : functions_(context.functions()) {
    if (is_current(context)) return;
    check_cuda(functions_.cuCtxPushCurrent(context.handle()), "cuCtxPushCurrent");
    pushed_ = true;
}

ContextScope::~ContextScope() {
    CUcontext popped = nullptr;
    if (pushed_) functions_.cuCtxPopCurrent(&popped);
}

namespace {

template <typename Handle, typename Make>
OwnedHandle<Handle> made(const std::shared_ptr<const Context>& context, const char* call,
                         typename OwnedHandle<Handle>::Release release, Make make) {
    const ContextScope scope(*context);
    Handle handle{};
    check_cuda(make(context->functions(), &handle), call);
    return {context, handle, release};
}

}  // namespace

Stream::Stream(const std::shared_ptr<const Context>& context)
    : handle_(made<CUstream>(context, "cuStreamCreate", &CudaFunctions::cuStreamDestroy,
                             [](const CudaFunctions& functions, CUstream* handle) {
                                 return functions.cuStreamCreate(handle, stream_non_blocking);
                             })) {}

void Stream::synchronize() const {
    check_cuda(handle_.functions().cuStreamSynchronize(handle()), "cuStreamSynchronize");
}

Event::Event(const std::shared_ptr<const Context>& context)
    : handle_(made<CUevent>(context, "cuEventCreate", &CudaFunctions::cuEventDestroy,
                            [](const CudaFunctions& functions, CUevent* handle) {
                                return functions.cuEventCreate(handle, event_disable_timing);
                            })) {}

void Event::record(CUstream stream) const {
    check_cuda(handle_.functions().cuEventRecord(handle_.get(), stream), "cuEventRecord");
}

void Event::make_wait(CUstream stream) const {
    check_cuda(handle_.functions().cuStreamWaitEvent(stream, handle_.get(), 0), "cuStreamWaitEvent");
}

void Event::synchronize() const {
    check_cuda(handle_.functions().cuEventSynchronize(handle_.get()), "cuEventSynchronize");
}

bool Event::is_done() const noexcept { return handle_.functions().cuEventQuery(handle_.get()) == cuda_success; }

DeviceRows::DeviceRows(const std::shared_ptr<const Context>& context, size_t row_bytes, size_t rows, bool packed) {
    constexpr unsigned widest_access = 16;
    const size_t in_a_row = packed ? row_bytes * rows : row_bytes;
    pointer_ = made<CUdeviceptr>(context, "cuMemAllocPitch", &CudaFunctions::cuMemFree,
                                 [&](const CudaFunctions& functions, CUdeviceptr* pointer) {
                                     return functions.cuMemAllocPitch(pointer, &pitch_, in_a_row, packed ? 1 : rows,
                                                                      widest_access);
                                 });
    if (packed) pitch_ = row_bytes;
}

}  // namespace pdum::nvenc
