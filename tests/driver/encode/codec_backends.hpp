// The codecs behind make_codec. Each throws std::runtime_error if its library is missing or refuses the settings.
#pragma once

#include <algorithm>
#include <memory>

#include "encode/coder.hpp"

namespace nvsim {

std::unique_ptr<PictureCoder> make_x264_coder(const StreamSettings& settings);  // H.264
std::unique_ptr<PictureCoder> make_x265_coder(const StreamSettings& settings);  // HEVC
std::unique_ptr<PictureCoder> make_aom_coder(const StreamSettings& settings);   // AV1

// Open the libraries and nothing more.
void open_x264();
void open_x265();
void open_aom();

inline int chroma_shift_x(const PictureFormat& format) { return format.chroma == 3 ? 0 : 1; }
inline int chroma_shift_y(const PictureFormat& format) { return format.chroma == 1 ? 1 : 0; }

// Where a picture's planes begin, and how far apart their rows are, both in bytes.
struct PlaneLayout {
    size_t offset[3];
    int stride[3];
    size_t size;
};

inline PlaneLayout plane_layout(const PictureFormat& format) {
    const int sample = format.bit_depth > 8 ? 2 : 1;
    const int chroma_width = (format.width + (1 << chroma_shift_x(format)) - 1) >> chroma_shift_x(format);
    const int chroma_height = (format.height + (1 << chroma_shift_y(format)) - 1) >> chroma_shift_y(format);
    PlaneLayout layout{};
    layout.stride[0] = format.width * sample;
    layout.stride[1] = layout.stride[2] = chroma_width * sample;
    layout.offset[1] = static_cast<size_t>(layout.stride[0]) * static_cast<size_t>(format.height);
    const size_t chroma_size = static_cast<size_t>(layout.stride[1]) * static_cast<size_t>(chroma_height);
    layout.offset[2] = layout.offset[1] + chroma_size;
    layout.size = layout.offset[2] + chroma_size;
    return layout;
}

// A codec's own picture as planar samples with nothing between them. `strides` are bytes; `interleaved`: the second
// plane holds both kinds of chroma, sample by sample.
std::vector<uint8_t> gather_planes(const PictureFormat& format, uint8_t* const* planes, const int* strides,
                                   bool interleaved);

// Throws where a picture does not hold the samples that its format needs.
void check_picture(const Picture& picture, const PictureFormat& format);

// Bits a second as the codecs count them, in thousands, never 0.
inline int kilobits(uint32_t bits) { return bits < 1000 ? 1 : static_cast<int>(bits / 1000); }

// The rates that a client left at 0, filled in as the hardware does: peak = average, a buffer of one second.
struct Rates {
    int average = 0;  // kilobits a second
    int peak = 0;
    int buffer = 0;  // kilobits
};

inline Rates rates_of(const StreamSettings& settings) {
    Rates rates;
    rates.average = kilobits(settings.average_bitrate);
    const bool peak_given =
        settings.rate_control == RateControl::vbr && settings.max_bitrate > settings.average_bitrate;
    rates.peak = peak_given ? kilobits(settings.max_bitrate) : rates.average;
    rates.buffer = settings.vbv_size > 0 ? kilobits(settings.vbv_size) : rates.peak;
    return rates;
}

// A quantiser that rate control would like, within the client's bounds.
inline int bounded(const StreamSettings& settings, PictureType type, int quantiser) {
    const size_t kind = type == PictureType::b ? 2 : type == PictureType::p ? 1 : 0;
    return std::max(settings.least_qp[kind], std::min(settings.most_qp[kind], quantiser));
}

inline int qp_of(const StreamSettings& settings, PictureType type) {
    return type == PictureType::b ? settings.qp_b : type == PictureType::p ? settings.qp_p : settings.qp_i;
}

// Constant quality is asked for by a VBR target with no average bitrate to keep.
inline bool wants_constant_quality(const StreamSettings& settings) {
    return settings.rate_control == RateControl::vbr && settings.constant_quality > 0;
}

}  // namespace nvsim
