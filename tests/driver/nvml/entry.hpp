// How an exported function of libnvidia-ml is written; see cuda/entry.hpp.
#pragma once

#include "common/arguments.hpp"
#include "common/instrument.hpp"
#include "nvml/api.hpp"

namespace nvsim::nvml {

// Between nvmlInit and the nvmlShutdown that belongs to it.
bool initialised();

template <bool kAnytime, typename Body>
nvmlReturn_t guarded(Body&& body) noexcept {
    if (!kAnytime && !initialised()) return NVML_ERROR_UNINITIALIZED;
    try {
        return body();
    } catch (...) {
        return NVML_ERROR_UNKNOWN;
    }
}

}  // namespace nvsim::nvml

#define NVSIM_EXPORT extern "C" __attribute__((visibility("default")))

#define NVSIM_NVML_ENTRY(anytime, name, parameters, arguments)                                          \
    NVSIM_EXPORT nvmlReturn_t name parameters;                                                          \
    static nvmlReturn_t name##_body parameters;                                                         \
    NVSIM_EXPORT nvmlReturn_t name parameters {                                                         \
        static nvsim::CallSite site(#name);                                                             \
        return nvsim::observed(                                                                         \
            site, [&] { return nvsim::nvml::guarded<anytime>([&] { return name##_body arguments; }); }, \
            [&] { return nvsim::named_arguments(#arguments, std::make_tuple arguments); });             \
    }                                                                                                   \
    static nvmlReturn_t name##_body parameters

#define NVSIM_NVML(name, parameters, arguments) NVSIM_NVML_ENTRY(false, name, parameters, arguments)
#define NVSIM_NVML_ANYTIME(name, parameters, arguments) NVSIM_NVML_ENTRY(true, name, parameters, arguments)
