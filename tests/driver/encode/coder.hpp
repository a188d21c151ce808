// What turns pictures into access units, behind one small interface: a checksum, nothing, or a real codec.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace nvsim {

enum class Codec { h264, hevc, av1 };
enum class RateControl { constqp, vbr, cbr };
enum class PictureType { p = 0, b = 1, i = 2, idr = 3 };  // values of NV_ENC_PIC_TYPE

// How one picture lies in host memory, planes back to back, rows packed. Semi-planar inputs (NV12, P010, NV16, P210)
// and RGB are turned into planar 8-bit or 16-bit little-endian samples before a backend sees them; 10-bit samples are
// in the low bits.
struct PictureFormat {
    int width = 0;
    int height = 0;
    int chroma = 1;     // chroma_format_idc: 1 4:2:0, 2 4:2:2, 3 4:4:4
    int bit_depth = 8;  // 8 or 10
};

struct ColourDescription {
    bool signal_type_present = false;
    int video_format = 5;
    bool full_range = false;
    bool description_present = false;
    int primaries = 2;
    int transfer = 2;
    int matrix = 2;
};

// Temporal layers: every second picture is in the highest one, every fourth in the one below, and so on.
struct TemporalLayers {
    int count = 1;
    bool named = false;     // the stream says which one each picture is in
    bool prefixes = false;  // H.264: a prefix NAL unit before each slice
    bool message = false;   // H.264: the scalability information

    uint64_t period() const { return uint64_t{1} << (count - 1); }
};

// A picture's place in them. It refers to the nearest picture of a lower layer, or in the lowest one to the one before.
struct LayerPlace {
    int layer = 0;
    uint64_t distance = 1;   // pictures from the one that it refers to
    int referred_layer = 0;  // of that one
};

LayerPlace place_in(const TemporalLayers& layers, uint64_t since_idr);

// The grain that decoders add, in the numbers of AV1's frame header.
struct FilmGrain {
    struct Point {
        int value = 0, scaling = 0;
    };
    bool apply = false, chroma_from_luma = false, overlap = false;
    int scaling_shift = 8, lag = 0, coefficient_shift = 6, pattern_shift = 0;
    std::array<std::vector<Point>, 3> points;      // of luma, Cb and Cr
    std::array<std::vector<int>, 3> coefficients;  // likewise
    std::array<std::array<int, 3>, 2> mixes{};     // of Cb and Cr: multiplier, luma's multiplier, offset
};

// What the codec may do, and what a client asks for beside the pictures.
struct CodingTools {
    uint32_t aspect_width = 1, aspect_height = 1;  // of a sample; 1 to 1: the stream does not tell
    int shown_width = 0, shown_height = 0;         // AV1's render size; 0: the picture's own
    bool filler = false;                           // pads pictures to their share of a constant bitrate
    bool cavlc = false;                            // H.264
    bool transform_8x8 = true;                     // H.264
    int deblocking = 0;                            // disable_deblocking_filter_idc
    bool constrained_intra = false;
    bool interlaced = false;              // H.264
    bool alpha = false;                   // HEVC: pictures bring it, and the stream has a layer for it
    uint32_t alpha_ratio = 15;            // how many times its bits the picture itself gets
    bool two_views = false;               // HEVC: pictures are the left and the right view in turn
    bool monochrome = false;              // the chroma of pictures is ignored
    int cb_offset = 0, cr_offset = 0;     // to the quantiser
    int tile_columns = 0, tile_rows = 0;  // AV1; 0: the codec's choice
};

// Everything of a client's configuration that a software codec can honour.
struct StreamSettings {
    Codec codec = Codec::h264;
    PictureFormat format;  // of the coded stream
    uint32_t fps_numerator = 30;
    uint32_t fps_denominator = 1;
    uint32_t gop_length = 30;  // 0xffffffff: infinite
    uint32_t idr_period = 30;
    int b_frames = 0;          // frameIntervalP - 1
    int b_reference_mode = 0;  // NV_ENC_BFRAME_REF_MODE
    RateControl rate_control = RateControl::constqp;
    int qp_i = 28, qp_p = 28, qp_b = 28;
    std::array<int, 3> least_qp{0, 0, 0};  // of I, P and B, in the modes that choose one
    std::array<int, 3> most_qp{255, 255, 255};
    uint32_t average_bitrate = 0;  // bits a second
    uint32_t max_bitrate = 0;
    uint32_t vbv_size = 0;  // bits
    uint32_t vbv_initial = 0;
    float constant_quality = 0;  // 0: none
    bool lossless = false;
    std::string profile = "auto";  // "baseline", "main", "high", "high10", "high422", "high444", "main10", "rext"
    int level = 0;                 // as NV_ENC_LEVEL counts it; 0: chosen by the codec
    int tier = 0;
    int lookahead = 0;
    bool repeat_headers = true;  // parameter sets in band on every IDR
    bool omit_headers = false;   // none in band at all (disableSPSPPS)
    bool aud = false;
    bool bitstream_restriction = false;
    bool timing_info = true;  // num_units_in_tick and time_scale in the VUI
    int slices = 1;
    int slice_macroblocks = 0;  // H.264 alone: so many in each slice; 0: no such limit
    int slice_bytes = 0;
    bool time_codes = false;          // pictures may carry them
    uint32_t refresh_period = 0;      // pictures from one wave of intra blocks to the next; 0: none
    uint32_t refresh_count = 0;       // pictures that one takes
    bool recovery_points = false;     // whether a message tells where one begins
    int reference_frames = 0;         // pictures that are kept for later ones; 0: the codec's choice
    int long_term_slots = 0;          // 0: no long-term references
    bool mastering_display = false;   // pictures may bring it
    bool content_light = false;       // likewise
    bool reference_displays = false;  // likewise what displays two views are meant for
    bool block_maps = false;          // likewise maps of QP offsets
    bool reconstructions = false;     // pictures may ask for what a decoder shows
    ColourDescription colour;
    CodingTools tools;
    TemporalLayers layers;
    std::optional<FilmGrain> film_grain;  // AV1
};

// What a client says about the blocks of one picture.
struct BlockMap {
    int block = 16;  // pixels, in both directions
    int columns = 0;
    int rows = 0;
    bool emphasis = false;       // levels, and no offsets to the quantiser
    std::vector<int8_t> values;  // in rows from the top

    // To the quantiser of the macroblock in that place. How much a level changes is the hardware's own secret: two
    // steps are assumed.
    float offset(int macroblock_x, int macroblock_y) const {
        const int column = macroblock_x * 16 / block, row = macroblock_y * 16 / block;
        const int value = values[static_cast<size_t>(row * columns + column)];
        return static_cast<float>(emphasis ? -2 * value : value);
    }
};

struct SeiMessage {
    uint32_t type = 0;  // payload type; AV1: metadata_type of the metadata OBU that the payload goes into
    std::vector<uint8_t> payload;
};

struct Picture {
    uint64_t serial = 0;                // the front's own count, in the order of submission
    std::vector<uint8_t> pixels;        // planar, in StreamSettings::format
    PictureType type = PictureType::p;  // decided by the front's GOP structure, forced pictures included
    bool output_headers = false;        // NV_ENC_PIC_FLAG_OUTPUT_SPSPPS
    std::vector<uint8_t> alpha;         // as luma of the same format, if the stream has it
    std::vector<SeiMessage> sei;
    std::vector<float> offsets;  // to the quantiser of each macroblock; empty: none
    LayerPlace place;
    int structure = 1;                    // NV_ENC_PIC_STRUCT
    std::optional<FilmGrain> film_grain;  // from this picture on
    std::vector<uint64_t> invalidated;    // serials of earlier pictures that no picture refers to from this one on
};

struct AccessUnit {
    uint64_t serial = 0;  // of the picture that it encodes
    std::vector<uint8_t> data;
    PictureType type = PictureType::p;
    int average_qp = 0;
    std::vector<uint8_t> reconstruction;  // planar, in StreamSettings::format; empty: not asked for
    size_t alpha_bytes = 0;               // of the data
};

class PictureCoder {
   public:
    virtual ~PictureCoder() = default;
    // Parameter sets as Annex B, or the AV1 sequence header OBU.
    virtual std::vector<uint8_t> headers() = 0;
    // Pictures in display order; appends 0..n access units in coding order.
    virtual void encode(Picture picture, std::vector<AccessUnit>& out) = 0;
    virtual void flush(std::vector<AccessUnit>& out) = 0;
    // Live changes of rates, fps and QP; false if the codec cannot, and the front makes a new one at the next IDR.
    virtual bool reconfigure(const StreamSettings& settings) = 0;
};

// Real H.264, HEVC and AV1 by libraries opened at run time. Null with `error` filled if the library is missing or
// refuses the settings.
std::unique_ptr<PictureCoder> make_codec(const StreamSettings& settings, std::string& error);

// Why a codec's library cannot be used at all; empty: it can.
std::string codec_obstacle(Codec codec);

}  // namespace nvsim
