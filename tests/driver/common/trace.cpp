#include "common/trace.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <stdexcept>

#include "common/immortal.hpp"
#include "common/json.hpp"

namespace nvsim::trace {
namespace {

struct File {
    std::mutex mutex;
    int descriptor = -1;
    const char* library = "";
};

File& file() { return immortal<File>(); }

uint64_t now_ns() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1000000000u + static_cast<uint64_t>(time.tv_nsec);
}

std::string line_start(const char* library) {
    return "{\"t\":" + std::to_string(now_ns()) + ",\"pid\":" + std::to_string(getpid()) +
           ",\"tid\":" + std::to_string(syscall(SYS_gettid)) + ",\"lib\":\"" + library + "\"";
}

void member(std::string& line, const char* key, const std::string& text) {
    line += ",\"";
    line += key;
    line += "\":";
    append_quoted(line, text);
}

void append(std::string line) {
    line += "}\n";
    const std::lock_guard<std::mutex> lock(file().mutex);
    // A trace that cannot be written (disk full) must not change what the client sees.
    if (file().descriptor >= 0) static_cast<void>(!write(file().descriptor, line.data(), line.size()));
}

}  // namespace

void open(const std::string& path, const char* library) {
    const std::lock_guard<std::mutex> lock(file().mutex);
    if (file().descriptor >= 0) close(file().descriptor);
    file().descriptor = -1;
    file().library = library;
    if (path.empty()) return;
    file().descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file().descriptor < 0) throw std::runtime_error("trace \"" + path + "\": " + std::strerror(errno));
}

void call(const char* name, int status, const CallDetails& details) {
    std::string line = line_start(file().library);
    if (*details.api != '\0') member(line, "api", details.api);
    member(line, "call", name);
    if (details.session != 0) line += ",\"session\":" + std::to_string(details.session);
    line += ",\"status\":" + std::to_string(status);
    if (!details.args.empty()) line += ",\"args\":" + details.args;
    append(std::move(line));
}

void violation(const char* call, const std::string& object, const std::string& message) {
    std::string line = line_start(file().library);
    member(line, "violation", message);
    member(line, "call", call);
    member(line, "object", object);
    append(std::move(line));
}

}  // namespace nvsim::trace
