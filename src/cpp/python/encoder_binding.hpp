// The base class of NvencEncoder.
#pragma once

#include <pybind11/pybind11.h>

namespace pdum::nvenc {

void add_encoder_type(pybind11::module_& module);

}  // namespace pdum::nvenc
