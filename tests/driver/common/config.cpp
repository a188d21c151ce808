#include "common/config.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <sstream>
#include <stdexcept>

#include "common/catalogue.hpp"
#include "common/json.hpp"

namespace nvsim {
namespace {

using Reader = std::function<void(const Json&, const std::string& key)>;
using Readers = std::map<std::string, Reader>;

void read_object(const Json& object, const std::string& where, const Readers& readers) {
    for (const auto& [key, value] : object.as_object(where)) {
        const auto reader = readers.find(key);
        if (reader != readers.end()) {
            reader->second(value, where + "." + key);
            continue;
        }
        std::vector<std::string> known;
        for (const auto& [name, unused] : readers) known.push_back(name);
        throw std::runtime_error("unknown key \"" + where + "." + key + "\"; nearest: \"" + nearest(key, known) + "\"");
    }
}

template <typename T>
Reader into(T& target, int64_t low = 0, int64_t high = std::numeric_limits<int32_t>::max()) {
    return [&target, low, high](const Json& value, const std::string& key) {
        const int64_t number = value.as_integer(key);
        if (number < low || number > high)
            throw std::runtime_error("\"" + key + "\" has to lie between " + std::to_string(low) + " and " +
                                     std::to_string(high));
        target = static_cast<T>(number);
    };
}

Reader into(bool& target) {
    return [&target](const Json& value, const std::string& key) { target = value.as_bool(key); };
}

Reader into(std::string& target) {
    return [&target](const Json& value, const std::string& key) { target = value.as_string(key); };
}

void read_rate(double& target, const Json& value, const std::string& key) {
    target = value.as_number(key);
    if (!(target >= 0)) throw std::runtime_error("\"" + key + "\" must not be negative");
}

void read_caps(std::map<std::string, int>& caps, const Json& value, const std::string& key) {
    for (const auto& [name, number] : value.as_object(key)) {
        if (!known_capability(name)) throw std::runtime_error("unknown capability \"" + key + "." + name + "\"");
        caps[name] = static_cast<int>(number.as_integer(key + "." + name));
    }
}

void read_codecs(std::map<std::string, bool>& codecs, const Json& value, const std::string& key) {
    codecs = {{"h264", false}, {"hevc", false}, {"av1", false}};
    for (const Json& element : value.as_array(key)) {
        const std::string& name = element.as_string(key);
        if (codecs.count(name) == 0) throw std::runtime_error("unknown codec \"" + name + "\" in \"" + key + "\"");
        codecs[name] = true;
    }
}

void read_decoders(std::set<std::string>& codecs, const Json& value, const std::string& key) {
    static const std::vector<std::string> known = {"mpeg1", "mpeg2", "mpeg4", "vc1", "h264",
                                                   "jpeg",  "hevc",  "vp8",   "vp9", "av1"};
    codecs.clear();
    for (const Json& element : value.as_array(key)) {
        const std::string& name = element.as_string(key);
        if (std::find(known.begin(), known.end(), name) == known.end())
            throw std::runtime_error("unknown codec \"" + name + "\" in \"" + key + "\"; nearest: \"" +
                                     nearest(name, known) + "\"");
        codecs.insert(name);
    }
}

void read_differences(std::set<std::string>& differs, const Json& value, const std::string& key) {
    const std::vector<std::string> known(std::begin(kPointsOfDifference), std::end(kPointsOfDifference));
    differs.clear();
    for (const Json& element : value.as_array(key)) {
        const std::string& point = element.as_string(key);
        if (std::find(known.begin(), known.end(), point) == known.end())
            throw std::runtime_error("unknown point \"" + point + "\" in \"" + key + "\"; nearest: \"" +
                                     nearest(point, known) + "\"");
        differs.insert(point);
    }
}

void read_compute(Gpu& gpu, const Json& value, const std::string& key) {
    const auto& parts = value.as_array(key);
    if (parts.size() != 2) throw std::runtime_error("\"" + key + "\" has to be [major, minor]");
    gpu.compute_major = static_cast<int>(parts[0].as_integer(key));
    gpu.compute_minor = static_cast<int>(parts[1].as_integer(key));
}

void read_uuid(std::string& uuid, const Json& value, const std::string& key) {
    uuid.clear();
    for (const char c : value.as_string(key))
        if (c != '-') uuid += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool hexadecimal = std::all_of(uuid.begin(), uuid.end(), [](unsigned char c) { return std::isxdigit(c); });
    if (uuid.size() != 32 || !hexadecimal) throw std::runtime_error("\"" + key + "\" has to be 32 hexadecimal digits");
}

// {"name": "RTX 4090", ...}: the catalogue's GPU with changes; with "like" the name is free.
Gpu read_gpu(const Json& value, const std::string& where) {
    if (value.is_string()) return catalogue_gpu(value.as_string(where));
    const Json* name = value.find("name");
    const Json* like = value.find("like");
    const Json* base = like != nullptr ? like : name;
    if (base == nullptr) throw std::runtime_error("\"" + where + "\" needs a name");
    Gpu gpu = catalogue_gpu(base->as_string(where + ".name"));
    const Reader nothing = [](const Json&, const std::string&) {};
    const Readers readers = {
        {"name", like != nullptr ? into(gpu.name) : nothing},
        {"like", nothing},
        {"engines", into(gpu.engines, 0, 64)},
        {"fps_1080p", [&](const Json& v, const std::string& key) { read_rate(gpu.fps_1080p, v, key); }},
        {"session_limit", into(gpu.session_limit)},
        {"decoders", into(gpu.decoders, 0, 64)},
        {"decode_fps_1080p", [&](const Json& v, const std::string& key) { read_rate(gpu.decode_fps_1080p, v, key); }},
        {"decode_codecs", [&](const Json& v, const std::string& key) { read_decoders(gpu.decode_codecs, v, key); }},
        {"decode_max_width", into(gpu.decode_max_width, 0, 32768)},
        {"decode_max_height", into(gpu.decode_max_height, 0, 32768)},
        {"memory_bytes", into(gpu.memory_bytes, 1, std::numeric_limits<int64_t>::max())},
        {"geforce", into(gpu.geforce)},
        {"compute", [&](const Json& v, const std::string& key) { read_compute(gpu, v, key); }},
        {"caps", [&](const Json& v, const std::string& key) { read_caps(gpu.caps, v, key); }},
        {"codecs", [&](const Json& v, const std::string& key) { read_codecs(gpu.codecs, v, key); }},
        {"uuid", [&](const Json& v, const std::string& key) { read_uuid(gpu.uuid, v, key); }},
        {"legacy_ipc", into(gpu.legacy_ipc)},
    };
    read_object(value, where, readers);
    if (gpu.engines == 0) gpu.codecs = {{"h264", false}, {"hevc", false}, {"av1", false}};
    return gpu;
}

Fault read_fault(const Json& value, const std::string& where) {
    Fault fault;
    read_object(value, where,
                {{"call", into(fault.call)},
                 {"nth", into(fault.nth, 0, std::numeric_limits<int64_t>::max())},
                 {"status", into(fault.status)}});
    const bool plausible = fault.call.rfind("cu", 0) == 0 || fault.call.rfind("nvml", 0) == 0 ||
                           fault.call.rfind("nvEnc", 0) == 0 || fault.call.rfind("NvEnc", 0) == 0;
    if (!plausible) throw std::runtime_error("\"" + where + "\": no library has a call \"" + fault.call + "\"");
    return fault;
}

Stall read_stall(const Json& value, const std::string& where) {
    Stall stall;
    read_object(value, where,
                {{"gpu", into(stall.gpu)},
                 {"engine", into(stall.engine)},
                 {"decoder", into(stall.decoder)},
                 {"after_frames", into(stall.after_frames, 0, std::numeric_limits<int64_t>::max())},
                 {"device_lost", into(stall.device_lost)}});
    return stall;
}

Damage read_damage(const Json& value, const std::string& where) {
    Damage damage;
    read_object(value, where,
                {{"picture", into(damage.picture, 1, std::numeric_limits<int64_t>::max())},
                 {"status", into(damage.status, 8, 9)}});
    return damage;
}

// One element or a list of them.
template <typename T>
Reader list_into(std::vector<T>& target, T (*read)(const Json&, const std::string&)) {
    return [&target, read](const Json& value, const std::string& key) {
        target.clear();
        if (!value.is_array()) {
            target.push_back(read(value, key));
            return;
        }
        for (size_t i = 0; i < value.as_array(key).size(); ++i)
            target.push_back(read(value.as_array(key)[i], key + "[" + std::to_string(i) + "]"));
    };
}

void read_backend(Backend& backend, const Json& value, const std::string& key) {
    static const std::map<std::string, Backend> names = {
        {"echo", Backend::echo}, {"null", Backend::null}, {"codec", Backend::codec}, {"auto", Backend::automatic}};
    const auto found = names.find(value.as_string(key));
    if (found == names.end())
        throw std::runtime_error("\"" + key + "\" has to be \"echo\", \"null\", \"codec\" or \"auto\"");
    backend = found->second;
}

void read_max_api(Config& config, const Json& value, const std::string& key) {
    const std::string& text = value.as_string(key);
    char rest = '\0';
    if (std::sscanf(text.c_str(), "%d.%d%c", &config.max_api_major, &config.max_api_minor, &rest) != 2)
        throw std::runtime_error("\"" + key + "\" has to look like \"13.0\"");
}

// A UUID of its own for every GPU, the same in every process of one configuration.
void name_uuids(std::vector<Gpu>& gpus) {
    for (size_t index = 0; index < gpus.size(); ++index) {
        if (!gpus[index].uuid.empty()) continue;
        char start[9];
        std::snprintf(start, sizeof start, "%08x", static_cast<unsigned>(0x51000000 + index));
        gpus[index].uuid = std::string(start) + "4e5653494d00800000000000";
    }
}

}  // namespace

Config parse_config(const Json& document) {
    Config config;
    config.gpus = {catalogue_gpu("RTX 4090")};
    const Readers readers = {
        {"driver_version", into(config.driver_version)},
        {"cuda_version", into(config.cuda_version, 8000, 99999)},
        {"max_api", [&](const Json& v, const std::string& key) { read_max_api(config, v, key); }},
        {"gpus", list_into(config.gpus, &read_gpu)},
        {"backend", [&](const Json& v, const std::string& key) { read_backend(config.backend, v, key); }},
        {"copy", into(config.copy)},
        {"strict", into(config.strict)},
        {"async_streams", into(config.async_streams)},
        {"faults", list_into(config.faults, &read_fault)},
        {"stall", list_into(config.stalls, &read_stall)},
        {"damage", list_into(config.damage, &read_damage)},
        {"trace", into(config.trace)},
        {"report", into(config.report)},
        {"count", into(config.count)},
        {"null_bytes", into(config.null_bytes, 64, 1 << 26)},
        {"average_motion_x", into(config.average_motion_x, -(1 << 15), 1 << 15)},
        {"average_motion_y", into(config.average_motion_y, -(1 << 15), 1 << 15)},
        {"slices_per_lock", into(config.slices_per_lock, 0, 1 << 10)},
        {"session_limit_status", into(config.session_limit_status, 1, 26)},
        {"differs", [&](const Json& v, const std::string& key) { read_differences(config.differs, v, key); }},
        {"state", into(config.state)},
    };
    read_object(document, "config", readers);
    if (static_cast<int>(config.gpus.size()) > kMostGpus)
        throw std::runtime_error("\"config.gpus\" has more than " + std::to_string(kMostGpus) + " GPUs");
    name_uuids(config.gpus);
    return config;
}

Config parse_config(const std::string& json_text) { return parse_config(Json::parse(json_text)); }

Config config_from_environment() {
    const char* value = std::getenv("NVSIM_CONFIG");
    if (value == nullptr || *value == '\0') return parse_config(std::string("{}"));
    if (*value == '{') return parse_config(std::string(value));
    std::ifstream file(value);
    if (!file) throw std::runtime_error(std::string("NVSIM_CONFIG names a file that cannot be read: ") + value);
    std::ostringstream text;
    text << file.rdbuf();
    return parse_config(text.str());
}

}  // namespace nvsim
