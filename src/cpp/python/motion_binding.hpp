// Motion between two frames, for Python.
#pragma once

#include <pybind11/pybind11.h>

namespace pdum::nvenc {

void add_motion_type(pybind11::module_& module);

}  // namespace pdum::nvenc
