#include "decode/machine.hpp"

#include <algorithm>

#include "common/cuda_calls.hpp"
#include "common/text.hpp"
#include "decode/context_lock.hpp"
#include "decode/decoder.hpp"
#include "decode/parser.hpp"

namespace nvsim::decode {

namespace {

std::unique_ptr<Device> make_device(const Config& config, int index) {
    auto device = std::make_unique<Device>();
    device->gpu = config.gpus[index];
    device->index = index;
    for (int engine = 0; engine < device->gpu.decoders; ++engine) {
        std::optional<uint64_t> stall_after;
        std::atomic<bool>* lost = nullptr;
        for (const Stall& stall : config.stalls) {
            if (stall.gpu != index || stall.decoder != engine) continue;
            stall_after = stall.after_frames;
            lost = stall.device_lost ? &device->lost : nullptr;
        }
        device->engines.push_back(std::make_unique<Engine>(device->gpu.decode_fps_1080p, stall_after, lost));
    }
    return device;
}

bool same_gpu(const Gpu& a, const Gpu& b) {
    return a.name == b.name && a.decoders == b.decoders && a.decode_fps_1080p == b.decode_fps_1080p &&
           a.decode_codecs == b.decode_codecs && a.decode_max_width == b.decode_max_width &&
           a.decode_max_height == b.decode_max_height;
}

bool same_stall(const Stall& a, const Stall& b) {
    return a.gpu == b.gpu && a.decoder == b.decoder && a.after_frames == b.after_frames &&
           a.device_lost == b.device_lost;
}

bool same_machine(const Config& a, const Config& b) {
    return a.state == b.state && std::equal(a.gpus.begin(), a.gpus.end(), b.gpus.begin(), b.gpus.end(), same_gpu) &&
           std::equal(a.stalls.begin(), a.stalls.end(), b.stalls.begin(), b.stalls.end(), same_stall);
}

}  // namespace

Engine& Device::least_loaded() {
    const std::lock_guard<std::mutex> lock(assigning_);
    const auto least = std::min_element(engines.begin(), engines.end(), [](const auto& a, const auto& b) {
        return a->sessions.load() < b->sessions.load();
    });
    ++(*least)->sessions;
    return **least;
}

Machine::Machine() : config_(settings()) {}

std::string Machine::obstacle(const Config& next) {
    const int64_t open = decoders.living();
    const std::lock_guard<std::mutex> lock(mutex_);
    return open == 0 || same_machine(*config_, next) ? "" : text(open, " decoder(s) are open");
}

void Machine::apply(const Config& config) {
    const bool idle = decoders.living() == 0;
    const std::lock_guard<std::mutex> lock(mutex_);
    pictures_ = 0;
    if (idle) {
        std::vector<std::unique_ptr<Device>> devices;
        for (int index = 0; index < static_cast<int>(config.gpus.size()); ++index)
            devices.push_back(make_device(config, index));
        registry_ = std::make_unique<SessionRegistry>(config.state.empty() ? "" : config.state + ".decoders");
        devices_.swap(devices);
    }
    config_ = std::make_shared<const Config>(config);
}

LiveCounts Machine::live() {
    int64_t mapped = 0;
    decoders.each([&](Decoder& decoder) { mapped += decoder.mapped_frames(); });
    return {{"decoders", decoders.living()},
            {"mapped_frames", mapped},
            {"parsers", parsers.living()},
            {"locks", locks.living()}};
}

Device& Machine::current_device(void*& context) {
    const cu::Quiet quiet;
    int ordinal = 0;
    if (cu::calls() == nullptr) throw Refusal{Status::no_device};
    if (cu::calls()->current(&context) != 0 || context == nullptr || cu::calls()->context_device(&ordinal) != 0)
        violate(Status::invalid_context, "thread", "no CUDA context is current");
    const std::lock_guard<std::mutex> lock(mutex_);
    if (static_cast<size_t>(ordinal) >= devices_.size()) throw Refusal{Status::no_device};
    return *devices_[static_cast<size_t>(ordinal)];
}

std::unique_ptr<SessionRegistry::Ticket> Machine::announce(const EncoderSession& session) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return registry_->open(session, 0);
}

int Machine::next_damage() {
    const uint64_t picture = ++pictures_;
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const Damage& damage : config_->damage)
        if (damage.picture == picture) return damage.status;
    return 0;
}

}  // namespace nvsim::decode
