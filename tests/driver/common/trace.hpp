// The trace file: one JSON line a call or violation, appended by every library and process with one write each.
#pragma once

#include <cstdint>
#include <string>

namespace nvsim {

// What a line says about a call besides its name and status.
struct CallDetails {
    const char* api = "";  // "13.0"; empty: left out
    uint64_t session = 0;  // 0: left out
    std::string args;      // a JSON object; empty: left out
};

namespace trace {

// An empty path closes the trace. Throws std::runtime_error where the file cannot be opened.
void open(const std::string& path, const char* library);
void call(const char* name, int status, const CallDetails& details);
void violation(const char* call, const std::string& object, const std::string& message);

}  // namespace trace
}  // namespace nvsim
