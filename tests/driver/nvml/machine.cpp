#include "nvml/machine.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <mutex>

#include "common/control.hpp"

namespace nvsim::nvml {
namespace {

constexpr double kPixels1080p = 1920.0 * 1080.0;

Device* devices() {
    static Device list[kMostGpus];
    static std::once_flag once;
    std::call_once(once, [] {
        for (int i = 0; i < kMostGpus; ++i) list[i].index = i;
    });
    return list;
}

}  // namespace

int device_count() { return static_cast<int>(settings()->gpus.size()); }

nvmlDevice_t device_at(int index) { return index >= 0 && index < device_count() ? &devices()[index] : nullptr; }

std::shared_ptr<const Gpu> gpu_of(nvmlDevice_t device) {
    const std::shared_ptr<const Config> config = settings();
    for (size_t i = 0; i < config->gpus.size(); ++i)
        if (device == &devices()[i]) return {config, &config->gpus[i]};
    return nullptr;
}

std::string uuid_of(const Gpu& gpu) {
    const std::string& digits = gpu.uuid;
    return "GPU-" + digits.substr(0, 8) + "-" + digits.substr(8, 4) + "-" + digits.substr(12, 4) + "-" +
           digits.substr(16, 4) + "-" + digits.substr(20);
}

std::string bus_id(int index) {
    char text[24];
    std::snprintf(text, sizeof text, "00000000:%02X:00.0", static_cast<unsigned>(index + 1) & 0xFFu);
    return text;
}

namespace {

std::vector<EncoderSession> sessions_of(int index, const char* suffix) {
    const std::string& path = settings()->state;
    if (path.empty()) return {};
    std::vector<EncoderSession> found = SessionRegistry(path + suffix).sessions();
    found.erase(std::remove_if(found.begin(), found.end(), [&](const EncoderSession& s) { return s.gpu != index; }),
                found.end());
    return found;
}

unsigned load(double capacity, const std::vector<EncoderSession>& sessions) {
    if (capacity <= 0) return 0;
    double work = 0;
    for (const EncoderSession& session : sessions) work += double(session.fps) * session.width * session.height;
    return static_cast<unsigned>(std::lround(std::min(1.0, work / capacity) * 100));
}

}  // namespace

std::vector<EncoderSession> encoder_sessions(int index) { return sessions_of(index, ""); }
std::vector<EncoderSession> decoder_sessions(int index) { return sessions_of(index, ".decoders"); }

unsigned encoder_load(const Gpu& gpu, const std::vector<EncoderSession>& sessions) {
    return load(gpu.engines * gpu.fps_1080p * kPixels1080p, sessions);
}

unsigned decoder_load(const Gpu& gpu, const std::vector<EncoderSession>& sessions) {
    return load(gpu.decoders * gpu.decode_fps_1080p * kPixels1080p, sessions);
}

}  // namespace nvsim::nvml
