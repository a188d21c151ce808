// How long a question waits for a lock that working threads take again as soon as they have left it: the encoder's
// Turnstile or std::mutex. Prints what entering and leaving cost where nobody else comes, in nanoseconds, and then
// each wait, in microseconds.
//
//   turns THREADS HOLD_US QUESTIONS turnstile|mutex
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include "core/turnstile.hpp"

namespace {

using Clock = std::chrono::steady_clock;
using Microseconds = std::chrono::duration<double, std::micro>;

struct Plan {
    int threads, hold_us, questions;
};

// Work under the lock, as a copy of a host frame is.
void keep_busy_until(Clock::time_point end) {
    while (Clock::now() < end) {
    }
}

template <typename Lock>
std::vector<double> waits(const Plan& plan) {
    Lock lock;
    std::atomic<bool> over{false};
    std::vector<std::thread> workers;
    for (int index = 0; index < plan.threads; ++index) {
        workers.emplace_back([&] {
            while (!over) {
                const std::lock_guard<Lock> turn(lock);
                keep_busy_until(Clock::now() + std::chrono::microseconds(plan.hold_us));
            }
        });
    }
    std::vector<double> waited;
    for (int question = 0; question < plan.questions; ++question) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const Clock::time_point asked = Clock::now();
        const std::lock_guard<Lock> turn(lock);
        waited.push_back(Microseconds(Clock::now() - asked).count());
    }
    over = true;
    for (std::thread& worker : workers) worker.join();
    return waited;
}

template <typename Lock>
double alone_ns() {
    constexpr int kVisits = 2000000;
    Lock lock;
    const Clock::time_point begin = Clock::now();
    for (int visit = 0; visit < kVisits; ++visit) const std::lock_guard<Lock> turn(lock);
    return std::chrono::duration<double, std::nano>(Clock::now() - begin).count() / kVisits;
}

template <typename Lock>
void measure(const Plan& plan) {
    const double alone = alone_ns<Lock>();
    std::printf("%.2f", alone);
    for (const double wait : waits<Lock>(plan)) std::printf(" %.1f", wait);
    std::puts("");
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 5) return std::fputs("turns THREADS HOLD_US QUESTIONS turnstile|mutex\n", stderr), 2;
    const Plan plan{std::atoi(arguments[1]), std::atoi(arguments[2]), std::atoi(arguments[3])};
    if (std::strcmp(arguments[4], "mutex") == 0)
        measure<std::mutex>(plan);
    else
        measure<pdum::nvenc::Turnstile>(plan);
    return 0;
}
