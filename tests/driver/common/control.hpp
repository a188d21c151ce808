// The configuration in force in a library, and the answers to its nvsim_control.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/config.hpp"
#include "common/json.hpp"

namespace nvsim {

using LiveCounts = std::vector<std::pair<std::string, int64_t>>;

// What a library supplies. A library has one object of this kind in static storage: its constructor reads NVSIM_CONFIG
// when the library is loaded and hands the result to `apply`; a broken NVSIM_CONFIG ends the process with a message.
struct Library {
    Library(const char* name, std::string (*obstacle)(const Config& next), void (*apply)(const Config&),
            LiveCounts (*live)(), std::optional<Json> (*own)(const std::string& kind, const Json& value) = nullptr);

    const char* name;  // "cuda", "encode", "nvml": the trace's "lib"
    // Why the next configuration cannot be taken now; empty: it can.
    std::string (*obstacle)(const Config& next);
    void (*apply)(const Config&);  // settings() already answers the new one; may throw std::runtime_error
    LiveCounts (*live)();          // the report's live objects by kind
    // Answers the requests that this library alone knows; null: it has none.
    std::optional<Json> (*own)(const std::string& kind, const Json& value);
};

// The configuration in force. Takes a lock: not for hot paths.
std::shared_ptr<const Config> settings();

// {"configure": {...}}, {"report": true}, {"reset": true}, {"catalogue": true}, a request of the library's own, or
// {"quiet": true}, after which the calling thread's calls are not watched until {"quiet": false}; the answer lives
// until the thread's next request.
const char* answer_control(const Library& library, const char* request) noexcept;

}  // namespace nvsim
