// The settings of an encoder, independent of the version of NVIDIA's interface. Whatever is left empty stays as the
// driver's preset has it.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "abi/film_grain.hpp"
#include "abi/pixel_format.hpp"

namespace pdum::nvenc {

enum class Codec { h264, hevc, av1 };
enum class Tuning { high_quality, low_latency, ultra_low_latency, lossless, ultra_high_quality };
enum class Profile {
    automatic,
    h264_baseline,
    h264_main,
    h264_high,
    h264_high10,
    h264_high422,
    h264_high444,
    hevc_main,
    hevc_main10,
    hevc_rext,
    av1_main,
};
enum class RateControl { constqp, vbr, cbr };
enum class Multipass { off, quarter, full };
enum class BReference { off, each, middle, hierarchical };
enum class SliceMode { macroblocks = 0, bytes = 1, rows = 2, count = 3 };
// How the encoder reads the values of a picture's map: as offsets to the quantiser, or as levels of emphasis.
enum class MapMode { delta, emphasis };
// What is counted of each picture: nothing, the picture, its rows of blocks, or its blocks.
enum class StatisticsLevel { off, picture, rows, blocks };
// What a picture is made of: one frame, or two fields, of which this one is the first.
enum class Structure { frame, top_first, bottom_first };
enum class Entropy { cabac, cavlc };
enum class Deblocking { on, off, within_slices };
enum class SplitEncode { automatic, off, two, three, four };

struct Qp {
    uint32_t intra = 0;
    uint32_t p = 0;
    uint32_t b = 0;
};

// Numbers of ISO/IEC 23091-2 (H.273), which all codecs share.
struct Colour {
    uint32_t primaries = 2;
    uint32_t transfer = 2;
    uint32_t matrix = 2;
    bool full_range = false;
};

// x and y of a colour. The codec's own message about the mastering display says in which units.
struct ChromaPoint {
    uint16_t x = 0;
    uint16_t y = 0;
};

// The display on which the content was graded (SMPTE ST 2086), in the units of the codec's own message.
struct MasteringDisplay {
    ChromaPoint red;
    ChromaPoint green;
    ChromaPoint blue;
    ChromaPoint white;
    uint32_t max_luminance = 0;
    uint32_t min_luminance = 0;
};

// In cd/m².
struct ContentLight {
    uint16_t max_cll = 0;
    uint16_t max_fall = 0;
};

struct Slices {
    SliceMode mode = SliceMode::count;
    uint32_t value = 1;
};

struct IntraRefresh {
    uint32_t period = 0;  // frames from the start of one wave to the next
    uint32_t count = 0;   // frames of one wave
};

// How many earlier and later pictures each one may refer to, and how many are kept. 0: the driver's choice.
struct References {
    uint32_t l0 = 0;
    uint32_t l1 = 0;
    uint32_t dpb = 0;
};

// Temporal layers. With `svc`, the stream says which one each picture is in.
struct Layers {
    uint32_t count = 0;  // 0: none
    bool svc = true;
    bool prefixes = true;           // H.264: a unit before each slice, which names the layer
    bool scalability_info = false;  // H.264: a message on every IDR, which describes all layers
};

// 0: the driver's choice.
struct Tiles {
    uint32_t columns = 0;
    uint32_t rows = 0;
};

struct RateSettings {
    std::optional<RateControl> mode;
    uint32_t bitrate = 0;                 // bits a second; 0: the preset's own rate control
    uint32_t max_bitrate = 0;             // bits a second; 0: none of its own
    std::optional<uint32_t> vbv_size;     // bits
    std::optional<uint32_t> vbv_initial;  // bits
    std::optional<Qp> qp;                 // of constqp
    std::optional<Qp> min_qp;
    std::optional<Qp> max_qp;
    std::optional<Qp> initial_qp;
    std::optional<uint32_t> cq_256ths;  // constant quality, in 1/256
    std::optional<Multipass> multipass;
    uint32_t lookahead = 0;          // frames
    bool presets_lookahead = false;  // as many as the preset has, in place of `lookahead`
    std::optional<uint32_t> lookahead_level;
    std::optional<bool> spatial_aq;
    uint32_t aq_strength = 0;  // 1 to 15; 0: the driver's choice
    std::optional<bool> temporal_aq;
    std::optional<uint32_t> low_delay_key_frame_scale;
    std::optional<bool> strict_gop;
    std::optional<bool> nonref_p;
    std::optional<bool> adaptive_i;
    std::optional<bool> adaptive_b;
};

// In the order of their meaning: there is one for each session, and an order without gaps would save 32 bytes.
struct Settings {  // NOLINT(clang-analyzer-optin.performance.Padding)
    Codec codec = Codec::h264;
    int preset = 3;  // 1 to 7
    Tuning tuning = Tuning::low_latency;
    Profile profile = Profile::automatic;
    std::optional<uint32_t> level;  // in the codec's own numbers
    std::optional<uint32_t> tier;
    PixelFormat format = PixelFormat::nv12;
    bool rgb_input = false;        // frames are RGB, converted by this module into surfaces of that format
    Chroma chroma = Chroma::c420;  // of the stream
    int bit_depth = 8;             // of the stream
    uint32_t width = 0;
    uint32_t height = 0;
    uint32_t max_width = 0;  // that reconfigure may reach; 0: width
    uint32_t max_height = 0;
    uint32_t fps_numerator = 30;
    uint32_t fps_denominator = 1;
    uint32_t gop = 30;              // frames from one IDR to the next; 0: only the first
    bool presets_gop = false;       // as long as the preset has it, in place of `gop`
    uint32_t b_frames = 0;          // between two anchors
    bool presets_b_frames = false;  // as many as the preset has, in place of `b_frames`
    RateSettings rate;
    std::optional<BReference> b_reference;
    std::optional<bool> weighted_prediction;
    std::optional<uint32_t> temporal_filter;
    std::optional<bool> unidirectional_b;
    std::optional<Colour> colour;
    std::optional<MasteringDisplay> mastering_display;  // HDR's static metadata, on every IDR
    std::optional<ContentLight> content_light;          // likewise
    std::optional<Slices> slices;
    std::optional<IntraRefresh> intra_refresh;
    std::optional<SplitEncode> split_encode;
    std::optional<bool> aud;                                      // access unit delimiters
    std::optional<bool> filler_data;                              // fills constant bitrates up
    std::optional<std::pair<uint32_t, uint32_t>> sample_aspect;   // width and height of a sample
    std::optional<std::pair<int32_t, int32_t>> chroma_qp_offset;  // of Cb and Cr
    std::optional<Entropy> entropy;
    std::optional<bool> transform_8x8;
    std::optional<Deblocking> deblocking;
    std::optional<bool> constrained_intra;
    References references;
    Layers layers;
    Tiles tiles;                          // AV1
    std::optional<FilmGrain> film_grain;  // AV1
    std::optional<bool> monochrome;
    std::optional<uint32_t> alpha;           // HEVC: how many times its bits the picture gets; 0: the driver's choice
    bool two_views = false;                  // HEVC: pictures are pairs, of the left and the right eye
    Structure structure = Structure::frame;  // of pictures that say nothing else
    std::optional<bool> single_slice_refresh;
    bool time_code = false;             // pictures may carry one
    bool manual_types = false;          // the caller chooses the type of each picture, instead of the driver
    uint32_t long_term_references = 0;  // slots for pictures that are kept until they are replaced
    std::optional<MapMode> map_mode;    // none: pictures carry no map
    uint32_t motion_hints = 0;          // that pictures may bring for each block
    StatisticsLevel statistics = StatisticsLevel::off;
    bool sub_frames = false;        // slices can be read before their picture is done
    bool reconstruction = false;    // the engine also gives each picture as a decoder will show it
    uint32_t reference_frames = 0;  // how many of the last pictures are kept; 0: the driver's choice
    uint32_t attempts = 0;          // at a picture, of which the caller keeps one; 0: each is coded once

    bool low_latency() const { return tuning == Tuning::low_latency || tuning == Tuning::ultra_low_latency; }
    // Whether pictures are shown to the driver before they are encoded. Its own lookahead does not work with attempts.
    bool shows_ahead() const { return attempts > 0 && rate.lookahead > 0; }
    // Frames that the driver may hold back before it gives the first one out.
    uint32_t reorder_depth() const { return b_frames + (shows_ahead() ? 0 : rate.lookahead); }
    int input_bit_depth() const { return traits_of(format).bit_depth; }
    // The mode that the settings name or imply; empty if the preset decides.
    std::optional<RateControl> chosen_mode() const {
        if (rate.mode) return rate.mode;
        if (rate.qp) return RateControl::constqp;
        if (rate.cq_256ths) return RateControl::vbr;
        if (rate.bitrate == 0) return std::nullopt;
        return low_latency() ? RateControl::cbr : RateControl::vbr;
    }
};

const char* name_of(Codec codec) noexcept;

}  // namespace pdum::nvenc
