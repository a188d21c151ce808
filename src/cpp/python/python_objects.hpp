// Owning references to Python objects, and a scope without the GIL.
#pragma once

#include <Python.h>

#include <memory>
#include <utility>

namespace pdum::nvenc {

struct DropReference {
    void operator()(PyObject* object) const noexcept { Py_DECREF(object); }
};
// Construct and destroy it with the GIL held.
using PyRef = std::unique_ptr<PyObject, DropReference>;

// For a daemon thread that the end of the interpreter is unwinding.
[[noreturn]] void sleep_for_good();

// Releases the GIL for a scope. This is the only way to do so here: pybind11's own way ends the process if a daemon
// thread meets the end of the interpreter.
//
// A daemon thread never gets the GIL again once the interpreter has ended: CPython before 3.14 unwinds its stack
// (pthread_exit). Destructors that need the GIL, or that must not throw, would then end the process. So the unwinding
// stops at this scope, where the thread sleeps forever; on the way it has given back the locks of C++.
class WithoutGil {
   public:
    WithoutGil() : state_(PyEval_SaveThread()) {}
    ~WithoutGil() { take_back_or_sleep(std::exchange(state_, nullptr)); }
    WithoutGil(const WithoutGil&) = delete;
    WithoutGil& operator=(const WithoutGil&) = delete;

    // Takes the GIL back for a scope inside, where Python's objects are needed.
    class GilTakenBack {
       public:
        // May unwind the thread, as said above.
        explicit GilTakenBack(WithoutGil& outer) : outer_(outer) {
            PyEval_RestoreThread(std::exchange(outer_.state_, nullptr));
        }
        ~GilTakenBack() { outer_.state_ = PyEval_SaveThread(); }
        GilTakenBack(const GilTakenBack&) = delete;
        GilTakenBack& operator=(const GilTakenBack&) = delete;

       private:
        WithoutGil& outer_;
    };

   private:
    // A thread that is being unwound has a null state.
    static void take_back_or_sleep(PyThreadState* state) noexcept;

    PyThreadState* state_;
};

}  // namespace pdum::nvenc
