#include "encode/presets.hpp"

namespace nvsim {

PresetRequest translate(OldPreset preset, Codec codec) {
    switch (preset) {
        case OldPreset::fast: return {codec, 1, Tuning::high_quality};
        case OldPreset::high_quality: return {codec, 6, Tuning::high_quality};
        case OldPreset::bluray: return {codec, 5, Tuning::high_quality};
        case OldPreset::low_latency: return {codec, 4, Tuning::low_latency};
        case OldPreset::low_latency_hq: return {codec, 6, Tuning::low_latency};
        case OldPreset::low_latency_hp: return {codec, 1, Tuning::low_latency};
        case OldPreset::lossless: return {codec, 4, Tuning::lossless};
        case OldPreset::lossless_hp: return {codec, 1, Tuning::lossless};
        default: return {codec, 4, Tuning::high_quality};
    }
}

}  // namespace nvsim
