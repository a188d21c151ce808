// What the decoders of a simulated GPU can do.
#pragma once

#include <optional>

#include "common/config.hpp"
#include "decode/api.hpp"

namespace nvsim::decode {

struct Capability {
    unsigned max_width = 0, max_height = 0;
    unsigned max_macroblocks = 0;
    unsigned short min_width = 0, min_height = 0;
    unsigned short output_formats = 0;  // one bit a cudaVideoSurfaceFormat
};

// Nothing if the GPU cannot decode it.
std::optional<Capability> capability(const Gpu& gpu, cudaVideoCodec codec, cudaVideoChromaFormat chroma,
                                     unsigned bit_depth);

// "h264"; empty for an unknown one.
const char* name_of(cudaVideoCodec codec);

}  // namespace nvsim::decode
