// Modules and the functions in them.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "cuda/api.hpp"
#include "cuda/context.hpp"
#include "cuda/handles.hpp"
#include "kernels/native_kernels.hpp"

namespace nvsim::cuda {

struct Module {
    std::atomic<bool> alive{false};
    std::atomic<Context*> context{nullptr};
};

// Found by name in a module, and ends with it. A second request returns the same one.
struct Function {
    std::atomic<bool> alive{false};
    std::atomic<Module*> module{nullptr};
    std::atomic<const NativeKernel*> kernel{nullptr};
    std::string name;  // written before it is alive
};

using ModulePool = HandlePool<Module, 1 << 16>;
using FunctionPool = HandlePool<Function, 1 << 18>;
ModulePool& modules();
FunctionPool& functions();

// Null if a kernel in it has no counterpart for this processor, or if there is no kernel in it.
Module* create_module(Context& context, const std::string& ptx);
CUresult destroy_module(Module* module);
void end_modules_of(const Context& context);

CUresult check_module(CUmodule module);
CUresult check_function(CUfunction function);

}  // namespace nvsim::cuda
