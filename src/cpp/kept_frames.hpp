// Frames of the caller's that the engine reads where they lie, kept alive until their access units are out.
#pragma once

#include <pybind11/pybind11.h>

#include <mutex>
#include <vector>

#include "python_objects.hpp"

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
    }

    bool empty() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return frames_.empty();
    }

    // What was kept for a frame's access unit; a null frame where nothing was.
    Kept take(int64_t pts) {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (auto it = frames_.begin(); it != frames_.end(); ++it) {
            if (it->pts != pts) continue;
            Kept found = std::move(*it);
            frames_.erase(it);
            return found;
        }
        return {};
    }

    std::vector<Kept> take_all() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return std::move(frames_);
    }

   private:
    std::mutex mutex_;
    std::vector<Kept> frames_;
};

}  // namespace pdum::nvenc
