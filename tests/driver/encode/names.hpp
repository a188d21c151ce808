// The identifiers of codecs, presets and profiles by the names that all API versions share.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "encode/coder.hpp"
#include "encode/presets.hpp"

namespace nvsim {

// Names of GUIDs as the interface tables spell them; null stands for an unknown GUID.
std::optional<Codec> codec_of(const char* guid_name);
const char* guid_name_of(Codec codec);
std::optional<PresetRequest> preset_of(const char* guid_name, Codec codec, uint32_t tuning);
std::optional<std::string> profile_of(const char* guid_name, Codec codec);  // as StreamSettings::profile

const std::vector<const char*>& preset_guid_names();
std::vector<const char*> profile_guid_names(Codec codec, bool ten_bits, bool half_chroma);

}  // namespace nvsim
