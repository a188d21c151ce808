// Handles of clients: numbers that are never used again, so that a stale one is always recognised.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "decode/entry.hpp"

namespace nvsim::decode {

template <typename T>
class Handles {
   public:
    Handles(const char* kind, uintptr_t base) : kind_(kind), base_(base) {}

    void* add(std::shared_ptr<T> object) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const uintptr_t handle = base_ + ++count_ * 16;
        living_[handle] = std::move(object);
        return reinterpret_cast<void*>(handle);
    }

    std::shared_ptr<T> find(const void* handle) {
        const std::lock_guard<std::mutex> lock(mutex_);
        return find_locked(handle)->second;
    }

    std::shared_ptr<T> remove(const void* handle) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto found = find_locked(handle);
        std::shared_ptr<T> object = found->second;
        living_.erase(found);
        return object;
    }

    int64_t living() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return static_cast<int64_t>(living_.size());
    }

    template <typename Visit>
    void each(Visit&& visit) {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (const auto& [handle, object] : living_) visit(*object);
    }

   private:
    using Living = std::map<uintptr_t, std::shared_ptr<T>>;

    typename Living::iterator find_locked(const void* handle) {
        const auto value = reinterpret_cast<uintptr_t>(handle);
        const auto found = living_.find(value);
        if (found != living_.end()) return found;
        const bool was = value > base_ && value <= base_ + count_ * 16 && (value - base_) % 16 == 0;
        violate(Status::invalid_handle, kind_, std::string("this handle ") + (was ? "was destroyed" : "never was one"));
    }

    const char* const kind_;
    const uintptr_t base_;
    std::mutex mutex_;
    uintptr_t count_ = 0;
    Living living_;
};

}  // namespace nvsim::decode
