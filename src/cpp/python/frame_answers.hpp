// Python objects may return or raise anything. Both become errors about the frame.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>

#include "python/array_layout.hpp"

namespace pdum::nvenc {

[[noreturn]] void invalid_frame(std::string summary, std::string advice = {});

// The text of the pending Python error, for our own message. Ctrl-C and the like are not about a frame: they propagate.
std::string python_error(pybind11::error_already_set& raised);
std::string pending_python_error();

// Runs a function that asks Python objects. `failure` begins the error's message.
template <typename Ask>
auto asked(const char* failure, Ask ask) {
    try {
        return ask();
    } catch (pybind11::error_already_set& raised) {
        invalid_frame(failure + (": " + python_error(raised)));
    } catch (const pybind11::cast_error& wrong_type) {
        invalid_frame(failure + (": " + std::string(wrong_type.what())));
    }
}

// `what` names the value in the error.
int64_t integer_of(PyObject* value, const char* what);
uint64_t address_of(PyObject* value, const char* what);

// From C arrays of `count` values.
Extents extents_of(const int64_t* values, int64_t count);

}  // namespace pdum::nvenc
