#include "python/dlpack_frame.hpp"

#include <string>

#include "python/frame_answers.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

// Strides may have any value. One that is too large must not become valid by the multiplication.
int64_t bytes_of(int64_t elements, int64_t element_bytes) {
    int64_t bytes = 0;
    return __builtin_mul_overflow(elements, element_bytes, &bytes) ? -1 : bytes;
}

}  // namespace

ArrayLayout layout_of_tensor(const dlpack::Tensor& tensor) {
    ArrayLayout array;
    array.shape = extents_of(tensor.shape, tensor.dimensions);
    if (tensor.strides != nullptr) {
        array.strides = extents_of(tensor.strides, tensor.dimensions);
        for (size_t i = 0; i < array.strides.count; ++i) {
            array.strides.values[i] = bytes_of(array.strides[i], tensor.type.bits / 8);
        }
    }
    const bool whole = tensor.type.lanes == 1 && tensor.type.bits % 8 == 0 && tensor.type.code <= dlpack::type_float;
    const char kind = tensor.type.code == dlpack::type_float      ? 'f'
                      : tensor.type.code == dlpack::type_unsigned ? 'u'
                                                                  : 'i';
    array.type =
        whole ? kind + std::to_string(tensor.type.bits / 8)
              : "DLPack type " + std::to_string(tensor.type.code) + " of " + std::to_string(tensor.type.bits) + " bits";
    const auto begin = reinterpret_cast<uintptr_t>(tensor.data);
    if (begin != 0) array.data = reinterpret_cast<const void*>(begin + tensor.byte_offset);
    return array;
}

const dlpack::Tensor& tensor_of(PyObject* capsule) {
    if (PyCapsule_IsValid(capsule, "dltensor_versioned") != 0) {
        const auto* managed =
            static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
        if (managed->major > 1) {
            invalid_frame("Expected a frame of DLPack version 1, got version " + std::to_string(managed->major) + ".");
        }
        return managed->tensor;
    }
    if (PyCapsule_IsValid(capsule, "dltensor") != 0) {
        return static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule, "dltensor"))->tensor;
    }
    invalid_frame("The frame's __dlpack__ gave no DLPack capsule, or one that was used already.");
}

// Older producers do not know max_version, and answer with a TypeError.
py::object dlpack_capsule(py::handle frame, int32_t device, CUstream our_stream) {
    py::dict arguments;
    if (device == dlpack::device_cuda || device == dlpack::device_cuda_managed) {
        arguments["stream"] = py::int_(reinterpret_cast<uintptr_t>(our_stream));
    }
    const py::object method = frame.attr("__dlpack__");
    try {
        return method(**arguments, py::arg("max_version") = py::make_tuple(1, 0));
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_TypeError)) throw;
    }
    return method(**arguments);
}

}  // namespace pdum::nvenc
