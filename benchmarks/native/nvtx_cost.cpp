// What a range costs without a profiler: prints nanoseconds of one, over a loop without it, a line for each round.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "core/nvtx.hpp"

namespace {

constexpr int ranges = 2'000'000;

// An instruction that the compiler cannot leave out, so that the loop stays a loop.
inline void stay() { __asm__ volatile("" ::: "memory"); }

template <typename Body>
double nanoseconds(Body body) {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < ranges; ++i) body();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    return took.count() / ranges;
}

}  // namespace

int main(int count, char** arguments) {
    const int rounds = count > 1 ? std::atoi(arguments[1]) : 1;
    for (int round = 0; round < rounds; ++round) {
        const double empty = nanoseconds([] { stay(); });
        const double marked = nanoseconds([] {
            const pdum::nvenc::NvtxRange range("pdum.benchmark");
            stay();
        });
        std::printf("%.3f\n", std::max(marked - empty, 0.0));
    }
}
