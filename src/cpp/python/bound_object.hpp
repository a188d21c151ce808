// The C++ object behind a Python object.
#pragma once

#include <pybind11/pybind11.h>

namespace pdum::nvenc {

// Null before __init__ has run. Unlike a cast, it may be called by the garbage collector, because it runs no Python
// code.
template <typename T>
T* bound_or_null(PyObject* self) {
    const auto* instance = reinterpret_cast<const pybind11::detail::instance*>(self);
    return instance->simple_layout ? static_cast<T*>(instance->simple_value_holder[0]) : nullptr;
}

}  // namespace pdum::nvenc
