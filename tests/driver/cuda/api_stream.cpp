// Streams, events and host functions.
#include "common/instrument.hpp"
#include "cuda/entry.hpp"
#include "cuda/stream.hpp"

using namespace nvsim::cuda;
using nvsim::instrument::violation;

namespace {

constexpr unsigned kKnownEventFlags = 7;

bool asynchronous() { return machine().async_streams.load(std::memory_order_relaxed); }

CUresult create(CUstream* stream, unsigned flags, int priority) {
    if (stream == nullptr || flags > CU_STREAM_NON_BLOCKING) return CUDA_ERROR_INVALID_VALUE;
    CUresult status = CUDA_SUCCESS;
    Context* context = working_context(status);
    if (context == nullptr) return status;
    *stream = create_stream(*context, flags, priority);
    return CUDA_SUCCESS;
}

// The stream's context and, where streams are asynchronous, its object. A stream that is named needs no current
// context.
CUresult find(CUstream handle, Context*& context, Stream*& stream) {
    CUresult status = CUDA_SUCCESS;
    if (is_default_stream(handle)) {
        context = working_context(status);
        if (context != nullptr) resolve_stream(handle, *context, stream);
        return status;
    }
    status = check_stream(handle);
    if (status != CUDA_SUCCESS) return status;
    stream = handle;
    context = handle->context;
    return CUDA_SUCCESS;
}

Point point_of(const Event& event) { return {event.stream.load(), event.seq.load()}; }

bool same_context(const Event& event, const Context& context) {
    if (event.context.load(std::memory_order_relaxed) == &context) return true;
    violation(name_of(&event, "event"), "recorded in a stream of another context");
    return false;
}

bool timed(const Event& event) { return (event.flags.load(std::memory_order_relaxed) & CU_EVENT_DISABLE_TIMING) == 0; }

void record_now(Event& event) {
    if (timed(event)) event.time_ns.store(now_ns(), std::memory_order_relaxed);
    event.recorded.store(true, std::memory_order_release);
}

void record_later(Event& event, Stream& stream, Context& context) {
    const Point point = submit(stream, context, [&event] {
        if (timed(event)) event.time_ns = now_ns();
    });
    event.stream = point.stream;
    event.seq = point.seq;
    event.recorded = true;
}

CUresult record(CUevent event, CUstream handle) {
    Context* context = nullptr;
    Stream* stream = nullptr;
    CUresult status = check_event(event);
    if (status == CUDA_SUCCESS) status = find(handle, context, stream);
    if (status != CUDA_SUCCESS) return status;
    if (!same_context(*event, *context)) return CUDA_ERROR_INVALID_HANDLE;
    if (stream != nullptr && asynchronous())
        record_later(*event, *stream, *context);
    else
        record_now(*event);
    return CUDA_SUCCESS;
}

CUresult launch(CUstream handle, std::function<void()> function) {
    Context* context = nullptr;
    Stream* stream = nullptr;
    if (const CUresult status = find(handle, context, stream)) return status;
    do_in_order(stream, *context, std::move(function));
    return CUDA_SUCCESS;
}

}  // namespace

NVSIM_CUDA(cuStreamCreate, (CUstream * stream, unsigned flags), (stream, flags)) { return create(stream, flags, 0); }

NVSIM_CUDA(cuStreamCreateWithPriority, (CUstream * stream, unsigned flags, int priority), (stream, flags, priority)) {
    constexpr int kGreatest = -5;
    return create(stream, flags, priority > 0 ? 0 : priority < kGreatest ? kGreatest : priority);
}

NVSIM_CUDA(cuStreamDestroy_v2, (CUstream stream), (stream)) { return destroy_stream(stream); }

NVSIM_CUDA(cuStreamSynchronize, (CUstream handle), (handle)) {
    Context* context = nullptr;
    Stream* stream = nullptr;
    if (const CUresult status = find(handle, context, stream)) return status;
    if (stream == nullptr || !asynchronous()) return CUDA_SUCCESS;
    // The default stream stands for the blocking streams too: a piece of work in it waits for them all.
    wait_for(is_default_stream(handle) ? submit(*stream, *context, nullptr) : last_point(*stream));
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuStreamQuery, (CUstream handle), (handle)) {
    Context* context = nullptr;
    Stream* stream = nullptr;
    if (const CUresult status = find(handle, context, stream)) return status;
    if (stream == nullptr || !asynchronous()) return CUDA_SUCCESS;
    return is_done(last_point(*stream)) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

NVSIM_CUDA(cuStreamWaitEvent, (CUstream handle, CUevent event, unsigned flags), (handle, event, flags)) {
    Context* context = nullptr;
    Stream* stream = nullptr;
    CUresult status = check_event(event);
    if (status == CUDA_SUCCESS) status = find(handle, context, stream);
    if (status != CUDA_SUCCESS) return status;
    if (flags > 1) return CUDA_ERROR_INVALID_VALUE;
    if (stream != nullptr && asynchronous() && event->recorded) submit(*stream, *context, nullptr, {point_of(*event)});
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuStreamGetFlags, (CUstream handle, unsigned* flags), (handle, flags)) {
    Context* context = nullptr;
    Stream* stream = nullptr;
    if (flags == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult status = find(handle, context, stream)) return status;
    *flags = is_default_stream(handle) ? 0 : handle->flags.load();
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuStreamGetPriority, (CUstream handle, int* priority), (handle, priority)) {
    Context* context = nullptr;
    Stream* stream = nullptr;
    if (priority == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult status = find(handle, context, stream)) return status;
    *priority = is_default_stream(handle) ? 0 : handle->priority.load();
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuStreamGetId, (CUstream handle, unsigned long long* id), (handle, id)) {
    Context* context = nullptr;
    Stream* stream = nullptr;
    if (id == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult status = find(handle, context, stream)) return status;
    *id = is_default_stream(handle) ? reinterpret_cast<uintptr_t>(handle) : handle->id + 2;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuStreamGetCtx, (CUstream handle, CUcontext* out), (handle, out)) {
    Context* context = nullptr;
    Stream* stream = nullptr;
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult status = find(handle, context, stream)) return status;
    *out = context;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuStreamGetCtx_v2, (CUstream handle, CUcontext* out, void** green), (handle, out, green)) {
    Context* context = nullptr;
    Stream* stream = nullptr;
    if (out == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult status = find(handle, context, stream)) return status;
    *out = context;
    if (green != nullptr) *green = nullptr;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuStreamGetDevice, (CUstream handle, CUdevice* device), (handle, device)) {
    Context* context = nullptr;
    Stream* stream = nullptr;
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult status = find(handle, context, stream)) return status;
    *device = context->device;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuStreamIsCapturing, (CUstream handle, int* capturing), (handle, capturing)) {
    Context* context = nullptr;
    Stream* stream = nullptr;
    if (capturing == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult status = find(handle, context, stream)) return status;
    *capturing = !is_default_stream(handle) && handle->capturing ? 1 : 0;
    return CUDA_SUCCESS;
}

// Clients can see that a stream is being captured. What they queue on it meanwhile runs all the same, and the graph is
// null.
NVSIM_CUDA(cuStreamBeginCapture_v2, (CUstream handle, int mode), (handle, mode)) {
    constexpr int kRelaxed = 2;
    if (mode < 0 || mode > kRelaxed) return CUDA_ERROR_INVALID_VALUE;
    if (is_default_stream(handle)) return CUDA_ERROR_NOT_SUPPORTED;
    if (const CUresult status = check_stream(handle)) return status;
    return handle->capturing.exchange(true) ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

NVSIM_CUDA(cuStreamEndCapture, (CUstream handle, void** graph), (handle, graph)) {
    if (graph == nullptr || is_default_stream(handle)) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult status = check_stream(handle)) return status;
    *graph = nullptr;
    return handle->capturing.exchange(false) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

NVSIM_CUDA(cuStreamAddCallback, (CUstream handle, CUstreamCallback callback, void* user_data, unsigned flags),
           (handle, callback, user_data, flags)) {
    if (callback == nullptr || flags != 0) return CUDA_ERROR_INVALID_VALUE;
    return launch(handle, [=] { callback(handle, CUDA_SUCCESS, user_data); });
}

NVSIM_CUDA(cuLaunchHostFunc, (CUstream handle, CUhostFn function, void* user_data), (handle, function, user_data)) {
    if (function == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return launch(handle, [=] { function(user_data); });
}

NVSIM_CUDA(cuLaunchHostFunc_v2, (CUstream handle, CUhostFn function, void* user_data, unsigned mode),
           (handle, function, user_data, mode)) {
    static_cast<void>(mode);
    if (function == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return launch(handle, [=] { function(user_data); });
}

NVSIM_CUDA(cuEventCreate, (CUevent * event, unsigned flags), (event, flags)) {
    if (event == nullptr || flags > kKnownEventFlags) return CUDA_ERROR_INVALID_VALUE;
    CUresult status = CUDA_SUCCESS;
    Context* context = working_context(status);
    if (context == nullptr) return status;
    *event = create_event(*context, flags);
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuEventDestroy_v2, (CUevent event), (event)) { return destroy_event(event); }
NVSIM_CUDA(cuEventRecord, (CUevent event, CUstream stream), (event, stream)) { return record(event, stream); }

NVSIM_CUDA(cuEventRecordWithFlags, (CUevent event, CUstream stream, unsigned flags), (event, stream, flags)) {
    return flags > 1 ? CUDA_ERROR_INVALID_VALUE : record(event, stream);
}

NVSIM_CUDA(cuEventQuery, (CUevent event), (event)) {
    if (const CUresult status = check_event(event)) return status;
    return !asynchronous() || is_done(point_of(*event)) ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

NVSIM_CUDA(cuEventSynchronize, (CUevent event), (event)) {
    if (const CUresult status = check_event(event)) return status;
    if (asynchronous()) wait_for(point_of(*event));
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuEventElapsedTime, (float* milliseconds, CUevent start, CUevent end), (milliseconds, start, end)) {
    if (milliseconds == nullptr) return CUDA_ERROR_INVALID_VALUE;
    CUresult status = check_event(start);
    if (status == CUDA_SUCCESS) status = check_event(end);
    if (status != CUDA_SUCCESS) return status;
    if (!start->recorded || !end->recorded || !timed(*start) || !timed(*end)) return CUDA_ERROR_INVALID_HANDLE;
    if (asynchronous() && (!is_done(point_of(*start)) || !is_done(point_of(*end)))) return CUDA_ERROR_NOT_READY;
    *milliseconds = static_cast<float>(end->time_ns - start->time_ns) / 1e6f;
    return CUDA_SUCCESS;
}
NVSIM_ALIAS(cuEventElapsedTime_v2, cuEventElapsedTime);
