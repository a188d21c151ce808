// Start, end, versions, errors.
#include <atomic>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/control.hpp"
#include "nvml/entry.hpp"
#include "nvml/machine.hpp"

namespace {

std::atomic<int> users{0};

nvmlReturn_t answer_text(char* target, unsigned size, const std::string& text) {
    if (target == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    if (size <= text.size()) return NVML_ERROR_INSUFFICIENT_SIZE;
    std::snprintf(target, size, "%s", text.c_str());
    return NVML_SUCCESS;
}

std::string obstacle(const nvsim::Config&) { return ""; }
void apply(const nvsim::Config&) {}
nvsim::LiveCounts live() { return {{"initialisations", users}}; }

const nvsim::Library library{"nvml", &obstacle, &apply, &live};

}  // namespace

namespace nvsim::nvml {

bool initialised() { return users.load(std::memory_order_relaxed) > 0; }

}  // namespace nvsim::nvml

NVSIM_EXPORT const char* nvsim_control(const char* request) { return nvsim::answer_control(library, request); }

NVSIM_NVML_ANYTIME(nvmlInit_v2, (), ()) {
    ++users;
    return NVML_SUCCESS;
}

NVSIM_NVML_ANYTIME(nvmlInitWithFlags, (unsigned flags), (flags)) {
    static_cast<void>(flags);
    ++users;
    return NVML_SUCCESS;
}

NVSIM_NVML(nvmlShutdown, (), ()) {
    --users;
    return NVML_SUCCESS;
}

// Our own texts, which are not those of any driver.
NVSIM_EXPORT const char* nvmlErrorString(int status);
NVSIM_EXPORT const char* nvmlErrorString(int status) {
    static const std::map<int, const char*> texts = {
        {0, "success"},
        {1, "not initialised"},
        {2, "invalid argument"},
        {3, "not supported"},
        {4, "no permission"},
        {6, "not found"},
        {7, "buffer too small"},
        {9, "driver not loaded"},
        {10, "timeout"},
        {12, "library not found"},
        {13, "function not found"},
        {15, "GPU is lost"},
        {25, "argument of another version"},
    };
    const auto found = texts.find(status);
    return found == texts.end() ? "unknown error" : found->second;
}

NVSIM_NVML(nvmlSystemGetDriverVersion, (char* text, unsigned size), (text, size)) {
    return answer_text(text, size, nvsim::settings()->driver_version);
}

NVSIM_NVML(nvmlSystemGetNVMLVersion, (char* text, unsigned size), (text, size)) {
    const auto config = nvsim::settings();
    return answer_text(text, size, std::to_string(config->cuda_version / 1000) + "." + config->driver_version);
}

NVSIM_NVML(nvmlSystemGetCudaDriverVersion, (int* version), (version)) {
    if (version == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    *version = nvsim::settings()->cuda_version;
    return NVML_SUCCESS;
}

NVSIM_NVML(nvmlSystemGetProcessName, (unsigned pid, char* name, unsigned size), (pid, name, size)) {
    char path[32];
    std::snprintf(path, sizeof path, "/proc/%u/comm", pid);
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path, "r"), &std::fclose);
    char text[64] = {};
    if (!file || std::fgets(text, sizeof text, file.get()) == nullptr) return NVML_ERROR_NOT_FOUND;
    std::string line = text;
    while (!line.empty() && line.back() == '\n') line.pop_back();
    return answer_text(name, size, line);
}
