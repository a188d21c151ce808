// Finds the arguments of a method in CPython's own calling convention (METH_FASTCALL with keywords) by their names.
#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <cstddef>
#include <string>

namespace pdum::nvenc {

template <size_t size>
class Parameters {
   public:
    // The caller has to give the first `required` arguments, and may give the first `positional` ones without names.
    // Construct it with the GIL held, and never destroy it.
    Parameters(const char* method, const std::array<const char*, size>& names, size_t required, size_t positional)
        : method_(method), required_(required), positional_(positional) {
        for (size_t i = 0; i < size; ++i) names_[i] = PyUnicode_InternFromString(names[i]);
    }

    // The arguments in the order of the names; null if the caller left one out. Throws TypeError.
    std::array<pybind11::object, size> bind(PyObject* const* given, Py_ssize_t count, PyObject* keywords) const {
        std::array<pybind11::object, size> values;
        const auto by_position = static_cast<size_t>(count);
        if (by_position > positional_) {
            wrong("takes at most " + std::to_string(positional_) + " arguments without their names");
        }
        for (size_t i = 0; i < by_position; ++i) values[i] = pybind11::reinterpret_borrow<pybind11::object>(given[i]);
        const Py_ssize_t by_name = keywords != nullptr ? PyTuple_GET_SIZE(keywords) : 0;
        for (Py_ssize_t i = 0; i < by_name; ++i) {
            PyObject* name = PyTuple_GET_ITEM(keywords, i);
            pybind11::object& value = values[place_of(name)];
            if (value) wrong("got more than one value for " + quoted(name));
            value = pybind11::reinterpret_borrow<pybind11::object>(given[count + i]);
        }
        for (size_t i = 0; i < required_; ++i) {
            if (!values[i]) wrong("lacks its argument " + quoted(names_[i]));
        }
        return values;
    }

   private:
    // Almost all callers give interned names.
    size_t place_of(PyObject* name) const {
        for (size_t i = 0; i < size; ++i) {
            if (name == names_[i]) return i;
        }
        for (size_t i = 0; i < size; ++i) {
            if (PyUnicode_Compare(name, names_[i]) == 0) return i;
        }
        wrong("has no argument " + quoted(name));
    }

    static std::string quoted(PyObject* name) { return pybind11::repr(name).template cast<std::string>(); }

    [[noreturn]] void wrong(const std::string& what) const { throw pybind11::type_error(method_ + ("() " + what)); }

    const char* method_;
    size_t required_;
    size_t positional_;
    std::array<PyObject*, size> names_{};
};

// Left out means none.
inline pybind11::object or_none(const pybind11::object& value) { return value ? value : pybind11::none(); }

// As Python's `if` sees it; left out means false.
inline bool truth_of(const pybind11::object& value) {
    const int truth = value ? PyObject_IsTrue(value.ptr()) : 0;
    if (truth < 0) throw pybind11::error_already_set();
    return truth != 0;
}

}  // namespace pdum::nvenc
