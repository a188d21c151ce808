// Kernels that this processor can run in place of a GPU: those of the colour conversion in src/cuda, by name. Others
// cannot be run, since nothing here understands PTX.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace nvsim {

struct Grid {
    unsigned columns = 0;
    unsigned rows = 0;
    unsigned block = 0;  // threads, side by side in a row
};

struct NativeKernel;

// Null if there is none of that name.
const NativeKernel* native_kernel(const std::string& name);

// The names of the kernels in a module's text, in PTX.
std::vector<std::string> kernels_in(const std::string& ptx);

// What is still to be run. `bytes_at` gives the bytes behind each device address of the kernel's argument, or throws.
// The argument is copied before this returns, as at a launch.
std::function<void()> prepared_run(const NativeKernel& kernel, const Grid& grid, const void* argument,
                                   const std::function<std::byte*(uint64_t)>& bytes_at);

}  // namespace nvsim
