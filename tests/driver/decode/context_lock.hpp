// The lock of a floating context: whoever has it may call the decoder. A thread may take it several times.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

namespace nvsim::decode {

struct ContextLock {
    explicit ContextLock(void* context_of_lock) : context(context_of_lock) {}

    void acquire() {
        std::unique_lock<std::mutex> lock(state);
        freed.wait(lock, [&] { return depth == 0 || owner == std::this_thread::get_id(); });
        owner = std::this_thread::get_id();
        ++depth;
    }

    bool release() {
        const std::lock_guard<std::mutex> lock(state);
        if (depth == 0 || owner != std::this_thread::get_id()) return false;
        if (--depth == 0) freed.notify_one();
        return true;
    }

    void* const context;
    std::mutex state;
    std::condition_variable freed;
    std::thread::id owner;
    int depth = 0;
};

}  // namespace nvsim::decode
