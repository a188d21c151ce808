// Arrays that are exchanged by DLPack, as frames.
#pragma once

#include <pybind11/pybind11.h>

#include "cuda/cuda_types.hpp"
#include "python/array_layout.hpp"
#include "python/dlpack.hpp"

namespace pdum::nvenc {

// The capsule of a frame on a device of that type. A producer on the GPU makes the frame ready on `our_stream`.
pybind11::object dlpack_capsule(pybind11::handle frame, int32_t device, CUstream our_stream);

// Throws invalid_frame.
const dlpack::Tensor& tensor_of(PyObject* capsule);
ArrayLayout layout_of_tensor(const dlpack::Tensor& tensor);

}  // namespace pdum::nvenc
