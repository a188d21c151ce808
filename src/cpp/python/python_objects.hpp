// Owning references to Python objects and the GIL let go, for the few places where pybind11's own cost too much.
#pragma once

#include <Python.h>

#include <memory>
#include <utility>

namespace pdum::nvenc {

struct DropReference {
    void operator()(PyObject* object) const noexcept { Py_DECREF(object); }
};
// Made and destroyed with the GIL held.
using PyRef = std::unique_ptr<PyObject, DropReference>;

// The GIL let go for a scope, and taken back inside it where Python's objects are needed.
//
// Where the interpreter has ended meanwhile, a daemon thread never gets the GIL again: CPython before 3.14 unwinds its
// stack (pthread_exit), and destructors without the GIL, or that must not throw, would then bring the process down. So
// the unwinding goes as far as this scope, giving back the locks of C++ on its way, and the thread sleeps here for
// good.
class WithoutGil {
   public:
    WithoutGil() : state_(PyEval_SaveThread()) {}
    ~WithoutGil() { take_back_or_sleep(std::exchange(state_, nullptr)); }
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;

    class Taken {
       public:
        // May unwind the thread, as said above.
        explicit Taken(WithoutGil& outer) : outer_(outer) {
            PyEval_RestoreThread(std::exchange(outer_.state_, nullptr));
        }
        ~Taken() { outer_.state_ = PyEval_SaveThread(); }
        Taken(const Taken&) = delete;
        Taken& operator=(const Taken&) = delete;

       private:
        WithoutGil& outer_;
    };

   private:
    // A null state is that of a thread which is being unwound.
    static void take_back_or_sleep(PyThreadState* state) noexcept;

    PyThreadState* state_;
};

}  // namespace pdum::nvenc
