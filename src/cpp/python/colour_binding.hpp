// The colour conversion for Python, without an encoder, for tests and benchmarks.
#pragma once

#include <pybind11/pybind11.h>

namespace pdum::nvenc {

// Adds the class _RgbConverter.
void add_colour_conversion(pybind11::module_& module);

}  // namespace pdum::nvenc
