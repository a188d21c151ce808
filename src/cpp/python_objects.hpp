// Owning references to Python objects and the GIL let go, for the few places where pybind11's own cost too much.
#pragma once

#include <Python.h>

#include <memory>

namespace pdum::nvenc {

struct DropReference {
    void operator()(PyObject* object) const noexcept { Py_DECREF(object); }
};
// Made and destroyed with the GIL held.
using PyRef = std::unique_ptr<PyObject, DropReference>;

// The GIL let go for a scope, and taken back inside it where Python's objects are needed.
class WithoutGil {
   public:
    WithoutGil() : state_(PyEval_SaveThread()) {}
    ~WithoutGil() { PyEval_RestoreThread(state_); }
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;

    class Taken {
       public:
        explicit Taken(WithoutGil& outer) : outer_(outer) { PyEval_RestoreThread(outer_.state_); }
        ~Taken() { outer_.state_ = PyEval_SaveThread(); }
        Taken(const Taken&) = delete;
        Taken& operator=(const Taken&) = delete;

       private:
        WithoutGil& outer_;
    };

   private:
    PyThreadState* state_;
};

}  // namespace pdum::nvenc
