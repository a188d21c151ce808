// A picture as a decoder will show it, on the GPU: the CUDA array interface, DLPack, and a copy for NumPy.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "session/reconstructions.hpp"

namespace pdum::nvenc {

void add_reconstructed_frame_type(pybind11::module_& module);
pybind11::object reconstructed_frame(std::shared_ptr<Reconstruction> reconstruction);

}  // namespace pdum::nvenc
