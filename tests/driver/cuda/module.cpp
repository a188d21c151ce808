#include "cuda/module.hpp"

#include <vector>

#include "common/immortal.hpp"
#include "common/instrument.hpp"

namespace nvsim::cuda {
namespace {

template <typename Handle>
CUresult check(const Handle* handle, HandleState state, const char* kind) {
    if (state == HandleState::alive) return CUDA_SUCCESS;
    instrument::violation(name_of(handle, kind), state == HandleState::dead
                                                     ? std::string("used after its module was unloaded")
                                                     : std::string("not a ") + kind);
    return CUDA_ERROR_INVALID_HANDLE;
}

void end_functions_of(const Module& module) {
    functions().each([&](Function& function) {
        if (function.module == &module && functions().end(&function)) functions().retire(&function);
    });
}

bool end_module(Module& module) {
    if (!modules().end(&module)) return false;
    end_functions_of(module);
    modules().retire(&module);
    return true;
}

}  // namespace

ModulePool& modules() { return immortal<ModulePool>(); }
FunctionPool& functions() { return immortal<FunctionPool>(); }

Module* create_module(Context& context, const std::string& ptx) {
    const std::vector<std::string> names = kernels_in(ptx);
    if (names.empty()) return nullptr;
    for (const std::string& name : names)
        if (native_kernel(name) == nullptr) return nullptr;
    Module* module = modules().take();
    module->context = &context;
    modules().publish(module);
    for (const std::string& name : names) {
        Function* function = functions().take();
        function->module = module;
        function->kernel = native_kernel(name);
        function->name = name;
        functions().publish(function);
    }
    return module;
}

CUresult destroy_module(Module* module) {
    if (const CUresult status = check_module(module)) return status;
    return end_module(*module) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

void end_modules_of(const Context& context) {
    modules().each([&](Module& module) {
        if (module.context == &context) end_module(module);
    });
}

CUresult check_module(CUmodule module) { return check(module, modules().state(module), "module"); }
CUresult check_function(CUfunction function) { return check(function, functions().state(function), "function"); }

}  // namespace nvsim::cuda
