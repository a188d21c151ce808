#include "python/python_objects.hpp"

#include <unistd.h>

namespace pdum::nvenc {

void sleep_for_good() {
    while (true) pause();
}

void WithoutGil::take_back_or_sleep(PyThreadState* state) noexcept {
    if (state == nullptr) sleep_for_good();
    try {
        PyEval_RestoreThread(state);
    } catch (...) {        // not an error: the interpreter has ended and is unwinding this thread to end it
        sleep_for_good();  // inside the handler, since leaving it would end the process
    }
}

}  // namespace pdum::nvenc
