#include "core/process.hpp"

#include <pthread.h>

#include <atomic>

namespace pdum::nvenc {
namespace {

std::atomic<uint64_t> generation{0};

void count_fork() { generation.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

uint64_t process_generation() noexcept {
    static const int watching = pthread_atfork(nullptr, nullptr, count_fork);
    static_cast<void>(watching);
    return generation.load(std::memory_order_relaxed);
}

}  // namespace pdum::nvenc
