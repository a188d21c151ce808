#include "common/line_file.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "common/json.hpp"

namespace nvsim {
namespace {

uint64_t now_ns() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1000000000u + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

void LineFile::open(const std::string& path, const char* what) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (descriptor_ >= 0) close(descriptor_);
    descriptor_ = -1;
    if (path.empty()) return;
    descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (descriptor_ < 0) throw std::runtime_error(std::string(what) + " \"" + path + "\": " + std::strerror(errno));
}

void LineFile::append(std::string line) {
    line += "}\n";
    const std::lock_guard<std::mutex> lock(mutex_);
    if (descriptor_ >= 0) static_cast<void>(!write(descriptor_, line.data(), line.size()));
}

bool LineFile::is_open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return descriptor_ >= 0;
}

std::string line_start(const char* library) {
    return "{\"t\":" + std::to_string(now_ns()) + ",\"pid\":" + std::to_string(getpid()) +
           ",\"tid\":" + std::to_string(syscall(SYS_gettid)) + ",\"lib\":\"" + library + "\"";
}

void add_member(std::string& line, const char* key, const std::string& text) {
    line += ",\"";
    line += key;
    line += "\":";
    append_quoted(line, text);
}

}  // namespace nvsim
