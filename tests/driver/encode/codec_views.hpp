// MV-HEVC: two views in one stream, of ITU-T H.265, annex G.
#pragma once

#include "encode/codec_nal.hpp"

namespace nvsim {

// Pictures are the left and the right view in turn, and so are the access units: the bits of the right view are the
// second layer. Each view has an x265 of its own, so there is no prediction between them.
std::unique_ptr<PictureCoder> make_views_coder(const StreamSettings& settings);

}  // namespace nvsim
