// A GPU's primary context for Python, so that other libraries can work in the context of the encoders.
#pragma once

#include <pybind11/pybind11.h>

namespace pdum::nvenc {

// Adds the type PrimaryContext.
void add_primary_context(pybind11::module_& module);

}  // namespace pdum::nvenc
