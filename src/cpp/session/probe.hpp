// What a GPU reports about itself, through a session that is opened and closed for this.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "abi/encode_api.hpp"

namespace pdum::nvenc {

struct Probe {
    std::string gpu_name;
    std::string abi;
    std::vector<Codec> codecs;
};

// Throws the reason if the GPU cannot encode.
Probe probe(int gpu, const std::optional<std::string>& forced_abi);

// Every capability of one codec, by name.
struct GpuCapabilities {
    Codec codec;
    std::vector<std::pair<const char*, int>> values;
};
std::vector<GpuCapabilities> all_capabilities(int gpu, const std::optional<std::string>& forced_abi);

}  // namespace pdum::nvenc
