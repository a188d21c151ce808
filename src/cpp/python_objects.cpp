#include "python_objects.hpp"

#include <cxxabi.h>
#include <unistd.h>

namespace pdum::nvenc {

void WithoutGil::take_back_or_sleep(PyThreadState* state) noexcept {
    try {
        if (state != nullptr) return PyEval_RestoreThread(state);
    } catch (const abi::__forced_unwind&) {
        // Neither may it be swallowed nor go on through a destructor: this thread ends with the process.
    }
    while (true) pause();
}

}  // namespace pdum::nvenc
