// The CUDA array interface: a dict that describes an array on the GPU.
#pragma once

#include <Python.h>

#include <optional>

#include "cuda/cuda_types.hpp"
#include "python/array_layout.hpp"
#include "python/python_objects.hpp"

namespace pdum::nvenc {

// Whether the object's type has a CUDA array interface.
bool has_cuda_array_interface(PyTypeObject* type);

// The object's interface; null if it has none. Throws invalid_frame.
PyRef cuda_array_interface_of(PyObject* frame);

ArrayLayout layout_of_interface(PyObject* interface);

// The stream on which the array is made, by the interface of `frame`; none if the array is ready.
std::optional<CUstream> stream_of_interface(PyObject* interface, PyObject* frame);

}  // namespace pdum::nvenc
