#include "kernels/native_kernels.hpp"

#include <cuda_fp16.h>  // of tests/colour/emulation

#include <algorithm>
#include <array>
#include <string_view>

#include "src/cuda/rgb_to_yuv.cu"

namespace nvsim {

struct NativeKernel {
    std::string_view name;
    void (*run)(Argument);
};

namespace {

const std::array kernels{
#define NVSIM_KERNEL(name) NativeKernel{#name, &name},
#include "kernel_names.inl"
#undef NVSIM_KERNEL
};

void run_all_threads(const NativeKernel& kernel, const Grid& grid, const Argument& argument) {
    blockDim = {grid.block, 1};
    for (blockIdx.y = 0; blockIdx.y < grid.rows; ++blockIdx.y) {
        for (blockIdx.x = 0; blockIdx.x < grid.columns; ++blockIdx.x) {
            for (threadIdx.x = 0; threadIdx.x < grid.block; ++threadIdx.x) kernel.run(argument);
        }
    }
}

}  // namespace

const NativeKernel* native_kernel(const std::string& name) {
    const auto* found =
        std::find_if(kernels.begin(), kernels.end(), [&](const NativeKernel& kernel) { return kernel.name == name; });
    return found == kernels.end() ? nullptr : found;
}

std::vector<std::string> kernels_in(const std::string& ptx) {
    constexpr std::string_view mark = ".entry ";
    std::vector<std::string> names;
    for (size_t at = ptx.find(mark); at != std::string::npos; at = ptx.find(mark, at)) {
        at += mark.size();
        names.push_back(ptx.substr(at, ptx.find_first_of("( \t\r\n", at) - at));
    }
    return names;
}

std::function<void()> prepared_run(const NativeKernel& kernel, const Grid& grid, const void* argument,
                                   const std::function<std::byte*(uint64_t)>& bytes_at) {
    Argument here = *static_cast<const Argument*>(argument);
    const auto reach = [&](auto*& pointer) {
        if (pointer != nullptr)
            pointer = reinterpret_cast<unsigned char*>(bytes_at(reinterpret_cast<uint64_t>(pointer)));
    };
    reach(here.source);
    reach(here.luma);
    reach(here.first_chroma);
    reach(here.second_chroma);
    return [&kernel, grid, here] { run_all_threads(kernel, grid, here); };
}

}  // namespace nvsim
