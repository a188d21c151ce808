// What is publicly known of NVIDIA's GPUs, as far as a client of their encoders can see it: the recordings of
// tests/driver/recordings, which hold a generation's newest answers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/config.hpp"

namespace nvsim {

enum class Generation { pascal, turing, ampere, ada, hopper, blackwell };

// A GPU by its catalogue name ("RTX 4090"), with all of its values filled in; throws std::runtime_error that names the
// nearest known one.
Gpu catalogue_gpu(const std::string& name);
std::vector<std::string> catalogue_names();

Generation generation_of(const Gpu& gpu);

// Every capability of one codec ("h264", "hevc", "av1") on the GPU, by the name of the NV_ENC_CAPS member without its
// prefix, with the configuration's overrides laid over it: "WIDTH_MAX" holds for all codecs, "hevc.WIDTH_MAX" for one.
// A codec that the GPU lacks has none.
std::map<std::string, int> capabilities(const Gpu& gpu, const std::string& codec);

bool known_capability(const std::string& name);
// By its number in NV_ENC_CAPS; null for a number that the recorded cards refuse.
const char* capability_name(uint32_t number);

// Of the candidates the first that contains `text`, else the one with the fewest edits between them, whatever the case;
// empty if there is none.
std::string nearest(const std::string& text, const std::vector<std::string>& candidates);

}  // namespace nvsim
