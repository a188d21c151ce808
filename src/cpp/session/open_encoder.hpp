// Opening a session on a GPU, with errors that say which GPU it was and what it can do instead.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "abi/encode_api.hpp"
#include "cuda/cuda.hpp"

namespace pdum::nvenc {

// The context has to be current.
std::unique_ptr<EncodeApi> open_encoder(const Abi& abi, const Context& context);

// Throws unsupported_feature or invalid_config with the GPU's own limits where it cannot do what the settings ask.
void require_within_limits(EncodeApi& api, const Context& context, const Settings& settings);

// Likewise for a change of a running encoder.
void require_live_change(EncodeApi& api, const Context& context, const Settings& from, const Settings& to);

struct Probe {
    std::string gpu_name;
    std::string abi;
    std::vector<Codec> codecs;
};

// What can be told without setting an encoder up: throws the reason why the GPU cannot encode.
Probe probe(int gpu, const std::optional<std::string>& forced_abi);

// Every capability of every codec that the GPU has, by one session that is closed again.
struct GpuCapabilities {
    Codec codec;
    std::vector<std::pair<const char*, int>> values;
};
std::vector<GpuCapabilities> all_capabilities(int gpu, const std::optional<std::string>& forced_abi);

}  // namespace pdum::nvenc
