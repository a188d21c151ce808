#include "core/turnstile.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

namespace pdum::nvenc {
namespace {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t) && std::atomic<uint32_t>::is_always_lock_free);

// Up to 32 waiting threads have one bit each, so that each is woken alone.
uint32_t bit_of(uint32_t ticket) { return 1U << (ticket % 32); }

}  // namespace

// Returns at once if serving_ has changed, and sometimes for no reason.
void Turnstile::sleep_while(uint32_t serving, uint32_t ticket) noexcept {
    syscall(SYS_futex, &serving_, FUTEX_WAIT_BITSET_PRIVATE, serving, nullptr, nullptr, bit_of(ticket));
}

void Turnstile::wake(uint32_t ticket) noexcept {
    syscall(SYS_futex, &serving_, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, nullptr, nullptr, bit_of(ticket));
}

}  // namespace pdum::nvenc
