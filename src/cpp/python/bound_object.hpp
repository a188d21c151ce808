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

// For py::custom_type_setup: the garbage collector finds cycles through objects of this class, which has traverse() and
// clear(). `end` runs in the collector alone and before it takes a cycle apart, so that callbacks see complete objects.
template <typename T, void (T::*end)()>
void collect_in_cycles(PyHeapTypeObject* heap_type) {
    PyTypeObject& type = heap_type->ht_type;
    type.tp_flags |= Py_TPFLAGS_HAVE_GC;
    type.tp_traverse = [](PyObject* self, visitproc visit, void* arg) -> int {
        Py_VISIT(Py_TYPE(self));
        const auto* object = bound_or_null<T>(self);
        return object != nullptr ? object->traverse(visit, arg) : 0;
    };
    type.tp_clear = [](PyObject* self) -> int {
        if (auto* object = bound_or_null<T>(self)) object->clear();
        return 0;
    };
    type.tp_finalize = [](PyObject* self) {
        if (auto* object = bound_or_null<T>(self)) (object->*end)();
    };
}

}  // namespace pdum::nvenc
