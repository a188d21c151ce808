// Loaded into a program with LD_PRELOAD: its wall clock is wrong by WRONG_CLOCK_SECONDS. Other clocks are as they are.

#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include <cstdlib>
#include <ctime>

namespace {

long offset() {
    const char* seconds = std::getenv("WRONG_CLOCK_SECONDS");
    return seconds == nullptr ? 0 : std::atol(seconds);
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* now) noexcept {
    const long status = syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += offset();
    }
    return static_cast<int>(status);
}

int gettimeofday(timeval* now, void*) noexcept {
    timespec found{};
    const int status = clock_gettime(CLOCK_REALTIME, &found);
    now->tv_sec = found.tv_sec;
    now->tv_usec = found.tv_nsec / 1000;
    return status;
}

time_t time(time_t* where) noexcept {
    timespec found{};
    clock_gettime(CLOCK_REALTIME, &found);
    if (where != nullptr) {
        *where = found.tv_sec;
    }
    return found.tv_sec;
}
}
