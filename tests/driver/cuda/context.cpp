#include "cuda/context.hpp"

#include <pthread.h>

#include <cstdio>
#include <memory>
#include <mutex>

#include "common/control.hpp"
#include "common/immortal.hpp"
#include "common/instrument.hpp"
#include "cuda/memory.hpp"
#include "cuda/module.hpp"
#include "cuda/stream.hpp"

namespace nvsim::cuda {
namespace {

struct Primary {
    Context* context = nullptr;  // one handle for all lives, as the real driver gives
    int retains = 0;
    unsigned flags = 0;
};

struct Primaries {
    std::mutex mutex;
    Primary devices[kMostGpus];
};

Primaries& primaries() { return immortal<Primaries>(); }

enum class Start : int { not_yet, done, lost_by_fork };
std::atomic<Start> start{Start::not_yet};

std::atomic<uint64_t> next_serial{1};

void after_fork_in_child() {
    if (start.load() == Start::done) start.store(Start::lost_by_fork);
}

void open_context(Context* context, int device, unsigned flags, bool primary) {
    context->device = device;
    context->flags = flags;
    context->primary = primary;
    context->legacy = nullptr;
    context->peers = 0;
    context->serial = next_serial.fetch_add(1);
    contexts().publish(context);
}

// Ends the context's life with everything in it, once its work is done.
bool close_context(Context* context) {
    finish_work(*context);
    if (!contexts().end(context)) return false;
    end_streams_of(*context);
    end_events_of(*context);
    end_modules_of(*context);
    end_allocations_of(*context);
    return true;
}

}  // namespace

ContextPool& contexts() { return immortal<ContextPool>(); }

Machine& machine() { return immortal<Machine>(); }

Gpu gpu(int device) { return settings()->gpus.at(static_cast<size_t>(device)); }

bool initialised() { return start.load(std::memory_order_relaxed) == Start::done; }

CUresult initialise() {
    static std::once_flag once;
    std::call_once(once, [] { pthread_atfork(nullptr, nullptr, after_fork_in_child); });
    if (start.load() == Start::lost_by_fork) return CUDA_ERROR_NOT_INITIALIZED;
    if (machine().devices == 0) return CUDA_ERROR_NO_DEVICE;
    start.store(Start::done);
    return CUDA_SUCCESS;
}

CUresult ThreadContexts::push(Context* context) {
    if (depth_ == kDepth) return CUDA_ERROR_INVALID_VALUE;
    stack_[depth_++] = context;
    return CUDA_SUCCESS;
}

Context* ThreadContexts::pop() { return stack_[--depth_]; }

void ThreadContexts::set(Context* context) {
    if (context == nullptr) {
        if (depth_ > 0) --depth_;
        return;
    }
    if (depth_ == 0) ++depth_;
    stack_[depth_ - 1] = context;
}

Context* working_context(CUresult& status) {
    Context* context = ThreadContexts::current();
    if (context != nullptr && context->alive.load(std::memory_order_acquire)) return context;
    status = context == nullptr ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_CONTEXT_IS_DESTROYED;
    instrument::violation(name_of(context, "context"),
                          context == nullptr ? "no context is current" : "the current context is destroyed");
    return nullptr;
}

CUresult check_context(const Context* context) {
    switch (contexts().state(context)) {
        case HandleState::alive: return CUDA_SUCCESS;
        case HandleState::dead:
            instrument::violation(name_of(context, "context"), "used after it was destroyed");
            return CUDA_ERROR_CONTEXT_IS_DESTROYED;
        default: instrument::violation(name_of(context, "context"), "not a context"); return CUDA_ERROR_INVALID_CONTEXT;
    }
}

Context* create_context(int device, unsigned flags) {
    Context* context = contexts().take();
    open_context(context, device, flags, false);
    return context;
}

CUresult destroy_context(Context* context) {
    if (const CUresult status = check_context(context)) return status;
    if (context->primary) return CUDA_ERROR_INVALID_CONTEXT;
    if (!close_context(context)) return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    contexts().retire(context);
    if (ThreadContexts::current() == context) ThreadContexts::pop();
    return CUDA_SUCCESS;
}

Context* retain_primary(int device) {
    const std::lock_guard<std::mutex> lock(primaries().mutex);
    Primary& primary = primaries().devices[device];
    if (primary.context == nullptr) primary.context = contexts().take();
    if (!primary.context->alive) open_context(primary.context, device, primary.flags, true);
    ++primary.retains;
    return primary.context;
}

CUresult release_primary(int device) {
    const std::lock_guard<std::mutex> lock(primaries().mutex);
    Primary& primary = primaries().devices[device];
    if (primary.retains == 0) {
        instrument::violation(name_of(primary.context, "context"), "primary context released more often than retained");
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    if (--primary.retains == 0) close_context(primary.context);
    return CUDA_SUCCESS;
}

CUresult reset_primary(int device) {
    const std::lock_guard<std::mutex> lock(primaries().mutex);
    Primary& primary = primaries().devices[device];
    primary.retains = 0;
    if (primary.context != nullptr && primary.context->alive) close_context(primary.context);
    return CUDA_SUCCESS;
}

bool primary_active(int device, unsigned& flags) {
    const std::lock_guard<std::mutex> lock(primaries().mutex);
    const Primary& primary = primaries().devices[device];
    flags = primary.flags;
    return primary.retains > 0;
}

CUresult set_primary_flags(int device, unsigned flags) {
    const std::lock_guard<std::mutex> lock(primaries().mutex);
    Primary& primary = primaries().devices[device];
    primary.flags = flags;
    if (primary.context != nullptr) primary.context->flags = flags;
    return CUDA_SUCCESS;
}

int64_t primary_retains() {
    const std::lock_guard<std::mutex> lock(primaries().mutex);
    int64_t retains = 0;
    for (const Primary& primary : primaries().devices) retains += primary.retains;
    return retains;
}

std::string name_of(const void* handle, const char* kind) {
    char text[64];
    std::snprintf(text, sizeof text, "%s %p", kind, handle);
    return text;
}

}  // namespace nvsim::cuda
