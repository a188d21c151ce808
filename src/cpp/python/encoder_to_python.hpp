// The class that Python's NvencEncoder is made of.
#pragma once

#include <pybind11/pybind11.h>

namespace pdum::nvenc {

void add_encoder_type(pybind11::module_& module);

}  // namespace pdum::nvenc
