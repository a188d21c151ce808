// The machine's GPUs and the driver's versions, for devices() and doctor().
#pragma once

#include <pybind11/pybind11.h>

namespace pdum::nvenc {

// Adds the functions gpus, cuda_version and encode_version.
void add_gpu_listing(pybind11::module_& module);

}  // namespace pdum::nvenc
