// What an encoder is asked to be, in terms of no particular version of NVIDIA's interface.
#pragma once

#include <cstdint>

namespace pdum::nvenc {

enum class Codec { h264, hevc, av1 };
enum class Tuning { high_quality, low_latency, ultra_low_latency, lossless, ultra_high_quality };
enum class Profile { automatic, h264_baseline, h264_main, h264_high, hevc_main, hevc_main10, av1_main };

struct Settings {
    Codec codec = Codec::h264;
    int preset = 3;  // 1 to 7
    Tuning tuning = Tuning::low_latency;
    Profile profile = Profile::automatic;
    uint32_t width = 0;
    uint32_t height = 0;
    uint32_t fps_numerator = 30;
    uint32_t fps_denominator = 1;
    uint32_t gop = 30;         // frames from one IDR to the next; 0: only the first
    uint32_t b_frames = 0;     // between two anchors
    uint32_t lookahead = 0;    // frames
    uint32_t bitrate = 0;      // bits a second; 0: the preset's own rate control
    uint32_t max_bitrate = 0;  // bits a second; 0: none of its own

    bool low_latency() const { return tuning == Tuning::low_latency || tuning == Tuning::ultra_low_latency; }
    // Frames that the encoder may hold back before it gives the first one out.
    uint32_t reorder_depth() const { return b_frames + lookahead; }
};

const char* name_of(Codec codec) noexcept;

}  // namespace pdum::nvenc
