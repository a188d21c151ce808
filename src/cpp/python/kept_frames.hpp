// Frames of the caller's that the engine reads where they lie, kept alive until their access units are out.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <mutex>
#include <vector>

#include "python/python_objects.hpp"

namespace pdum::nvenc {

// With the GIL held, or with threads that have none beside each other: no Python code runs under the lock.
class KeptFrames {
   public:
    // `owner` keeps the memory, `frame` is what the caller gave and gets back, `on_released` is called with it or None.
    struct Kept {
        int64_t pts;
        PyRef frame;
        PyRef owner;
        PyRef on_released;
    };

    void keep(Kept kept) {
        const std::lock_guard<std::mutex> lock(mutex_);
        frames_.push_back(std::move(kept));
        count_.store(frames_.size(), std::memory_order_relaxed);
    }

    // Asked for each frame, so without the lock: whoever kept a frame sees it itself.
    bool empty() const noexcept { return count_.load(std::memory_order_relaxed) == 0; }

    // What was kept for a frame's access unit; a null frame where nothing was.
    Kept take(int64_t pts) {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (auto it = frames_.begin(); it != frames_.end(); ++it) {
            if (it->pts != pts) continue;
            Kept found = std::move(*it);
            frames_.erase(it);
            count_.store(frames_.size(), std::memory_order_relaxed);
            return found;
        }
        return {};
    }

    std::vector<Kept> take_all() {
        const std::lock_guard<std::mutex> lock(mutex_);
        count_.store(0, std::memory_order_relaxed);
        return std::move(frames_);
    }

   private:
    std::mutex mutex_;
    std::vector<Kept> frames_;
    std::atomic<size_t> count_{0};
};

}  // namespace pdum::nvenc
