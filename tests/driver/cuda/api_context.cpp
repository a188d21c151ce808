// Contexts and the thread's stack of them.
#include "common/instrument.hpp"
#include "cuda/entry.hpp"
#include "cuda/stream.hpp"

using namespace nvsim::cuda;
using nvsim::instrument::violation;

namespace {

CUresult create(CUcontext* context, unsigned flags, CUdevice device) {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (device < 0 || device >= machine().devices) return CUDA_ERROR_INVALID_DEVICE;
    Context* made = create_context(device, flags);
    const CUresult status = ThreadContexts::push(made);
    if (status != CUDA_SUCCESS)
        destroy_context(made);
    else
        *context = made;
    return status;
}

// The thread's current context where it lives; asking for it is no offence if there is none.
Context* current(CUresult& status) {
    Context* context = ThreadContexts::current();
    status = context == nullptr ? CUDA_ERROR_INVALID_CONTEXT
             : context->alive   ? CUDA_SUCCESS
                                : CUDA_ERROR_CONTEXT_IS_DESTROYED;
    return status == CUDA_SUCCESS ? context : nullptr;
}

constexpr size_t kLimits = 11;

}  // namespace

NVSIM_CUDA(cuCtxCreate_v2, (CUcontext * context, unsigned flags, CUdevice device), (context, flags, device)) {
    return create(context, flags, device);
}

NVSIM_CUDA(cuCtxCreate_v3, (CUcontext * context, void* affinity, int count, unsigned flags, CUdevice device),
           (context, affinity, count, flags, device)) {
    return affinity != nullptr || count != 0 ? CUDA_ERROR_NOT_SUPPORTED : create(context, flags, device);
}

NVSIM_CUDA(cuCtxCreate_v4, (CUcontext * context, void* parameters, unsigned flags, CUdevice device),
           (context, parameters, flags, device)) {
    return parameters != nullptr ? CUDA_ERROR_NOT_SUPPORTED : create(context, flags, device);
}

NVSIM_CUDA(cuCtxDestroy_v2, (CUcontext context), (context)) { return destroy_context(context); }

NVSIM_CUDA(cuCtxPushCurrent_v2, (CUcontext context), (context)) {
    const CUresult status = check_context(context);
    return status != CUDA_SUCCESS ? status : ThreadContexts::push(context);
}

NVSIM_CUDA(cuCtxPopCurrent_v2, (CUcontext * context), (context)) {
    if (ThreadContexts::current() == nullptr) {
        violation("context stack", "popped while it is empty");
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    Context* popped = ThreadContexts::pop();
    if (context != nullptr) *context = popped;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuCtxSetCurrent, (CUcontext context), (context)) {
    if (context != nullptr)
        if (const CUresult status = check_context(context)) return status;
    ThreadContexts::set(context);
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuCtxGetCurrent, (CUcontext * context), (context)) {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *context = ThreadContexts::current();
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuCtxGetDevice, (CUdevice * device), (device)) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    CUresult status = CUDA_SUCCESS;
    const Context* context = current(status);
    if (context != nullptr) *device = context->device;
    return status;
}

NVSIM_CUDA(cuCtxGetDevice_v2, (CUdevice * device, CUcontext context), (device, context)) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    CUresult status = CUDA_SUCCESS;
    if (context == nullptr) context = current(status);
    if (context == nullptr) return status;
    status = check_context(context);
    if (status != CUDA_SUCCESS) return status;
    *device = context->device;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuCtxGetFlags, (unsigned* flags), (flags)) {
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    CUresult status = CUDA_SUCCESS;
    const Context* context = current(status);
    if (context != nullptr) *flags = context->flags;
    return status;
}

NVSIM_CUDA(cuCtxSetFlags, (unsigned flags), (flags)) {
    CUresult status = CUDA_SUCCESS;
    Context* context = current(status);
    if (context != nullptr) context->flags = flags;
    return status;
}

NVSIM_CUDA(cuCtxGetId, (CUcontext context, unsigned long long* id), (context, id)) {
    if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
    CUresult status = CUDA_SUCCESS;
    if (context == nullptr) context = current(status);
    if (context == nullptr) return status;
    status = check_context(context);
    if (status != CUDA_SUCCESS) return status;
    *id = context->serial;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuCtxSynchronize, (), ()) {
    CUresult status = CUDA_SUCCESS;
    Context* context = working_context(status);
    if (context != nullptr) finish_work(*context);
    return status;
}

NVSIM_CUDA(cuCtxSynchronize_v2, (CUcontext context), (context)) {
    CUresult status = CUDA_SUCCESS;
    if (context == nullptr) context = working_context(status);
    if (context == nullptr) return status;
    status = check_context(context);
    if (status != CUDA_SUCCESS) return status;
    finish_work(*context);
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuCtxGetApiVersion, (CUcontext context, unsigned* version), (context, version)) {
    constexpr unsigned kApiVersion = 3020;
    static_cast<void>(context);
    if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *version = kApiVersion;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuCtxSetLimit, (int limit, size_t value), (limit, value)) {
    static_cast<void>(value);
    return limit >= 0 && static_cast<size_t>(limit) < kLimits ? CUDA_SUCCESS : CUDA_ERROR_UNSUPPORTED_LIMIT;
}

NVSIM_CUDA(cuCtxGetLimit, (size_t* value, int limit), (value, limit)) {
    static const size_t values[kLimits] = {1024, 1048576, 8388608, 2, 2048, 64, 0, 0, 0, 0, 0};
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (limit < 0 || static_cast<size_t>(limit) >= kLimits) return CUDA_ERROR_UNSUPPORTED_LIMIT;
    *value = values[limit];
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuCtxGetCacheConfig, (int* config), (config)) {
    if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *config = 0;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuCtxSetCacheConfig, (int config), (config)) {
    static_cast<void>(config);
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuCtxGetStreamPriorityRange, (int* least, int* greatest), (least, greatest)) {
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = -5;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuCtxEnablePeerAccess, (CUcontext peer, unsigned flags), (peer, flags)) {
    CUresult status = flags != 0 ? CUDA_ERROR_INVALID_VALUE : check_context(peer);
    if (status != CUDA_SUCCESS) return status;
    Context* context = working_context(status);
    if (context == nullptr) return status;
    const uint64_t bit = 1ull << peer->device;
    const bool before = (context->peers.fetch_or(bit) & bit) != 0;
    return before ? CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED : CUDA_SUCCESS;
}

NVSIM_CUDA(cuCtxDisablePeerAccess, (CUcontext peer), (peer)) {
    CUresult status = check_context(peer);
    if (status != CUDA_SUCCESS) return status;
    Context* context = working_context(status);
    if (context == nullptr) return status;
    const uint64_t bit = 1ull << peer->device;
    const bool before = (context->peers.fetch_and(~bit) & bit) != 0;
    return before ? CUDA_SUCCESS : CUDA_ERROR_PEER_ACCESS_NOT_ENABLED;
}
