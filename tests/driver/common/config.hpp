// What a simulated machine looks like: read once from NVSIM_CONFIG, or set through a library's nvsim_control.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace nvsim {

class Json;

// `automatic`: a real codec if its library is installed, else echo.
enum class Backend { echo, null, codec, automatic };

constexpr int kMostGpus = 16;  // of one machine

// What no recording tells. A client that is to find out how a card behaves is tested with a card that is different.
constexpr const char* kPointsOfDifference[] = {
    "forced_idr_keeps_period",  // the next IDR picture comes when it would have come without the forced one
    "end_is_final",             // no picture is taken after the end of the stream
};

// One GPU of the catalogue with the configuration's own values laid over it.
struct Gpu {
    std::string name;
    int compute_major = 8;
    int compute_minor = 9;
    uint64_t memory_bytes = 0;
    bool geforce = false;                 // GeForce cards share one session limit a system
    int engines = 0;                      // hardware encoders; 0: a GPU without NVENC
    double fps_1080p = 0;                 // service rate of one engine at 1920x1080; 0: as fast as it can
    int session_limit = 0;                // 0: none
    std::map<std::string, bool> codecs;   // "h264", "hevc", "av1"
    std::map<std::string, int> caps;      // member of NV_ENC_CAPS without its prefix -> value; overrides the catalogue.
                                          // "hevc.WIDTH_MAX" holds for one codec, "WIDTH_MAX" for all
    int decoders = 0;                     // hardware decoders; 0: a GPU without NVDEC
    double decode_fps_1080p = 0;          // what one decoder does at 1920x1080; 0: as fast as it can
    std::set<std::string> decode_codecs;  // "h264", "mpeg2", …; empty: those of the GPU's generation
    int decode_max_width = 0;             // 0: the generation's
    int decode_max_height = 0;
    bool legacy_ipc = true;  // false: no memory is told to be fit for CUDA's legacy IPC, as under WSL
    std::string uuid;        // 32 hexadecimal digits; made from the index where the configuration has none
};

// The nth use (from 1) of `call` answers `status` instead of doing its work. nth 0: every use.
struct Fault {
    std::string call;  // "nvEncLockBitstream", "cuMemcpy2DAsync_v2"
    uint64_t nth = 1;
    int status = 20;
};

// The engine stops for good (device_lost: every later call on the GPU fails) after so many frames.
struct Stall {
    int gpu = 0;
    int engine = 0;
    int decoder = -1;  // this decoder stops and no encoder; -1: the encoder stops
    uint64_t after_frames = 0;
    bool device_lost = false;
};

// The nth picture (from 1) that the machine's decoders decode is damaged: status 8 is an error, 9 one that was
// concealed.
struct Damage {
    uint64_t picture = 1;
    int status = 8;
};

struct Config {
    std::string driver_version = "580.95.05";
    int cuda_version = 13000;
    int max_api_major = 13;
    int max_api_minor = 1;
    std::vector<Gpu> gpus;
    Backend backend = Backend::echo;
    bool copy = true;  // false: libcuda's copies do nothing, for measuring a client's own cost
    bool strict = true;
    bool async_streams = false;  // true: each stream runs its work later, on a thread of its own, as a GPU does
    std::vector<Fault> faults;
    std::vector<Stall> stalls;
    std::vector<Damage> damage;
    std::string trace;   // a file to which every call is appended as a JSON line; empty: none
    std::string report;  // a file to which each library appends its violations and its end; empty: none
    bool count = false;  // count the uses of each call for the report
    int average_motion_x = 0, average_motion_y = 0;  // that the driver tells of each picture that is no intra picture
    uint32_t slices_per_lock = 0;   // that a client without patience sees more of each time; 0: by the engine's rate
    uint32_t null_bytes = 1024;     // size of the null backend's access units
    int session_limit_status = 21;  // what opening one session too many answers: real drivers differ (10 or 21)
    std::set<std::string> differs;  // points in which this card is unlike what is assumed: kPointsOfDifference
    std::string state;              // a file through which processes share their encoder sessions; empty: none
};

// `{"gpus": [...], "backend": ...}`; every key may be left out. Throws std::runtime_error that names the offending key.
Config parse_config(const std::string& json_text);
Config parse_config(const Json& document);

// NVSIM_CONFIG is a file's path, or the JSON itself where it begins with '{'; unset: the defaults with one RTX 4090.
Config config_from_environment();

}  // namespace nvsim
