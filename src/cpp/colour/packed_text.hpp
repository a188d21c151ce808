// The PTX of the kernels is built into the module in packed form: the text is repetitive, and seven times as long.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pdum::nvenc {

// The first `size` bytes of what src/cuda/embed.py packed.
std::string unpack(const unsigned char* packed, size_t size);

// A kernel's text, as a module by itself, so that the driver compiles only what is used. Empty if there is no kernel of
// that name.
std::string kernel_ptx(std::string_view name);

}  // namespace pdum::nvenc
