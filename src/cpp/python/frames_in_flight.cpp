#include "python/frames_in_flight.hpp"

namespace pdum::nvenc {

void FrameInFlight::tell() const {
    if (on_released == nullptr) return;
    try {
        const PyRef result(PyObject_CallOneArg(on_released.get(), frame.get()));
        if (result == nullptr) PyErr_WriteUnraisable(on_released.get());
    } catch (...) {        // not an error: CPython's functions throw none
        sleep_for_good();  // the callback was running when the interpreter ended
    }
}

}  // namespace pdum::nvenc
