#include "python/python_objects.hpp"

#include <cxxabi.h>
#include <unistd.h>

namespace pdum::nvenc {
namespace {

[[noreturn]] void sleep_for_good() {
    while (true) pause();
}

}  // namespace

void WithoutGil::take_back_or_sleep(PyThreadState* state) noexcept {
    if (state == nullptr) sleep_for_good();
    try {
        PyEval_RestoreThread(state);
    } catch (const abi::__forced_unwind&) {
        sleep_for_good();  // in here, since leaving the handler would end the process
    }
}

}  // namespace pdum::nvenc
