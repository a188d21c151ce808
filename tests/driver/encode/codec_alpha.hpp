// HEVC with a second layer for alpha: the auxiliary pictures of ITU-T H.265, annex F.
#pragma once

#include "encode/codec_nal.hpp"

namespace nvsim {

// The slices of an access unit as those of the second layer, which has the parameter sets and messages of the first.
Bytes slices_in_second_layer(const Bytes& data);
// The video parameter set of x265, extended by a layer that is alpha or the second view, and depends on no other.
Bytes with_second_layer(const Bytes& vps, const StreamSettings& settings);
// The message that says what the samples of that layer mean: 0 is transparent, 255 is opaque.
SeiMessage alpha_channel_information();

// Both layers with x265, which knows of one: each has an encoder of its own. They have the same parameter sets, so the
// second layer uses those of the first.
std::unique_ptr<PictureCoder> make_alpha_coder(const StreamSettings& settings);

}  // namespace nvsim
