#include "encode/names.hpp"

#include <cstring>

namespace nvsim {

namespace {

struct CodecName {
    const char* guid;
    Codec codec;
};
constexpr CodecName codecs[] = {{"NV_ENC_CODEC_H264_GUID", Codec::h264},
                                {"NV_ENC_CODEC_HEVC_GUID", Codec::hevc},
                                {"NV_ENC_CODEC_AV1_GUID", Codec::av1}};

struct OldPresetName {
    const char* guid;
    OldPreset preset;
};
constexpr OldPresetName old_presets[] = {
    {"NV_ENC_PRESET_DEFAULT_GUID", OldPreset::standard},
    {"NV_ENC_PRESET_HP_GUID", OldPreset::fast},
    {"NV_ENC_PRESET_HQ_GUID", OldPreset::high_quality},
    {"NV_ENC_PRESET_BD_GUID", OldPreset::bluray},
    {"NV_ENC_PRESET_LOW_LATENCY_DEFAULT_GUID", OldPreset::low_latency},
    {"NV_ENC_PRESET_LOW_LATENCY_HQ_GUID", OldPreset::low_latency_hq},
    {"NV_ENC_PRESET_LOW_LATENCY_HP_GUID", OldPreset::low_latency_hp},
    {"NV_ENC_PRESET_LOSSLESS_DEFAULT_GUID", OldPreset::lossless},
    {"NV_ENC_PRESET_LOSSLESS_HP_GUID", OldPreset::lossless_hp},
};
constexpr const char* new_presets[] = {"NV_ENC_PRESET_P1_GUID", "NV_ENC_PRESET_P2_GUID", "NV_ENC_PRESET_P3_GUID",
                                       "NV_ENC_PRESET_P4_GUID", "NV_ENC_PRESET_P5_GUID", "NV_ENC_PRESET_P6_GUID",
                                       "NV_ENC_PRESET_P7_GUID"};

struct ProfileName {
    const char* guid;
    Codec codec;
    const char* profile;
};
constexpr ProfileName profiles[] = {
    {"NV_ENC_H264_PROFILE_BASELINE_GUID", Codec::h264, "baseline"},
    {"NV_ENC_H264_PROFILE_MAIN_GUID", Codec::h264, "main"},
    {"NV_ENC_H264_PROFILE_HIGH_GUID", Codec::h264, "high"},
    {"NV_ENC_H264_PROFILE_PROGRESSIVE_HIGH_GUID", Codec::h264, "high"},
    {"NV_ENC_H264_PROFILE_CONSTRAINED_HIGH_GUID", Codec::h264, "high"},
    {"NV_ENC_H264_PROFILE_STEREO_GUID", Codec::h264, "high"},
    {"NV_ENC_H264_PROFILE_HIGH_10_GUID", Codec::h264, "high10"},
    {"NV_ENC_H264_PROFILE_HIGH_422_GUID", Codec::h264, "high422"},
    {"NV_ENC_H264_PROFILE_HIGH_444_GUID", Codec::h264, "high444"},
    {"NV_ENC_HEVC_PROFILE_MAIN_GUID", Codec::hevc, "main"},
    {"NV_ENC_HEVC_PROFILE_MAIN10_GUID", Codec::hevc, "main10"},
    {"NV_ENC_HEVC_PROFILE_FREXT_GUID", Codec::hevc, "rext"},
    {"NV_ENC_AV1_PROFILE_MAIN_GUID", Codec::av1, "main"},
};

bool same(const char* a, const char* b) { return std::strcmp(a, b) == 0; }

}  // namespace

std::optional<Codec> codec_of(const char* guid_name) {
    if (guid_name == nullptr) return std::nullopt;
    for (const CodecName& entry : codecs)
        if (same(entry.guid, guid_name)) return entry.codec;
    return std::nullopt;
}

const char* guid_name_of(Codec codec) { return codecs[static_cast<int>(codec)].guid; }

std::optional<PresetRequest> preset_of(const char* guid_name, Codec codec, uint32_t tuning) {
    if (guid_name == nullptr) return std::nullopt;
    for (int level = 1; level <= 7; ++level)
        if (same(new_presets[level - 1], guid_name)) return PresetRequest{codec, level, static_cast<Tuning>(tuning)};
    for (const OldPresetName& entry : old_presets)
        if (same(entry.guid, guid_name)) return translate(entry.preset, codec);
    return std::nullopt;
}

std::optional<std::string> profile_of(const char* guid_name, Codec codec) {
    if (guid_name == nullptr) return std::nullopt;
    if (same(guid_name, "NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID")) return "auto";
    for (const ProfileName& entry : profiles)
        if (entry.codec == codec && same(entry.guid, guid_name)) return entry.profile;
    return std::nullopt;
}

const std::vector<const char*>& preset_guid_names() {
    static const std::vector<const char*> names = [] {
        std::vector<const char*> all;
        for (const OldPresetName& entry : old_presets) all.push_back(entry.guid);
        for (const char* name : new_presets) all.push_back(name);
        return all;
    }();
    return names;
}

// In the recorded card's order: its H.264 lists autoselect last, its HEVC first. More bits and 4:2:2 are assumed to be
// listed where the capabilities have them.
std::vector<const char*> profile_guid_names(Codec codec, bool ten_bits, bool half_chroma) {
    constexpr const char* any = "NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID";
    if (codec == Codec::hevc)
        return {any, "NV_ENC_HEVC_PROFILE_MAIN_GUID", "NV_ENC_HEVC_PROFILE_MAIN10_GUID",
                "NV_ENC_HEVC_PROFILE_FREXT_GUID"};
    if (codec == Codec::av1) return {any, "NV_ENC_AV1_PROFILE_MAIN_GUID"};
    std::vector<const char*> names = {"NV_ENC_H264_PROFILE_BASELINE_GUID", "NV_ENC_H264_PROFILE_MAIN_GUID",
                                      "NV_ENC_H264_PROFILE_HIGH_GUID", "NV_ENC_H264_PROFILE_STEREO_GUID",
                                      "NV_ENC_H264_PROFILE_HIGH_444_GUID"};
    if (ten_bits) names.push_back("NV_ENC_H264_PROFILE_HIGH_10_GUID");
    if (half_chroma) names.push_back("NV_ENC_H264_PROFILE_HIGH_422_GUID");
    names.push_back(any);
    return names;
}

}  // namespace nvsim
