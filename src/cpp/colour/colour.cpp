#include "colour/colour.hpp"

#include <utility>

#include "colour/packed_text.hpp"
#include "core/error.hpp"

namespace pdum::nvenc {

RgbConverter::RgbConverter(std::shared_ptr<const Context> context) : context_(std::move(context)) {}

void RgbConverter::convert(const RgbImage& image, const YuvPlanes& planes, const ColourSpace& space,
                           CUstream stream) const {
    ConversionPlan plan = plan_conversion(image, planes, space);
    const ContextScope scope(*context_);
    std::array<CUfunction, plan.launches.size()> kernels{};
    for (size_t i = 0; i < plan.count; ++i) kernels[i] = function(plan.launches[i].kernel);
    for (size_t i = 0; i < plan.count; ++i) {
        KernelLaunch& launch = plan.launches[i];
        void* arguments[] = {&launch.argument};
        check_cuda(context_->functions().cuLaunchKernel(kernels[i], launch.grid_columns, launch.grid_rows, 1,
                                                        launch.block, 1, 1, 0, stream, arguments, nullptr),
                   "cuLaunchKernel");
    }
}

CUfunction RgbConverter::function(unsigned kernel) const {
    const CUfunction ready = functions_[kernel].load(std::memory_order_acquire);
    return ready != nullptr ? ready : load(kernel);
}

CUfunction RgbConverter::load(unsigned kernel) const {
    const std::lock_guard turn(loading_);
    if (const CUfunction ready = functions_[kernel].load(std::memory_order_acquire)) return ready;
    const std::string name = kernel_name(kernel);
    const std::string ptx = kernel_ptx(name);
    if (ptx.empty()) fail(ErrorKind::cuda_failed, "This build of pdum.nvenc has no kernel " + name + ".");
    const CudaFunctions& functions = context_->functions();
    OwnedHandle<CUmodule>& module = modules_[kernel];
    if (!module) {
        CUmodule loaded = nullptr;
        check_cuda(functions.cuModuleLoadData(&loaded, ptx.c_str()), "cuModuleLoadData");
        module = {context_, loaded, &CudaFunctions::cuModuleUnload};
    }
    CUfunction found = nullptr;
    check_cuda(functions.cuModuleGetFunction(&found, module.get(), name.c_str()), "cuModuleGetFunction");
    functions_[kernel].store(found, std::memory_order_release);
    return found;
}

}  // namespace pdum::nvenc
