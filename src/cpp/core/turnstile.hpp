// A lock that lets threads in in the order in which they came. With std::mutex, who has just left and comes back passes
// those who are still being woken: a thread that encodes without a pause would keep others waiting for hundreds of
// frames.
#pragma once

#include <atomic>
#include <cstdint>

namespace pdum::nvenc {

// BasicLockable. Entering and leaving cost two atomic operations where nobody waits. It holds nothing that a child of a
// fork would have to give back, and may be destroyed there whoever waited in the parent.
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

    // How many stand before it, as far as one can know.
    uint32_t waiting() const noexcept {
        const uint32_t taken = next_.load() - serving_.load();
        return taken > 0 ? taken - 1 : 0;
    }

   private:
    void sleep_while(uint32_t serving, uint32_t ticket) noexcept;
    void wake(uint32_t ticket) noexcept;

    std::atomic<uint32_t> next_{0};
    std::atomic<uint32_t> serving_{0};
};

}  // namespace pdum::nvenc
