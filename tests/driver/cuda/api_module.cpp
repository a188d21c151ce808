// Modules, and the launch of the kernels in them.
#include <string>

#include "common/instrument.hpp"
#include "cuda/entry.hpp"
#include "cuda/memory.hpp"
#include "cuda/module.hpp"
#include "cuda/stream.hpp"

using namespace nvsim::cuda;
using nvsim::instrument::violation;

namespace {

// `image`: PTX. Compiled code is not text, and not supported.
CUresult load(CUmodule* module, const void* image) {
    if (module == nullptr || image == nullptr) return CUDA_ERROR_INVALID_VALUE;
    CUresult status = CUDA_SUCCESS;
    Context* context = working_context(status);
    if (context == nullptr) return status;
    *module = create_module(*context, static_cast<const char*>(image));
    return *module != nullptr ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

struct BadAddress {};

std::byte* living_bytes_at(uint64_t address) {
    const Allocation* allocation = find_allocation(address);
    if (allocation != nullptr && allocation->alive && allocation->accessible) return bytes_at(address);
    violation(name_of(reinterpret_cast<const void*>(address), "address"),
              "a kernel's argument, and no living memory of the GPU");
    throw BadAddress{};
}

CUresult launch(CUfunction function, const nvsim::Grid& grid, CUstream handle, void** arguments) {
    if (const CUresult status = check_function(function)) return status;
    CUresult status = CUDA_SUCCESS;
    Context* context = working_context(status);
    if (context == nullptr) return status;
    if (function->module.load()->context != context) {
        violation(name_of(function, "function"), "launched in another context than that of its module");
        return CUDA_ERROR_INVALID_HANDLE;
    }
    Stream* stream = nullptr;
    if (!resolve_stream(handle, *context, stream)) return CUDA_ERROR_INVALID_HANDLE;
    try {
        const auto run = nvsim::prepared_run(*function->kernel, grid, arguments[0], living_bytes_at);
        if (!machine().copy.load(std::memory_order_relaxed)) return CUDA_SUCCESS;
        if (works_at_once(stream))
            do_at_once(stream, *context, run);
        else
            submit(*stream, *context, run);
        return CUDA_SUCCESS;
    } catch (const BadAddress&) {
        return CUDA_ERROR_INVALID_VALUE;
    }
}

}  // namespace

NVSIM_CUDA(cuModuleLoadData, (CUmodule * module, const void* image), (module, image)) { return load(module, image); }

NVSIM_CUDA(cuModuleLoadDataEx,
           (CUmodule * module, const void* image, unsigned count, const int* options, void* const* values),
           (module, image, count, options, values)) {
    return count != 0 && (options == nullptr || values == nullptr) ? CUDA_ERROR_INVALID_VALUE : load(module, image);
}

NVSIM_CUDA(cuModuleUnload, (CUmodule module), (module)) { return destroy_module(module); }

NVSIM_CUDA(cuModuleGetFunction, (CUfunction * function, CUmodule module, const char* name), (function, module, name)) {
    if (function == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (const CUresult status = check_module(module)) return status;
    CUfunction found = nullptr;
    functions().each([&](Function& one) {
        if (one.module == module && one.name == name) found = &one;
    });
    if (found == nullptr) return CUDA_ERROR_NOT_FOUND;
    *function = found;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuLaunchKernel,
           (CUfunction function, unsigned columns, unsigned rows, unsigned layers, unsigned block_x, unsigned block_y,
            unsigned block_z, unsigned shared_bytes, CUstream stream, void** arguments, void** extra),
           (function, columns, rows, layers, block_x, block_y, block_z, shared_bytes, stream, arguments, extra)) {
    constexpr unsigned most_threads = 1024;
    if (columns == 0 || rows == 0 || block_x == 0 || block_x > most_threads || arguments == nullptr || extra != nullptr)
        return CUDA_ERROR_INVALID_VALUE;
    if (layers != 1 || block_y != 1 || block_z != 1 || shared_bytes != 0) return CUDA_ERROR_NOT_SUPPORTED;
    return launch(function, {columns, rows, block_x}, stream, arguments);
}
