// What a GPU's encoder can do, under readable names.
#pragma once

#include <array>
#include <cstdint>

namespace pdum::nvenc {

enum class Capability : uint32_t {
#define PDUM_CAPABILITY(name, number, nvidia_name) name = (number),
#include "abi/capabilities.def"
#undef PDUM_CAPABILITY
};

struct CapabilityName {
    Capability capability;
    const char* name;         // "max_b_frames"
    const char* nvidia_name;  // "NUM_MAX_BFRAMES"
};

inline constexpr std::array capability_names{
#define PDUM_CAPABILITY(name, number, nvidia_name) CapabilityName{Capability::name, #name, nvidia_name},
#include "abi/capabilities.def"
#undef PDUM_CAPABILITY
};

}  // namespace pdum::nvenc
