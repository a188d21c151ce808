// The names of temporal layers in the NAL units of H.264 and HEVC.
#pragma once

#include "encode/codec_nal.hpp"

namespace nvsim {

// H.264's prefix of a slice, which says in which layer the slice is.
Bytes layer_prefix(const Bytes& slice, int layer);
// H.264's message about all layers.
SeiMessage scalability_information(const TemporalLayers& layers, const StreamSettings& settings);

// HEVC's parameter sets of x265, with so many layers instead of one.
Bytes with_hevc_layers(const Bytes& parameter_set, int layers);
void name_hevc_layer(Bytes& nal, int layer);

// A slice of x265's, of which no picture but the one before is a reference, and of an I slice none: x265 names more
// pictures than it refers to. A picture of several slices stays as it is.
Bytes with_hevc_references(const Bytes& slice, const StreamSettings& settings);

}  // namespace nvsim
