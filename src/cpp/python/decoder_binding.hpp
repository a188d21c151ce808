// The GPU's decoder for Python: packets in, frames on the GPU out.
#pragma once

#include <pybind11/pybind11.h>

namespace pdum::nvenc {

void add_decoder_type(pybind11::module_& module);

}  // namespace pdum::nvenc
