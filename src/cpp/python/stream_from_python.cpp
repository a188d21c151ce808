#include "python/stream_from_python.hpp"

#include <string>

#include "python/frame_answers.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

CUstream stream_of_handle(uint64_t handle) {
    return handle == 0 ? legacy_stream() : reinterpret_cast<CUstream>(handle);
}

CUstream stream_of_caller(const py::object& given) {
    py::object value = given;
    if (py::hasattr(value, "__cuda_stream__")) {
        value = value.attr("__cuda_stream__")().cast<py::sequence>()[1];
    } else if (py::hasattr(value, "cuda_stream")) {
        value = value.attr("cuda_stream");
    } else if (py::hasattr(value, "ptr")) {
        value = value.attr("ptr");
    }
    if (PyLong_Check(value.ptr()) == 0) {
        invalid_frame("Expected a CUDA stream, got stream=" + py::repr(given).cast<std::string>() + ".",
                      "Pass a stream's handle as an int, or a stream of CuPy, PyTorch or CUDA Python.");
    }
    return stream_of_handle(address_of(value.ptr(), "stream"));
}

bool is_of_pytorch(const py::handle& array) {
    return py::hasattr(reinterpret_cast<PyObject*>(Py_TYPE(array.ptr())), "__torch_function__");
}

CUstream current_stream_of_pytorch(const py::handle& array) {
    const py::object current = py::module_::import("torch.cuda").attr("current_stream")(array.attr("device"));
    return stream_of_handle(current.attr("cuda_stream").cast<uintptr_t>());
}

}  // namespace

CUstream stream_from_python(const py::object& stream) {
    return asked("The stream cannot be taken", [&] { return stream_of_caller(stream); });
}

CUstream stream_of_silent_array(PyObject* array) {
    return asked("PyTorch does not say which stream it uses",
                 [&] { return is_of_pytorch(array) ? current_stream_of_pytorch(array) : legacy_stream(); });
}

}  // namespace pdum::nvenc
