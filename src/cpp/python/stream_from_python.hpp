// The CUDA stream on which a frame is made, from Python objects.
#pragma once

#include <pybind11/pybind11.h>

#include "cuda/cuda_types.hpp"

namespace pdum::nvenc {

// A stream's handle: a number, or an object of CUDA Python, CuPy or PyTorch that holds one. Throws invalid_frame.
CUstream stream_from_python(const pybind11::object& stream);

// The stream of an array whose array interface does not say it: PyTorch's current one for the array's device, else the
// legacy default stream, as interfaces before version 3 mean it. Throws invalid_frame.
CUstream stream_of_silent_array(PyObject* array);

}  // namespace pdum::nvenc
