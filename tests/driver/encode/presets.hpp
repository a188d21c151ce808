// What a client may ask for by a preset and a tuning. What they stand for is recorded: recordings/presets.
#pragma once

#include <cstdint>

#include "encode/coder.hpp"

namespace nvsim {

enum class Tuning {
    undefined = 0,
    high_quality = 1,
    low_latency = 2,
    ultra_low_latency = 3,
    lossless = 4,
    ultra_high_quality = 5
};

// The presets of before API 10, which no longer exist in API 12.
enum class OldPreset {
    none,
    standard,
    fast,
    high_quality,
    bluray,
    low_latency,
    low_latency_hq,
    low_latency_hp,
    lossless,
    lossless_hp
};

struct PresetRequest {
    Codec codec = Codec::h264;
    int level = 4;  // P1 to P7
    Tuning tuning = Tuning::undefined;
};

// The new preset that is nearest to an old one.
PresetRequest translate(OldPreset preset, Codec codec);

// One number for each request, for the recorded configurations.
constexpr int preset_key(Codec codec, int level, int tuning) {
    return (static_cast<int>(codec) * 8 + level) * 8 + tuning;
}

}  // namespace nvsim
