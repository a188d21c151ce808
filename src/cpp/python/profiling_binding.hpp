// NVTX ranges for the Python code.
#pragma once

#include <pybind11/pybind11.h>

namespace pdum::nvenc {

void add_profiling(pybind11::module_& module);

}  // namespace pdum::nvenc
