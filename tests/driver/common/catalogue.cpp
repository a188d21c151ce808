#include "common/catalogue.hpp"

#include <algorithm>
#include <numeric>
#include <set>
#include <stdexcept>

namespace nvsim {
namespace {

constexpr uint64_t kGiB = 1ull << 30;
constexpr int kGeforceSessions = 8;  // a system, since 2024

struct Entry {
    const char* name;
    const char* driver_name;
    int major, minor;
    int gib;
    int engines;
    double fps_1080p;  // H.264 P3, high quality, one engine
    bool geforce;
};

// The driver's name is what cuDeviceGetName answers.
const std::vector<Entry>& entries() {
    static const std::vector<Entry> list = {
        {"GTX 1080", "NVIDIA GeForce GTX 1080", 6, 1, 8, 2, 520, true},
        {"T4", "Tesla T4", 7, 5, 15, 1, 602, false},
        {"RTX 3090", "NVIDIA GeForce RTX 3090", 8, 6, 24, 1, 617, true},
        {"A40", "NVIDIA A40", 8, 6, 45, 1, 617, false},
        {"A100", "NVIDIA A100-SXM4-80GB", 8, 0, 80, 0, 0, false},
        {"RTX 4070", "NVIDIA GeForce RTX 4070", 8, 9, 12, 1, 647, true},
        {"RTX 4080", "NVIDIA GeForce RTX 4080", 8, 9, 16, 2, 647, true},
        {"RTX 4090", "NVIDIA GeForce RTX 4090", 8, 9, 24, 2, 647, true},
        {"L4", "NVIDIA L4", 8, 9, 23, 3, 344, false},
        {"L40", "NVIDIA L40", 8, 9, 45, 3, 647, false},
        {"L40S", "NVIDIA L40S", 8, 9, 45, 3, 647, false},
        {"RTX 6000 Ada", "NVIDIA RTX 6000 Ada Generation", 8, 9, 48, 3, 647, false},
        {"H100", "NVIDIA H100 80GB HBM3", 9, 0, 80, 0, 0, false},
        {"H200", "NVIDIA H200", 9, 0, 140, 0, 0, false},
        {"RTX 5070", "NVIDIA GeForce RTX 5070", 12, 0, 12, 1, 708, true},
        {"RTX 5080", "NVIDIA GeForce RTX 5080", 12, 0, 16, 2, 708, true},
        {"RTX 5090", "NVIDIA GeForce RTX 5090", 12, 0, 32, 3, 708, true},
        {"RTX PRO 6000 Blackwell", "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 12, 0, 96, 4, 708, false},
    };
    return list;
}

const std::vector<std::string>& capability_names() {
    static const std::vector<std::string> names = {
        "NUM_MAX_BFRAMES",
        "SUPPORTED_RATECONTROL_MODES",
        "SUPPORT_FIELD_ENCODING",
        "SUPPORT_MONOCHROME",
        "SUPPORT_FMO",
        "SUPPORT_QPELMV",
        "SUPPORT_BDIRECT_MODE",
        "SUPPORT_CABAC",
        "SUPPORT_ADAPTIVE_TRANSFORM",
        "SUPPORT_STEREO_MVC",
        "NUM_MAX_TEMPORAL_LAYERS",
        "SUPPORT_HIERARCHICAL_PFRAMES",
        "SUPPORT_HIERARCHICAL_BFRAMES",
        "LEVEL_MAX",
        "LEVEL_MIN",
        "SEPARATE_COLOUR_PLANE",
        "WIDTH_MAX",
        "HEIGHT_MAX",
        "SUPPORT_TEMPORAL_SVC",
        "SUPPORT_DYN_RES_CHANGE",
        "SUPPORT_DYN_BITRATE_CHANGE",
        "SUPPORT_DYN_FORCE_CONSTQP",
        "SUPPORT_DYN_RCMODE_CHANGE",
        "SUPPORT_SUBFRAME_READBACK",
        "SUPPORT_CONSTRAINED_ENCODING",
        "SUPPORT_INTRA_REFRESH",
        "SUPPORT_CUSTOM_VBV_BUF_SIZE",
        "SUPPORT_DYNAMIC_SLICE_MODE",
        "SUPPORT_REF_PIC_INVALIDATION",
        "PREPROC_SUPPORT",
        "ASYNC_ENCODE_SUPPORT",
        "MB_NUM_MAX",
        "MB_PER_SEC_MAX",
        "SUPPORT_YUV444_ENCODE",
        "SUPPORT_LOSSLESS_ENCODE",
        "SUPPORT_SAO",
        "SUPPORT_MEONLY_MODE",
        "SUPPORT_LOOKAHEAD",
        "SUPPORT_TEMPORAL_AQ",
        "SUPPORT_10BIT_ENCODE",
        "NUM_MAX_LTR_FRAMES",
        "SUPPORT_WEIGHTED_PREDICTION",
        "DYNAMIC_QUERY_ENCODER_CAPACITY",
        "SUPPORT_BFRAME_REF_MODE",
        "SUPPORT_EMPHASIS_LEVEL_MAP",
        "WIDTH_MIN",
        "HEIGHT_MIN",
        "SUPPORT_MULTIPLE_REF_FRAMES",
        "SUPPORT_ALPHA_LAYER_ENCODING",
        "NUM_ENCODER_ENGINES",
        "SINGLE_SLICE_INTRA_REFRESH",
        "DISABLE_ENC_STATE_ADVANCE",
        "OUTPUT_RECON_SURFACE",
        "OUTPUT_BLOCK_STATS",
        "OUTPUT_ROW_STATS",
        "SUPPORT_TEMPORAL_FILTER",
        "SUPPORT_LOOKAHEAD_LEVEL",
        "SUPPORT_UNIDIRECTIONAL_B",
        "SUPPORT_MVHEVC_ENCODE",
        "SUPPORT_YUV422_ENCODE",
    };
    return names;
}

bool at_least(const Gpu& gpu, Generation wanted) { return generation_of(gpu) >= wanted; }

using Caps = std::map<std::string, int>;

// What holds for every codec and generation, and what the generation alone decides.
Caps shared_caps(const Gpu& gpu) {
    Caps caps;
    for (const std::string& name : capability_names()) caps[name] = 0;
    for (const char* name : {"SUPPORT_HIERARCHICAL_PFRAMES", "SUPPORT_TEMPORAL_SVC", "SUPPORT_DYN_RES_CHANGE",
                             "SUPPORT_DYN_BITRATE_CHANGE", "SUPPORT_DYN_FORCE_CONSTQP", "SUPPORT_DYN_RCMODE_CHANGE",
                             "SUPPORT_SUBFRAME_READBACK", "SUPPORT_INTRA_REFRESH", "SUPPORT_CUSTOM_VBV_BUF_SIZE",
                             "SUPPORT_DYNAMIC_SLICE_MODE", "SUPPORT_REF_PIC_INVALIDATION", "SUPPORT_LOOKAHEAD",
                             "SUPPORT_TEMPORAL_AQ", "SUPPORT_MULTIPLE_REF_FRAMES"})
        caps[name] = 1;
    caps["SUPPORTED_RATECONTROL_MODES"] = 63;
    caps["NUM_MAX_TEMPORAL_LAYERS"] = 4;
    caps["NUM_MAX_LTR_FRAMES"] = 8;
    caps["PREPROC_SUPPORT"] = 0;
    caps["DYNAMIC_QUERY_ENCODER_CAPACITY"] = 100;
    caps["NUM_ENCODER_ENGINES"] = gpu.engines;
    caps["SINGLE_SLICE_INTRA_REFRESH"] = at_least(gpu, Generation::turing);
    caps["DISABLE_ENC_STATE_ADVANCE"] = at_least(gpu, Generation::turing);
    caps["OUTPUT_RECON_SURFACE"] = at_least(gpu, Generation::turing);
    caps["OUTPUT_BLOCK_STATS"] = at_least(gpu, Generation::turing);
    caps["OUTPUT_ROW_STATS"] = at_least(gpu, Generation::turing);
    return caps;
}

void size_limits(Caps& caps, int min_width, int min_height, int max_width, int max_height) {
    caps["WIDTH_MIN"] = min_width;
    caps["HEIGHT_MIN"] = min_height;
    caps["WIDTH_MAX"] = max_width;
    caps["HEIGHT_MAX"] = max_height;
    caps["MB_NUM_MAX"] = (max_width / 16) * (max_height / 16);
    caps["MB_PER_SEC_MAX"] = 983040;
}

void h264_caps(Caps& caps, const Gpu& gpu) {
    const bool blackwell = at_least(gpu, Generation::blackwell);
    for (const char* name : {"SUPPORT_QPELMV", "SUPPORT_BDIRECT_MODE", "SUPPORT_CABAC", "SUPPORT_ADAPTIVE_TRANSFORM",
                             "SUPPORT_CONSTRAINED_ENCODING", "SUPPORT_YUV444_ENCODE", "SUPPORT_LOSSLESS_ENCODE",
                             "SUPPORT_MEONLY_MODE", "SUPPORT_WEIGHTED_PREDICTION", "SUPPORT_EMPHASIS_LEVEL_MAP",
                             "SUPPORT_HIERARCHICAL_BFRAMES", "SUPPORT_STEREO_MVC"})
        caps[name] = 1;
    caps["NUM_MAX_BFRAMES"] = 4;
    caps["SUPPORT_FIELD_ENCODING"] = at_least(gpu, Generation::turing) ? 0 : 1;
    caps["LEVEL_MIN"] = 10;
    caps["LEVEL_MAX"] = blackwell ? 62 : 51;
    caps["SUPPORT_BFRAME_REF_MODE"] = at_least(gpu, Generation::turing) ? 3 : 0;
    caps["SUPPORT_10BIT_ENCODE"] = blackwell;
    caps["SUPPORT_YUV422_ENCODE"] = blackwell;
    const int min_height = at_least(gpu, Generation::turing) ? 49 : 145;
    const int max_size = blackwell ? 8192 : 4096;
    size_limits(caps, 145, min_height, max_size, max_size);
}

void hevc_caps(Caps& caps, const Gpu& gpu) {
    const bool turing = at_least(gpu, Generation::turing);
    const bool blackwell = at_least(gpu, Generation::blackwell);
    for (const char* name : {"SUPPORT_YUV444_ENCODE", "SUPPORT_LOSSLESS_ENCODE", "SUPPORT_MEONLY_MODE", "SUPPORT_SAO",
                             "SUPPORT_10BIT_ENCODE", "SUPPORT_WEIGHTED_PREDICTION"})
        caps[name] = 1;
    caps["NUM_MAX_BFRAMES"] = turing ? 5 : 0;
    caps["SUPPORT_BFRAME_REF_MODE"] = turing ? 3 : 0;
    caps["LEVEL_MIN"] = 30;
    caps["LEVEL_MAX"] = 186;
    caps["SUPPORT_ALPHA_LAYER_ENCODING"] = turing;
    caps["SUPPORT_TEMPORAL_FILTER"] = turing;
    caps["SUPPORT_LOOKAHEAD_LEVEL"] = turing;
    caps["SUPPORT_UNIDIRECTIONAL_B"] = turing;
    caps["SUPPORT_MVHEVC_ENCODE"] = blackwell;
    caps["SUPPORT_YUV422_ENCODE"] = blackwell;
    size_limits(caps, 129, 33, 8192, 8192);
}

void av1_caps(Caps& caps, const Gpu& gpu) {
    for (const char* name : {"SUPPORT_10BIT_ENCODE", "SUPPORT_LOOKAHEAD_LEVEL", "SUPPORT_TEMPORAL_FILTER"})
        caps[name] = 1;
    caps["NUM_MAX_BFRAMES"] = 7;
    caps["SUPPORT_BFRAME_REF_MODE"] = at_least(gpu, Generation::blackwell) ? 7 : 3;
    caps["SUPPORT_UNIDIRECTIONAL_B"] = at_least(gpu, Generation::blackwell);
    caps["LEVEL_MIN"] = 0;
    caps["LEVEL_MAX"] = 23;
    size_limits(caps, 192, 128, 8192, 8192);
}

void lay_overrides(Caps& caps, const Gpu& gpu, const std::string& codec) {
    for (const auto& [name, value] : gpu.caps)
        if (name.find('.') == std::string::npos) caps[name] = value;
    for (const auto& [name, value] : gpu.caps)
        if (name.rfind(codec + ".", 0) == 0) caps[name.substr(codec.size() + 1)] = value;
}

size_t edits(const std::string& a, const std::string& b) {
    std::vector<size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
        }
    }
    return row.back();
}

}  // namespace

std::vector<std::string> catalogue_names() {
    std::vector<std::string> names;
    for (const Entry& entry : entries()) names.emplace_back(entry.name);
    return names;
}

Gpu catalogue_gpu(const std::string& name) {
    for (const Entry& entry : entries()) {
        if (name != entry.name && name != entry.driver_name) continue;
        Gpu gpu;
        gpu.name = entry.driver_name;
        gpu.compute_major = entry.major;
        gpu.compute_minor = entry.minor;
        gpu.memory_bytes = static_cast<uint64_t>(entry.gib) * kGiB;
        gpu.geforce = entry.geforce;
        gpu.engines = entry.engines;
        gpu.fps_1080p = entry.fps_1080p;
        gpu.session_limit = entry.geforce ? kGeforceSessions : 0;
        gpu.codecs = {{"h264", entry.engines > 0}, {"hevc", entry.engines > 0}, {"av1", false}};
        gpu.codecs["av1"] = entry.engines > 0 && generation_of(gpu) >= Generation::ada;
        return gpu;
    }
    throw std::runtime_error("no GPU \"" + name + "\" in the catalogue; nearest: \"" +
                             nearest(name, catalogue_names()) + "\"");
}

Generation generation_of(const Gpu& gpu) {
    const int compute = gpu.compute_major * 10 + gpu.compute_minor;
    if (compute < 70) return Generation::pascal;
    if (compute < 80) return Generation::turing;
    if (compute < 89) return Generation::ampere;
    if (compute < 90) return Generation::ada;
    return compute < 100 ? Generation::hopper : Generation::blackwell;
}

std::map<std::string, int> capabilities(const Gpu& gpu, const std::string& codec) {
    const auto offered = gpu.codecs.find(codec);
    if (offered == gpu.codecs.end() || !offered->second) return {};
    Caps caps = shared_caps(gpu);
    if (codec == "h264") h264_caps(caps, gpu);
    if (codec == "hevc") hevc_caps(caps, gpu);
    if (codec == "av1") av1_caps(caps, gpu);
    lay_overrides(caps, gpu, codec);
    return caps;
}

bool known_capability(const std::string& name) {
    const size_t dot = name.find('.');
    static const std::set<std::string> codecs = {"h264", "hevc", "av1"};
    if (dot != std::string::npos && codecs.count(name.substr(0, dot)) == 0) return false;
    const std::string bare = dot == std::string::npos ? name : name.substr(dot + 1);
    const auto& names = capability_names();
    return std::find(names.begin(), names.end(), bare) != names.end();
}

std::string nearest(const std::string& text, const std::vector<std::string>& candidates) {
    std::string best;
    size_t fewest = static_cast<size_t>(-1);
    for (const std::string& candidate : candidates) {
        const size_t distance = edits(text, candidate);
        if (distance < fewest) {
            fewest = distance;
            best = candidate;
        }
    }
    return best;
}

}  // namespace nvsim
