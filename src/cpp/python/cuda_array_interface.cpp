#include "python/cuda_array_interface.hpp"

#include <pybind11/pybind11.h>

#include <string>

#include "python/frame_answers.hpp"
#include "python/stream_from_python.hpp"

namespace pdum::nvenc {
namespace {

// Interned once, because a lookup by a C string makes a new object each time.
struct Names {
    PyObject* cuda_array_interface = PyUnicode_InternFromString("__cuda_array_interface__");
    PyObject* shape = PyUnicode_InternFromString("shape");
    PyObject* typestr = PyUnicode_InternFromString("typestr");
    PyObject* data = PyUnicode_InternFromString("data");
    PyObject* strides = PyUnicode_InternFromString("strides");
    PyObject* stream = PyUnicode_InternFromString("stream");
    PyObject* mask = PyUnicode_InternFromString("mask");
};

const Names& names() {
    static const Names interned;
    return interned;
}

// Holds the value, because reading it or its parts may run Python code that removes it from the dict.
PyRef item(PyObject* dict, PyObject* key) {
    PyRef value(Py_XNewRef(PyDict_GetItemWithError(dict, key)));
    if (value == nullptr && PyErr_Occurred() != nullptr) {
        invalid_frame("The frame's array interface cannot be read: " + pending_python_error());
    }
    return value;
}

bool is_given(const PyRef& value) { return value != nullptr && value.get() != Py_None; }

Extents integers(PyObject* tuple, const char* what) {
    if (tuple == nullptr || PyTuple_Check(tuple) == 0) {
        invalid_frame(std::string("The frame's array interface has no tuple '") + what + "'.");
    }
    Extents extents;
    extents.count = static_cast<size_t>(PyTuple_GET_SIZE(tuple));
    if (extents.count > Extents::most) {
        invalid_frame("Expected 2 or 3 dimensions, got a frame of " + std::to_string(extents.count) + " dimensions.");
    }
    for (size_t i = 0; i < extents.count; ++i) {
        extents.values[i] = integer_of(PyTuple_GET_ITEM(tuple, static_cast<Py_ssize_t>(i)), what);
    }
    return extents;
}

std::string text(PyObject* value, const char* what) {
    const char* utf8 = value != nullptr && PyUnicode_Check(value) != 0 ? PyUnicode_AsUTF8(value) : nullptr;
    if (utf8 == nullptr) {
        PyErr_Clear();
        invalid_frame(std::string("The frame's array interface has no text '") + what + "'.");
    }
    return utf8;
}

}  // namespace

bool has_cuda_array_interface(PyTypeObject* type) {
    return PyObject_HasAttr(reinterpret_cast<PyObject*>(type), names().cuda_array_interface) != 0;
}

PyRef cuda_array_interface_of(PyObject* frame) {
    PyRef interface(PyObject_GetAttr(frame, names().cuda_array_interface));
    if (interface == nullptr) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) {
            invalid_frame("The frame's __cuda_array_interface__ cannot be read: " + pending_python_error());
        }
        PyErr_Clear();
        return nullptr;
    }
#ifdef Py_GIL_DISABLED
    // Another thread could change the dict while it is read here.
    if (PyDict_Check(interface.get()) != 0) interface.reset(PyDict_Copy(interface.get()));
    if (interface == nullptr) throw pybind11::error_already_set();
#endif
    return interface;
}

ArrayLayout layout_of_interface(PyObject* interface) {
    if (PyDict_Check(interface) == 0) invalid_frame("The frame's __cuda_array_interface__ is no dict.");
    const Names& name = names();
    ArrayLayout array;
    array.shape = integers(item(interface, name.shape).get(), "shape");
    array.type = text(item(interface, name.typestr).get(), "typestr");
    const PyRef strides = item(interface, name.strides);
    if (is_given(strides)) array.strides = integers(strides.get(), "strides");
    const PyRef data = item(interface, name.data);
    if (data == nullptr || PyTuple_Check(data.get()) == 0 || PyTuple_GET_SIZE(data.get()) != 2) {
        invalid_frame("The frame's array interface has no 'data' of an address and a flag.");
    }
    array.data = reinterpret_cast<const void*>(address_of(PyTuple_GET_ITEM(data.get(), 0), "data"));
    if (is_given(item(interface, name.mask))) invalid_frame("The frame is a masked array.", "Pass the plain array.");
    return array;
}

std::optional<CUstream> stream_of_interface(PyObject* interface, PyObject* frame) {
    const PyRef said = item(interface, names().stream);
    if (said == nullptr) return stream_of_silent_array(frame);
    if (said.get() == Py_None) return std::nullopt;
    const uint64_t handle = address_of(said.get(), "stream");
    if (handle == 0) {
        invalid_frame("The frame's array interface has the stream 0, which the interface forbids as ambiguous.",
                      "1 is the legacy default stream, 2 the thread's own.");
    }
    return reinterpret_cast<CUstream>(handle);
}

}  // namespace pdum::nvenc
