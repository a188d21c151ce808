// Threads before a Turnstile that is held: they come in one after another, and go through in that order. Then many of
// them count to a number together, which they only reach if never two are inside. Exits with 0 if so.
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/turnstile.hpp"

using pdum::nvenc::Turnstile;

namespace {

constexpr unsigned queued = 70;  // more than a word has bits
constexpr unsigned crowd = 8;
#ifdef __SANITIZE_THREAD__
constexpr unsigned visits = 2000;  // it sees a race without an accident
#else
constexpr unsigned visits = 20000;
#endif

// Whether the kernel says that a thread of this process sleeps.
bool is_asleep(long thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string line;
    std::getline(file, line);
    const size_t name_end = line.rfind(')');
    return name_end != std::string::npos && line.compare(name_end, 3, ") S") == 0;
}

bool in_order(Turnstile& turnstile) {
    std::vector<unsigned> order;
    std::vector<std::thread> threads;
    turnstile.lock();
    for (unsigned number = 0; number < queued; ++number) {
        std::atomic<long> queuing{0};
        threads.emplace_back([&turnstile, &order, &queuing, number] {
            queuing = syscall(SYS_gettid);
            const std::lock_guard<Turnstile> lock(turnstile);
            order.push_back(number);
        });
        while (queuing == 0 || !is_asleep(queuing)) std::this_thread::yield();
    }
    turnstile.unlock();
    for (std::thread& thread : threads) thread.join();
    for (unsigned number = 0; number < queued; ++number) {
        if (order.at(number) != number) return false;
    }
    return true;
}

bool one_at_a_time(Turnstile& turnstile) {
    unsigned count = 0;
    std::vector<std::thread> threads;
    for (unsigned number = 0; number < crowd; ++number) {
        threads.emplace_back([&turnstile, &count] {
            for (unsigned visit = 0; visit < visits; ++visit) {
                const std::lock_guard<Turnstile> lock(turnstile);
                ++count;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    return count == crowd * visits;
}

}  // namespace

int main() {
    Turnstile turnstile;
    if (!in_order(turnstile)) return std::puts("not in the order in which they came"), 1;
    if (!one_at_a_time(turnstile)) return std::puts("two at a time"), 2;
    return 0;
}
