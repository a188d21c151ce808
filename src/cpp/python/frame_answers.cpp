#include "python/frame_answers.hpp"

#include <algorithm>
#include <utility>

#include "core/error.hpp"

namespace py = pybind11;

namespace pdum::nvenc {

void invalid_frame(std::string summary, std::string advice) {
    fail(ErrorKind::invalid_frame, std::move(summary), std::move(advice));
}

std::string python_error(py::error_already_set& raised) {
    if (!raised.matches(PyExc_Exception)) throw raised;
    return raised.what();
}

std::string pending_python_error() {
    py::error_already_set raised;
    return python_error(raised);
}

// CPython's functions for long are several times as fast as those for long long.
static_assert(sizeof(long) == sizeof(int64_t));

int64_t integer_of(PyObject* value, const char* what) {
    const int64_t number = PyLong_AsLong(value);
    if (number == -1 && PyErr_Occurred() != nullptr) {
        invalid_frame(std::string("The frame's ") + what + " is no integer: " + pending_python_error());
    }
    return number;
}

uint64_t address_of(PyObject* value, const char* what) {
    const uint64_t number = PyLong_AsUnsignedLong(value);
    if (number == static_cast<uint64_t>(-1) && PyErr_Occurred() != nullptr) {
        invalid_frame(std::string("The frame's ") + what + " is no address: " + pending_python_error());
    }
    return number;
}

Extents extents_of(const int64_t* values, int64_t count) {
    if (count < 0 || count > static_cast<int64_t>(Extents::most) || (values == nullptr && count > 0)) {
        invalid_frame("Expected 2 or 3 dimensions, got a frame of " + std::to_string(count) + " dimensions.");
    }
    Extents extents;
    extents.count = static_cast<size_t>(count);
    std::copy_n(values, count, extents.values.begin());
    return extents;
}

}  // namespace pdum::nvenc
