// The queues of the streams, for `async_streams`. One lock and one condition for all: this mode is for finding missing
// order, not for speed.
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "common/immortal.hpp"
#include "common/instrument.hpp"
#include "cuda/stream.hpp"

namespace nvsim::cuda {
namespace {

// How long work is delayed if no call waits for it: longer than a busy machine keeps a client from its next call. So
// what reads too early does so every time.
constexpr int64_t kLazinessNs = 50'000'000;

struct Scheduler {
    std::mutex mutex;
    std::condition_variable changed;
};

Scheduler& scheduler() { return immortal<Scheduler>(); }

using Lock = std::unique_lock<std::mutex>;

bool done(const Point& point) { return point.seq == 0 || point.stream->completed >= point.seq; }

bool all_done(const std::vector<Point>& points) {
    for (const Point& point : points)
        if (!done(point)) return false;
    return true;
}

// Makes the work up to the point run now; what it waits for in turn is hurried by its own stream's thread.
void hurry(const Point& point) {
    if (point.seq == 0 || point.stream->needed >= point.seq) return;
    point.stream->needed = point.seq;
    scheduler().changed.notify_all();
}

void wait_until_ready(Lock& lock, Stream& stream, const Work& work) {
    Scheduler& all = scheduler();
    while (true) {
        const bool needed = stream.needed >= work.seq || stream.ending;
        if (needed)
            for (const Point& point : work.after) hurry(point);
        const bool ordered = all_done(work.after);
        const int64_t left = needed ? 0 : work.due_ns - now_ns();
        if (ordered && left <= 0) return;
        if (left > 0)
            all.changed.wait_for(lock, std::chrono::nanoseconds(left));
        else
            all.changed.wait(lock);
    }
}

void serve(Stream& stream) {
    Scheduler& all = scheduler();
    Lock lock(all.mutex);
    while (true) {
        all.changed.wait(lock, [&] { return !stream.queue.empty() || stream.ending; });
        if (stream.queue.empty()) break;
        Work work = std::move(stream.queue.front());
        stream.queue.pop_front();
        wait_until_ready(lock, stream, work);
        lock.unlock();
        if (work.run) work.run();
        work.run = nullptr;
        lock.lock();
        stream.completed = work.seq;
        all.changed.notify_all();
    }
    stream.has_thread = false;
    stream.ending = false;
    streams().retire(&stream);
}

bool blocking(const Stream& stream) { return (stream.flags & CU_STREAM_NON_BLOCKING) == 0; }

// What the legacy default stream's rules add: it waits for all blocking streams of its context, and they for it.
void add_default_stream_order(const Stream& stream, Context& context, std::vector<Point>& after) {
    Stream* legacy = context.legacy;
    if (legacy == nullptr || !blocking(stream)) return;
    if (legacy != &stream) {
        if (legacy->completed < legacy->submitted) after.push_back({legacy, legacy->submitted});
        return;
    }
    streams().each([&](Stream& other) {
        if (&other != legacy && other.context == &context && blocking(other) && other.completed < other.submitted)
            after.push_back({&other, other.submitted});
    });
}

std::vector<Point> points_of(const Context& context) {
    std::vector<Point> points;
    streams().each([&](Stream& stream) {
        if (stream.context == &context && stream.completed < stream.submitted)
            points.push_back({&stream, stream.submitted});
    });
    return points;
}

}  // namespace

Point submit(Stream& stream, Context& context, std::function<void()> run, std::vector<Point> after) {
    const Lock lock(scheduler().mutex);
    Context& home = stream.context != nullptr ? *stream.context : context;
    add_default_stream_order(stream, home, after);
    if (!stream.has_thread) {
        stream.has_thread = true;
        std::thread(serve, std::ref(stream)).detach();
    }
    stream.queue.push_back({std::move(run), std::move(after), ++stream.submitted, now_ns() + kLazinessNs});
    scheduler().changed.notify_all();
    return {&stream, stream.submitted};
}

void wait_for(Point point) {
    Lock lock(scheduler().mutex);
    hurry(point);
    scheduler().changed.wait(lock, [&] { return done(point); });
}

bool is_done(Point point) {
    const Lock lock(scheduler().mutex);
    if (done(point)) return true;
    hurry(point);
    return false;
}

Point last_point(Stream& stream) {
    const Lock lock(scheduler().mutex);
    return {&stream, stream.submitted};
}

void finish_work(Context& context) {
    if (!machine().async_streams.load(std::memory_order_relaxed)) return;
    Lock lock(scheduler().mutex);
    const std::vector<Point> points = points_of(context);
    for (const Point& point : points) hurry(point);
    scheduler().changed.wait(lock, [&] { return all_done(points); });
}

CUresult destroy_stream(Stream* stream) {
    if (const CUresult status = check_stream(stream)) return status;
    const Lock lock(scheduler().mutex);
    if (!streams().end(stream)) return CUDA_ERROR_INVALID_HANDLE;
    if (!stream->has_thread) {
        streams().retire(stream);
        return CUDA_SUCCESS;
    }
    stream->ending = true;  // its thread finishes the queue and then gives the slot back
    scheduler().changed.notify_all();
    return CUDA_SUCCESS;
}

void end_streams_of(const Context& context) {
    const Lock lock(scheduler().mutex);
    streams().each([&](Stream& stream) {
        if (stream.context != &context || !streams().end(&stream)) return;
        if (!stream.has_thread) {
            streams().retire(&stream);
            return;
        }
        stream.ending = true;
        scheduler().changed.notify_all();
    });
}

}  // namespace nvsim::cuda
