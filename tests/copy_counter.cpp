// Counts the bytes that a process copies: preloaded, it stands before libc's memcpy and memmove. Copies below a given
// size are left out, since those are structs and strings.
#include <dlfcn.h>

#include <atomic>
#include <cstddef>

namespace {

using Move = void* (*)(void*, const void*, size_t);

std::atomic<size_t> smallest{~size_t{0}};  // none counts before the start
std::atomic<unsigned long long> bytes{0};
std::atomic<unsigned long long> calls{0};

// libc's own, or a plain loop while the dynamic linker looks for it (and copies itself).
void* move(void* target, const void* source, size_t size) {
    static std::atomic<Move> real{nullptr};
    thread_local bool looking = false;
    if (real.load(std::memory_order_acquire) == nullptr && !looking) {
        looking = true;
        real.store(reinterpret_cast<Move>(dlsym(RTLD_NEXT, "memmove")), std::memory_order_release);
        looking = false;
    }
    if (const Move found = real.load(std::memory_order_acquire)) return found(target, source, size);
    auto* to = static_cast<volatile char*>(target);
    const auto* from = static_cast<const volatile char*>(source);
    const bool backwards = to > from;
    for (size_t i = 0; i < size; ++i) {
        const size_t at = backwards ? size - 1 - i : i;
        to[at] = from[at];
    }
    return target;
}

void* counted(void* target, const void* source, size_t size) {
    if (size >= smallest.load(std::memory_order_relaxed)) {
        bytes.fetch_add(size, std::memory_order_relaxed);
        calls.fetch_add(1, std::memory_order_relaxed);
    }
    return move(target, source, size);
}

}  // namespace

extern "C" {

void* memcpy(void* target, const void* source, size_t size) { return counted(target, source, size); }
void* memmove(void* target, const void* source, size_t size) { return counted(target, source, size); }
void* __memcpy_chk(void* target, const void* source, size_t size, size_t) { return counted(target, source, size); }
void* __memmove_chk(void* target, const void* source, size_t size, size_t) { return counted(target, source, size); }

void copy_counter_start(size_t smallest_counted) {
    bytes = calls = 0;
    smallest = smallest_counted;
}

unsigned long long copy_counter_stop() {
    smallest = ~size_t{0};
    return bytes;
}

unsigned long long copy_counter_calls() { return calls; }

}  // extern "C"
