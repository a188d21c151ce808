// A GPU's primary context for Python: other libraries that work on the GPU can be made to use the encoders' own.
#pragma once

#include <pybind11/pybind11.h>

namespace pdum::nvenc {

// Adds the type PrimaryContext.
void add_primary_context(pybind11::module_& module);

}  // namespace pdum::nvenc
