// CUVIDDECODECREATEINFO: what is wanted of a decoder.
#pragma once

#include <algorithm>
#include <iterator>

#include "decode/machine.hpp"
#include "decode/surface.hpp"

namespace nvsim::decode {

// Throws Refusal unless the GPU can do what is wanted.
void check_create_info(const Device& device, const CUVIDDECODECREATEINFO& info);

Layout layout_of(const CUVIDDECODECREATEINFO& info);

template <size_t N, typename T>
bool all_zero(const T (&words)[N]) {
    return std::all_of(std::begin(words), std::end(words), [](T word) { return word == T{}; });
}

}  // namespace nvsim::decode
