// The surfaces that a picture's parameters name.
#pragma once

#include <vector>

#include "abi/decode_types.hpp"

namespace pdum::nvenc {

// A surface that the picture is decoded into besides the one that is shown; -1 if there is none. AV1 has one for
// pictures with film grain: the one without it, which later pictures refer to.
int second_surface(DecodeCodec codec, const void* parameters);

// Whether the picture refers to no other one.
bool is_intra(DecodeCodec codec, const void* parameters);

// Gives the surfaces in a picture's parameters other numbers: `names` has the new one for each. A surface without a
// name (-1) and what is no surface keep their numbers.
void rename_surfaces(DecodeCodec codec, void* parameters, const std::vector<int>& names);

}  // namespace pdum::nvenc
