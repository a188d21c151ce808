// What a decoder does with a picture on its way to the client: crops, scales, takes fields apart and lays it out.
#pragma once

#include <cstddef>
#include <cstdint>

#include "decode/api.hpp"
#include "decode/video_codec.hpp"

namespace nvsim::decode {

struct Rect {
    int left = 0, top = 0, right = 0, bottom = 0;
    int width() const { return right - left; }
    int height() const { return bottom - top; }
};

enum class Field { both, top, bottom };

struct Layout {
    cudaVideoSurfaceFormat format = cudaVideoSurfaceFormat_NV12;
    int width = 0, height = 0;  // of the output surface
    Rect source;                // the part of the coded picture that is shown
    Rect target;                // where it is put in the output surface

    int bytes_per_sample() const;
    bool planar() const;  // three planes of the same size
    size_t pitch() const;
    size_t rows() const;  // of all planes together, each `pitch` long
    size_t size() const { return pitch() * rows(); }
};

// A null picture is black.
void lay_out(const Pixels* picture, const Layout& layout, Field field, uint8_t* output);

}  // namespace nvsim::decode
