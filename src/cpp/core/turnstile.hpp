// A lock that admits threads in the order in which they ask. With std::mutex, a thread that unlocks and locks again
// overtakes those that are still waking up: a thread that encodes without a pause would keep others waiting for
// hundreds of frames.
#pragma once

#include <atomic>
#include <cstdint>

namespace pdum::nvenc {

// BasicLockable. Locking and unlocking cost two atomic operations if no thread waits. A forked child can destroy it,
// whatever threads of the parent were waiting.
class Turnstile {
   public:
    Turnstile() = default;
    Turnstile(const Turnstile&) = delete;
    Turnstile& operator=(const Turnstile&) = delete;

    void lock() noexcept {
        const uint32_t ticket = next_.fetch_add(1);
        uint32_t serving = serving_.load();
        while (serving != ticket) {
            sleep_while(serving, ticket);
            serving = serving_.load();
        }
    }

    void unlock() noexcept {
        const uint32_t following = serving_.load(std::memory_order_relaxed) + 1;
        serving_.store(following);
        if (next_.load() != following) wake(following);
    }

   private:
    void sleep_while(uint32_t serving, uint32_t ticket) noexcept;
    void wake(uint32_t ticket) noexcept;

    std::atomic<uint32_t> next_{0};
    std::atomic<uint32_t> serving_{0};
};

}  // namespace pdum::nvenc
