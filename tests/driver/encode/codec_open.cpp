#include <stdexcept>

#include "encode/codec_alpha.hpp"
#include "encode/codec_backends.hpp"

namespace nvsim {

void check_picture(const Picture& picture, const PictureFormat& format) {
    const size_t needed = plane_layout(format).size;
    if (picture.pixels.size() != needed)
        throw std::runtime_error("a picture of " + std::to_string(picture.pixels.size()) + " bytes came, " +
                                 std::to_string(needed) + " are wanted");
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

std::unique_ptr<PictureCoder> make_codec(const StreamSettings& settings, std::string& error) {
    try {
        switch (settings.codec) {
            case Codec::h264: return make_x264_coder(settings);
            case Codec::hevc: return settings.tools.alpha ? make_alpha_coder(settings) : make_x265_coder(settings);
            case Codec::av1: return make_aom_coder(settings);
        }
        throw std::runtime_error("no such codec");
    } catch (const std::exception& failure) {
        error = failure.what();
        return nullptr;
    }
}

}  // namespace nvsim
