#include "common/catalogue.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <numeric>
#include <set>
#include <stdexcept>

#include "recordings/boards.hpp"
#include "recordings/capabilities.hpp"

namespace nvsim {
namespace {

constexpr uint64_t kGiB = 1ull << 30;

using Caps = std::map<std::string, int>;

const char* recorded_name(Generation generation) {
    switch (generation) {
        case Generation::pascal: return "pascal";
        case Generation::turing: return "turing";
        case Generation::ampere: return "ampere";
        case Generation::ada: return "ada";
        default: return "blackwell";
    }
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

std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text;
}

}  // namespace

std::vector<std::string> catalogue_names() {
    std::vector<std::string> names;
    for (const recorded::Board& board : recorded::boards) names.emplace_back(board.name);
    return names;
}

Gpu catalogue_gpu(const std::string& name) {
    for (const recorded::Board& board : recorded::boards) {
        if (name != board.name && name != board.driver_name) continue;
        Gpu gpu;
        gpu.name = board.driver_name;
        gpu.compute_major = board.major;
        gpu.compute_minor = board.minor;
        gpu.memory_bytes = static_cast<uint64_t>(board.gib) * kGiB;
        gpu.geforce = board.geforce;
        gpu.engines = board.engines;
        gpu.decoders = board.decoders;
        gpu.fps_1080p = board.fps_1080p;
        gpu.session_limit = board.sessions;
        gpu.codecs = {{"h264", board.engines > 0}, {"hevc", board.engines > 0}, {"av1", false}};
        gpu.codecs["av1"] = board.engines > 0 && generation_of(gpu) >= Generation::ada;
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
    Caps caps;
    // A GPU that a configuration made up may offer a codec that its generation lacks: Ada's answers serve it.
    const Generation generation = codec == "av1" ? std::max(generation_of(gpu), Generation::ada) : generation_of(gpu);
    const std::string like = recorded_name(generation);
    for (const recorded::Capability& capability : recorded::capabilities)
        if (like == capability.generation && codec == capability.codec) caps[capability.name] = capability.value;
    caps["NUM_ENCODER_ENGINES"] = gpu.engines;
    lay_overrides(caps, gpu, codec);
    return caps;
}

bool known_capability(const std::string& name) {
    const size_t dot = name.find('.');
    static const std::set<std::string> codecs = {"h264", "hevc", "av1"};
    if (dot != std::string::npos && codecs.count(name.substr(0, dot)) == 0) return false;
    const std::string bare = dot == std::string::npos ? name : name.substr(dot + 1);
    return std::any_of(std::begin(recorded::capability_names), std::end(recorded::capability_names),
                       [&](const char* known) { return bare == known; });
}

const char* capability_name(uint32_t number) {
    return number < std::size(recorded::capability_names) ? recorded::capability_names[number] : nullptr;
}

std::string nearest(const std::string& text, const std::vector<std::string>& candidates) {
    std::string best;
    size_t fewest = static_cast<size_t>(-1);
    for (const std::string& candidate : candidates) {
        const bool is_part = lower(candidate).find(lower(text)) != std::string::npos;
        const size_t distance = is_part ? 0 : edits(lower(text), lower(candidate));
        if (distance < fewest) {
            fewest = distance;
            best = candidate;
        }
    }
    return best;
}

}  // namespace nvsim
