#include "cuda/stream.hpp"

#include <time.h>

#include <unordered_map>

#include "common/immortal.hpp"
#include "common/instrument.hpp"

namespace nvsim::cuda {
namespace {

std::atomic<uint64_t> next_stream_id{1};

Stream* open_stream(Context& context, unsigned flags, int priority, bool implicit) {
    Stream* stream = streams().take();
    stream->context = &context;
    stream->context_serial = context.serial.load();
    stream->flags = flags;
    stream->priority = priority;
    stream->id = next_stream_id.fetch_add(1);
    stream->implicit = implicit;
    stream->capturing = false;
    streams().publish(stream);
    return stream;
}

Stream* legacy_stream(Context& context) {
    Stream* stream = context.legacy.load(std::memory_order_acquire);
    if (stream != nullptr) return stream;
    Stream* made = open_stream(context, 0, 0, true);
    if (context.legacy.compare_exchange_strong(stream, made)) return made;
    destroy_stream(made);
    return stream;
}

// One a thread and life of a context; ends with the context.
Stream* per_thread_stream(Context& context) {
    static thread_local std::unordered_map<uint64_t, Stream*> mine;
    Stream*& stream = mine[context.serial];
    if (stream == nullptr) stream = open_stream(context, 0, 0, true);
    return stream;
}

template <typename Object>
bool of_living_context(const Object& object) {
    const Context* context = object.context.load(std::memory_order_relaxed);
    return context->serial.load(std::memory_order_relaxed) == object.context_serial.load(std::memory_order_relaxed);
}

CUresult refuse(const void* handle, const char* kind, HandleState state) {
    instrument::violation(name_of(handle, kind),
                          state == HandleState::dead ? "used after it was destroyed" : "no such handle");
    return CUDA_ERROR_INVALID_HANDLE;
}

}  // namespace

StreamPool& streams() { return immortal<StreamPool>(); }

EventPool& events() { return immortal<EventPool>(); }

int64_t now_ns() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<int64_t>(time.tv_sec) * 1000000000 + time.tv_nsec;
}

bool is_default_stream(CUstream handle) { return reinterpret_cast<uintptr_t>(handle) <= 2; }

CUresult check_stream(CUstream handle) {
    const HandleState state = streams().state(handle);
    if (state != HandleState::alive) return refuse(handle, "stream", state);
    return of_living_context(*handle) ? CUDA_SUCCESS : refuse(handle, "stream", HandleState::dead);
}

CUresult check_event(CUevent handle) {
    const HandleState state = events().state(handle);
    if (state != HandleState::alive) return refuse(handle, "event", state);
    return of_living_context(*handle) ? CUDA_SUCCESS : refuse(handle, "event", HandleState::dead);
}

bool resolve_stream(CUstream handle, Context& context, Stream*& stream) {
    if (!is_default_stream(handle)) {
        stream = handle;
        return check_stream(handle) == CUDA_SUCCESS;
    }
    stream = nullptr;
    if (!machine().async_streams.load(std::memory_order_relaxed)) return true;
    stream = reinterpret_cast<uintptr_t>(handle) == 2 ? per_thread_stream(context) : legacy_stream(context);
    return true;
}

Stream* create_stream(Context& context, unsigned flags, int priority) {
    return open_stream(context, flags, priority, false);
}

Event* create_event(Context& context, unsigned flags) {
    Event* event = events().take();
    event->context = &context;
    event->context_serial = context.serial.load();
    event->flags = flags;
    event->recorded = false;
    event->time_ns = 0;
    event->stream = nullptr;
    event->seq = 0;
    events().publish(event);
    return event;
}

CUresult destroy_event(Event* event) {
    if (const CUresult status = check_event(event)) return status;
    if (!events().end(event)) return refuse(event, "event", HandleState::dead);
    events().retire(event);
    return CUDA_SUCCESS;
}

void end_events_of(const Context& context) {
    events().each([&](Event& event) {
        if (event.context == &context && events().end(&event)) events().retire(&event);
    });
}

int64_t live_streams() {
    int64_t count = 0;
    streams().each([&](const Stream& stream) { count += !stream.implicit; });
    return count;
}

}  // namespace nvsim::cuda
