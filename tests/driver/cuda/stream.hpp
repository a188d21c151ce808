// Streams, events, and when work runs.
//
// Without `async_streams` all work is done before the call that asks for it returns. With it every stream has a thread;
// work waits there until something needs it (a synchronisation, or work in another stream that was told to wait for it)
// or until some milliseconds have passed. So work that nobody ordered runs visibly late, and a client that forgot an
// event reads old pixels every time instead of once in a thousand runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <vector>

#include "cuda/api.hpp"
#include "cuda/context.hpp"
#include "cuda/handles.hpp"

namespace nvsim::cuda {

// The work of a stream up to its seq-th piece. seq 0: nothing.
struct Point {
    Stream* stream = nullptr;
    uint64_t seq = 0;
};

struct Work {
    std::function<void()> run;
    std::vector<Point> after;
    uint64_t seq = 0;
    int64_t due_ns = 0;  // runs no later than this once what it waits for is done
};

struct Stream {
    std::atomic<bool> alive{false};
    std::atomic<Context*> context{nullptr};
    std::atomic<uint64_t> context_serial{0};
    std::atomic<unsigned> flags{0};
    std::atomic<int> priority{0};
    std::atomic<uint64_t> id{0};
    std::atomic<bool> implicit{false};  // a default stream: the client holds no handle of it
    std::atomic<bool> capturing{false};
    std::mutex at_work;  // while memory work is done at once

    // Of the queue, under the scheduler's lock. The counts go on when the slot serves another stream, so that a Point
    // of the old one stays true.
    std::list<Work> queue;  // owns nothing while it is empty
    uint64_t submitted = 0;
    uint64_t completed = 0;
    uint64_t needed = 0;  // a call waits for the work up to here
    bool has_thread = false;
    bool ending = false;
};

struct Event {
    std::atomic<bool> alive{false};
    std::atomic<Context*> context{nullptr};
    std::atomic<uint64_t> context_serial{0};
    std::atomic<unsigned> flags{0};
    std::atomic<bool> recorded{false};
    std::atomic<int64_t> time_ns{0};
    std::atomic<Stream*> stream{nullptr};  // the Point that it was last recorded at
    std::atomic<uint64_t> seq{0};
};

using StreamPool = HandlePool<Stream, 1 << 18>;
using EventPool = HandlePool<Event, 1 << 20>;
StreamPool& streams();
EventPool& events();

// The stream that a call means: a living handle, or for 0, 1 and 2 the default stream of `context` (null if nothing
// is asynchronous: then the default streams need no object). A bad handle is noted and gives false.
bool resolve_stream(CUstream handle, Context& context, Stream*& stream);
CUresult check_stream(CUstream handle);
CUresult check_event(CUevent handle);
bool is_default_stream(CUstream handle);

Stream* create_stream(Context& context, unsigned flags, int priority);
CUresult destroy_stream(Stream* stream);
Event* create_event(Context& context, unsigned flags);
CUresult destroy_event(Event* event);

int64_t now_ns();

// `run` after everything that the stream and its kind of default-stream order demand. Only while async_streams is on.
Point submit(Stream& stream, Context& context, std::function<void()> run, std::vector<Point> after = {});
// Whether work is done in the call that asks for it. No stream: see resolve_stream.
inline bool works_at_once(const Stream* stream) {
    return stream == nullptr || !machine().async_streams.load(std::memory_order_relaxed);
}
// Runs at once, or later in the stream's order.
template <typename Run>
void do_in_order(Stream* stream, Context& context, Run run) {
    if (works_at_once(stream))
        run();
    else
        submit(*stream, context, std::move(run));
}
// Memory work, on the caller's thread: pieces of one stream that several threads ask for come one after the other. Host
// functions are not held to that: they may wait for what another thread has yet to put into the stream.
template <typename Run>
void do_at_once(Stream* stream, Context& context, Run run) {
    const std::lock_guard<std::mutex> lock(stream == nullptr ? context.at_work : stream->at_work);
    run();
}
void wait_for(Point point);
bool is_done(Point point);  // who asks will ask again: the work begins
Point last_point(Stream& stream);
// Waits until all work of the context is done, or says whether it is.
void finish_work(Context& context);

void end_streams_of(const Context& context);
void end_events_of(const Context& context);

int64_t live_streams();  // those that clients made

}  // namespace nvsim::cuda
