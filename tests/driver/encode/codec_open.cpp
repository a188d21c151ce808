#include <cstring>
#include <stdexcept>

#include "encode/codec_alpha.hpp"
#include "encode/codec_backends.hpp"
#include "encode/codec_views.hpp"

namespace nvsim {

void check_picture(const Picture& picture, const PictureFormat& format) {
    const size_t needed = plane_layout(format).size;
    if (picture.pixels.size() != needed)
        throw std::runtime_error("a picture of " + std::to_string(picture.pixels.size()) + " bytes came, " +
                                 std::to_string(needed) + " are wanted");
}

std::vector<uint8_t> gather_planes(const PictureFormat& format, uint8_t* const* planes, const int* strides,
                                   bool interleaved) {
    const PlaneLayout layout = plane_layout(format);
    const size_t sample = format.bit_depth > 8 ? 2 : 1;
    std::vector<uint8_t> gathered(layout.size);
    for (int plane = 0; plane < 3; ++plane) {
        const bool is_mixed = plane > 0 && interleaved;
        const int from = is_mixed ? 1 : plane;
        const auto bytes = static_cast<size_t>(layout.stride[plane]);
        const size_t rows = ((plane == 2 ? layout.size : layout.offset[plane + 1]) - layout.offset[plane]) / bytes;
        for (size_t row = 0; row < rows; ++row) {
            const uint8_t* source = planes[from] + row * static_cast<size_t>(strides[from]);
            uint8_t* target = gathered.data() + layout.offset[plane] + row * bytes;
            if (!is_mixed) {
                std::memcpy(target, source, bytes);
                continue;
            }
            for (size_t at = 0; at < bytes; at += sample)
                std::memcpy(target + at, source + 2 * at + static_cast<size_t>(plane - 1) * sample, sample);
        }
    }
    return gathered;
}

std::string codec_obstacle(Codec codec) {
    try {
        switch (codec) {
            case Codec::h264: open_x264(); break;
            case Codec::hevc: open_x265(); break;
            case Codec::av1: open_aom(); break;
        }
        return "";
    } catch (const std::exception& failure) {
        return failure.what();
    }
}

static std::unique_ptr<PictureCoder> make_hevc_coder(const StreamSettings& settings) {
    if (settings.tools.two_views) return make_views_coder(settings);
    return settings.tools.alpha ? make_alpha_coder(settings) : make_x265_coder(settings);
}

std::unique_ptr<PictureCoder> make_codec(const StreamSettings& settings, std::string& error) {
    try {
        switch (settings.codec) {
            case Codec::h264: return make_x264_coder(settings);
            case Codec::hevc: return make_hevc_coder(settings);
            case Codec::av1: return make_aom_coder(settings);
        }
        throw std::runtime_error("no such codec");
    } catch (const std::exception& failure) {
        error = failure.what();
        return nullptr;
    }
}

}  // namespace nvsim
