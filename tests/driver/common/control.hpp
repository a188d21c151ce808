// The configuration in force in a library, and the answers to its nvsim_control.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/config.hpp"

namespace nvsim {

using LiveCounts = std::vector<std::pair<std::string, int64_t>>;

// What a library supplies. A library has one object of this kind in static storage: its constructor reads NVSIM_CONFIG
// when the library is loaded and hands the result to `apply`; a broken NVSIM_CONFIG ends the process with a message.
struct Library {
    Library(const char* name, std::string (*obstacle)(const Config& next), void (*apply)(const Config&),
            LiveCounts (*live)());

    const char* name;  // "cuda", "encode", "nvml": the trace's "lib"
    // Why the next configuration cannot be taken now; empty: it can.
    std::string (*obstacle)(const Config& next);
    void (*apply)(const Config&);  // settings() already answers the new one; may throw std::runtime_error
    LiveCounts (*live)();          // the report's live objects by kind
};

// The configuration in force. Takes a lock: not for hot paths.
std::shared_ptr<const Config> settings();

// {"configure": {...}}, {"report": true}, {"reset": true}, or {"quiet": true}, after which the calling thread's calls
// are not watched until {"quiet": false}; the answer lives until the thread's next request.
const char* answer_control(const Library& library, const char* request) noexcept;

}  // namespace nvsim
