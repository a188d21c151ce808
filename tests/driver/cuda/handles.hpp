// Handles that clients hold. A handle is the address of a slot in a reserved range: a stale or an invented one is told
// from a living one by arithmetic and one load, and nothing that a handle may still point to is ever unmapped.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <new>

namespace nvsim::cuda {

enum class HandleState { foreign, dead, alive };

// T has `std::atomic<bool> alive`. A slot is constructed once and never destroyed; whoever creates an object puts the
// slot's fields into their first state.
template <typename T, size_t Capacity>
class HandlePool {
    static constexpr size_t kQuarantine = 1024;  // as many later objects are made before a slot serves again

   public:
    HandlePool() {
        void* memory = mmap(nullptr, Capacity * sizeof(T), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        first_ = static_cast<T*>(memory);
    }
    HandlePool(const HandlePool&) = delete;
    HandlePool& operator=(const HandlePool&) = delete;

    // The slot is not alive yet: the caller fills it and then calls publish.
    T* take() {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (retired_.size() > kQuarantine) {
            T* slot = retired_.front();
            retired_.pop_front();
            return slot;
        }
        const size_t used = used_.load(std::memory_order_relaxed);
        if (used == Capacity) throw std::bad_alloc();
        T* slot = new (first_ + used) T;
        used_.store(used + 1, std::memory_order_release);
        return slot;
    }

    void publish(T* slot) {
        live_.fetch_add(1, std::memory_order_relaxed);
        slot->alive.store(true, std::memory_order_release);
    }

    // True for the one caller who ends the object; the slot serves again after `retire`.
    bool end(T* slot) {
        if (!slot->alive.exchange(false)) return false;
        live_.fetch_sub(1, std::memory_order_relaxed);
        return true;
    }

    void retire(T* slot) {
        const std::lock_guard<std::mutex> lock(mutex_);
        retired_.push_back(slot);
    }

    HandleState state(const T* handle) const {
        const uintptr_t offset = reinterpret_cast<uintptr_t>(handle) - reinterpret_cast<uintptr_t>(first_);
        if (offset >= used_.load(std::memory_order_acquire) * sizeof(T) || offset % sizeof(T) != 0)
            return HandleState::foreign;
        return handle->alive.load(std::memory_order_acquire) ? HandleState::alive : HandleState::dead;
    }

    template <typename Visit>
    void each(Visit visit) {
        const size_t used = used_.load(std::memory_order_acquire);
        for (size_t i = 0; i < used; ++i)
            if (first_[i].alive.load(std::memory_order_acquire)) visit(first_[i]);
    }

    int64_t live() const { return live_.load(std::memory_order_relaxed); }

   private:
    T* first_ = nullptr;
    std::atomic<size_t> used_{0};
    std::atomic<int64_t> live_{0};
    std::mutex mutex_;
    std::deque<T*> retired_;
};

}  // namespace nvsim::cuda
