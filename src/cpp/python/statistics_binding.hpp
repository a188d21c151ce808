// What the encoder counted of a picture, for Python.
#pragma once

#include <pybind11/pybind11.h>

namespace pdum::nvenc {

void add_statistics_type(pybind11::module_& module);

}  // namespace pdum::nvenc
