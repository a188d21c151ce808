// What every call of a simulated library passes through: counting, injected faults, the trace and the list of
// violations. With all of them off a call pays one relaxed load and one thread-local store.
//
//     CUresult cuFoo(int a) {
//         static CallSite site("cuFoo");
//         return static_cast<CUresult>(observed(site, [&] { return foo(a); }, [&] { return CallDetails{}; }));
//     }
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

#include "common/trace.hpp"

namespace nvsim {

struct Config;
class Json;

// One for each exported function, in static storage.
class CallSite {
   public:
    constexpr explicit CallSite(const char* name) : name_(name) {}
    CallSite(const CallSite&) = delete;
    CallSite& operator=(const CallSite&) = delete;
    const char* name() const { return name_; }

   private:
    friend struct CallSites;
    const char* name_;
    std::atomic<uint64_t> uses_{0};
    std::atomic<bool> listed_{false};
    CallSite* next_ = nullptr;
};

namespace instrument {

inline std::atomic<bool> watching_flag{false};
inline std::atomic<bool> tracing_flag{false};
inline std::atomic<bool> strict_flag{true};
// The call that this thread is in, for violations found deep inside.
inline thread_local const CallSite* current_call __attribute__((tls_model("initial-exec"))) = nullptr;

// The encoder library's own calls of the simulated libcuda are no client's: they are neither counted nor made to fail.
inline thread_local bool quiet __attribute__((tls_model("initial-exec"))) = false;

// True while calls are counted, may fail on purpose, or are traced.
inline bool watching() { return watching_flag.load(std::memory_order_relaxed); }
inline bool tracing() { return tracing_flag.load(std::memory_order_relaxed); }
inline bool strict() { return strict_flag.load(std::memory_order_relaxed); }

void configure(const Config& config, const char* library);
// Clears violations, counts and the faults' counters.
void reset();

// Counts the call; a value is the status that it has to answer instead of doing its work.
std::optional<int> enter(CallSite& site);

// A rule broken by the client in the current call. Nothing while `strict` is off.
void violation(const std::string& object, const std::string& message);

Json calls_report();
Json violations_report();

}  // namespace instrument

// Runs `body` (which answers a status) as the call of `site`; `describe` makes the CallDetails and is only called for a
// trace, after the body.
template <typename Body, typename Describe>
auto observed(CallSite& site, Body&& body, Describe&& describe) -> decltype(body()) {
    using Answer = decltype(body());
    instrument::current_call = &site;
    if (!instrument::watching() || instrument::quiet) return body();
    const std::optional<int> fault = instrument::enter(site);
    const Answer status = fault ? static_cast<Answer>(*fault) : body();
    if (instrument::tracing()) trace::call(site.name(), static_cast<int>(status), describe());
    return status;
}

}  // namespace nvsim
