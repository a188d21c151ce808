// The caller's frames that the engine reads in place, kept alive until their access units are out.
#pragma once

#include <Python.h>

#include <atomic>
#include <mutex>
#include <vector>

#include "python/python_objects.hpp"

namespace pdum::nvenc {

struct FrameInFlight {
    int64_t pts = 0;
    PyRef frame;        // the caller's object
    PyRef memory;       // another object that keeps its memory alive; may be null
    PyRef on_released;  // called with the frame when it may be written again; may be null

    // Calls `on_released`. If that raises, the error is reported and no packet is lost.
    void tell() const;
};

// Call it with the GIL held (if there is one). No Python code runs under the lock.
class FramesInFlight {
   public:
    void add(FrameInFlight frame) {
        const std::lock_guard<std::mutex> lock(mutex_);
        frames_.push_back(std::move(frame));
        count_.store(frames_.size(), std::memory_order_relaxed);
    }

    // Without the lock, since it is called for each frame: a thread that has added a frame sees it.
    bool empty() const noexcept { return count_.load(std::memory_order_relaxed) == 0; }

    // Removes the frame of an access unit and returns it; without an object if there is none.
    FrameInFlight take(int64_t pts) {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (auto it = frames_.begin(); it != frames_.end(); ++it) {
            if (it->pts != pts) continue;
            FrameInFlight found = std::move(*it);
            frames_.erase(it);
            count_.store(frames_.size(), std::memory_order_relaxed);
            return found;
        }
        return {};
    }

    std::vector<FrameInFlight> take_all() {
        const std::lock_guard<std::mutex> lock(mutex_);
        count_.store(0, std::memory_order_relaxed);
        return std::move(frames_);
    }

    std::vector<int64_t> all_pts() {
        const std::lock_guard<std::mutex> lock(mutex_);
        std::vector<int64_t> all;
        all.reserve(frames_.size());
        for (const FrameInFlight& frame : frames_) all.push_back(frame.pts);
        return all;
    }

    // For the garbage collector, which stops all other threads at points where they do not hold the lock.
    int traverse(visitproc visit, void* arg) const {
        for (const FrameInFlight& frame : frames_) {
            Py_VISIT(frame.frame.get());
            Py_VISIT(frame.memory.get());
            Py_VISIT(frame.on_released.get());
        }
        return 0;
    }

   private:
    std::mutex mutex_;
    std::vector<FrameInFlight> frames_;
    std::atomic<size_t> count_{0};
};

}  // namespace pdum::nvenc
