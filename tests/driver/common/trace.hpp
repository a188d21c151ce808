// The trace and the report: two files of JSON lines. The trace has a line for each call and each violation. The report
// has one for each library that is loaded, each violation, and each library at the end of its process.
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

// An empty path closes its file. Throws std::runtime_error if a file cannot be opened.
void open(const std::string& path, const std::string& report, const char* library);
void call(const char* name, int status, const CallDetails& details);
void violation(const char* call, const std::string& object, const std::string& message);
bool reporting();
void loaded();
void ended(const std::string& report);  // a JSON object: live objects and, if they were counted, calls

}  // namespace trace
}  // namespace nvsim
