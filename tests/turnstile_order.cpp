// Threads before a Turnstile that is held: they come in one after another, and go through in that order. Then many of
// them count to a number together, which they only reach if never two are inside. Exits with 0 if so.
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

#include "core/turnstile.hpp"

using pdum::nvenc::Turnstile;

namespace {

constexpr unsigned queued = 70;  // more than a word has bits
constexpr unsigned crowd = 8, visits = 20000;

bool in_order(Turnstile& turnstile) {
    std::vector<unsigned> order;
    std::vector<std::thread> threads;
    turnstile.lock();
    for (unsigned number = 0; number < queued; ++number) {
        threads.emplace_back([&turnstile, &order, number] {
            const std::lock_guard<Turnstile> lock(turnstile);
            order.push_back(number);
        });
        while (turnstile.waiting() <= number) std::this_thread::yield();
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
    return count == crowd * visits && turnstile.waiting() == 0;
}

}  // namespace

int main() {
    Turnstile turnstile;
    if (!in_order(turnstile)) return std::puts("not in the order in which they came"), 1;
    if (!one_at_a_time(turnstile)) return std::puts("two at a time"), 2;
    return 0;
}
