// What a GPU's decoder can take. The context has to be current.
#pragma once

#include "abi/decode_api.hpp"
#include "cuda/cuda.hpp"

namespace pdum::nvenc {

// The layout of its frames. Throws unsupported_feature with what the GPU can do instead.
PixelFormat require_decodable(const Context& context, const VideoFormat& format);

}  // namespace pdum::nvenc
