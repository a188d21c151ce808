// What the library exports: NVIDIA's two functions, and the control of the simulated driver.
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "common/control.hpp"
#include "common/instrument.hpp"
#include "common/text.hpp"
#include "encode/coder.hpp"
#include "encode/dispatch.hpp"
#include "encode/front.hpp"
#include "encode/machine.hpp"
#include "recordings/statuses.hpp"

namespace nvsim {

namespace {

Json codecs() {
    Json::Object obstacles;
    for (const Codec codec : {Codec::h264, Codec::hevc, Codec::av1})
        obstacles.emplace_back(codec_names[static_cast<int>(codec)], Json(codec_obstacle(codec)));
    return Json(std::move(obstacles));
}

// {"codecs": true}: what keeps each from being real. {"lose_device": 0}: that GPU is gone from now on.
std::optional<Json> own_requests(const std::string& kind, const Json& value) {
    if (kind == "codecs") return codecs();
    if (kind != "lose_device") return std::nullopt;
    Machine::instance().lose(value.as_integer(kind));
    return Json(Json::Object{{"ok", true}});
}

Library library(
    "encode", [](const Config& next) { return Machine::instance().obstacle(next); },
    [](const Config& config) { Machine::instance().apply(config); }, [] { return Machine::instance().live(); },
    own_requests);

const Front* const fronts[] = {&abi_11_1::front, &abi_12_1::front, &abi_12_2::front, &abi_13_0::front,
                               &abi_13_1::front};

// The recorded card does not look at the low half of the word: a version that does not exist is served as one that
// does.
const Front* like_a_card(uint32_t list_version) {
    const Front* newest = nullptr;
    for (const Front* front : fronts) {
        if (front->list_version == list_version) return nullptr;  // it does exist
        if (!instrument::strict() && front->list_version >> 16 == list_version >> 16) newest = front;
    }
    return newest;
}

// The version words of the interface hold the major number in the low byte and the minor one above bit 24.
const Front& front_for(uint32_t list_version) {
    const int major = static_cast<int>(list_version & 0xff), minor = static_cast<int>(list_version >> 24 & 0xf);
    const auto config = settings();
    if (const Front* front = like_a_card(list_version)) return *front;
    if (major > config->max_api_major || (major == config->max_api_major && minor > config->max_api_minor))
        refuse(Status::invalid_version, text("the driver knows API ", config->max_api_major, ".", config->max_api_minor,
                                             " and older ones, not ", major, ".", minor));
    for (const Front* front : fronts)
        if (front->list_version == list_version) return *front;
    refuse(recorded::list_version_zero,
           text("no NV_ENCODE_API_FUNCTION_LIST has version word 0x", std::hex, list_version));
}

Status max_supported_version(uint32_t* version) {
    if (version == nullptr) return Status::invalid_ptr;
    const auto config = settings();
    *version = static_cast<uint32_t>(config->max_api_major * 16 + config->max_api_minor);
    return Status::success;
}

Status create_instance(void* list) {
    try {
        if (list == nullptr) refuse(Status::invalid_ptr, "functionList is null");
        uint32_t version = 0;
        std::memcpy(&version, list, sizeof version);
        front_for(version).fill(list);
        return Status::success;
    } catch (const Refusal& refusal) {
        return answer(nullptr, refusal);
    }
}

CallDetails version_details(const void* where) {
    uint32_t version = 0;
    if (where != nullptr) std::memcpy(&version, where, sizeof version);
    Fields out;
    out.number("version", version);
    return {"", 0, out.finish()};
}

}  // namespace

}  // namespace nvsim

#define NVSIM_EXPORT extern "C" __attribute__((visibility("default")))

NVSIM_EXPORT uint32_t NvEncodeAPIGetMaxSupportedVersion(uint32_t* version) {
    static nvsim::CallSite site("NvEncodeAPIGetMaxSupportedVersion");
    return static_cast<uint32_t>(nvsim::observed(
        site, [&] { return nvsim::max_supported_version(version); }, [&] { return nvsim::version_details(version); }));
}

NVSIM_EXPORT uint32_t NvEncodeAPICreateInstance(void* list) {
    static nvsim::CallSite site("NvEncodeAPICreateInstance");
    return static_cast<uint32_t>(nvsim::observed(
        site, [&] { return nvsim::create_instance(list); }, [&] { return nvsim::version_details(list); }));
}

NVSIM_EXPORT const char* nvsim_control(const char* request) { return nvsim::answer_control(nvsim::library, request); }
