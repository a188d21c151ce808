#include "python/python_objects.hpp"

#include <cxxabi.h>
#include <unistd.h>

namespace pdum::nvenc {

void sleep_for_good() {
    while (true) pause();
}

void WithoutGil::take_back_or_sleep(PyThreadState* state) noexcept {
    if (state == nullptr) sleep_for_good();
    try {
        PyEval_RestoreThread(state);
    } catch (const abi::__forced_unwind&) {
        sleep_for_good();  // inside the handler, since leaving it would end the process
    }
}

}  // namespace pdum::nvenc
