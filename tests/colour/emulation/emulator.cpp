// The conversion as the product plans it, its kernels run by this processor: for tests on machines without a GPU.
#include <dlfcn.h>

#include <exception>
#include <stdexcept>
#include <string>

#include "../../../src/cuda/rgb_to_yuv.cu"
#include "colour/colour_plan.hpp"

using namespace pdum::nvenc;

namespace {

using Kernel = void (*)(Argument);

void run(const KernelLaunch& launch) {
    const std::string name = kernel_name(launch.kernel);
    const auto kernel = reinterpret_cast<Kernel>(dlsym(RTLD_DEFAULT, name.c_str()));
    if (kernel == nullptr) throw std::runtime_error("no kernel " + name);
    blockDim = {launch.block, 1};
    for (blockIdx.y = 0; blockIdx.y < launch.grid_rows; ++blockIdx.y) {
        for (blockIdx.x = 0; blockIdx.x < launch.grid_columns; ++blockIdx.x) {
            for (threadIdx.x = 0; threadIdx.x < launch.block; ++threadIdx.x) kernel(launch.argument);
        }
    }
}

}  // namespace

struct Request {
    uint64_t source;
    int64_t shape[3];
    int64_t strides[3];
    int32_t chw;
    int32_t type;
    int32_t format;
    int32_t matrix;
    int32_t full_range;
    int32_t siting;
    uint64_t destination;
    uint64_t pitch;
};

// The names of the kernels that ran, or what was wrong after an exclamation mark.
extern "C" const char* convert(const Request* r) {
    thread_local std::string answer;
    answer.clear();
    try {
        const RgbImage image = rgb_image(r->source, static_cast<RgbLayout>(r->chw), static_cast<RgbType>(r->type),
                                         {r->shape[0], r->shape[1], r->shape[2]}, r->strides);
        const YuvPlanes planes = yuv_planes(static_cast<YuvFormat>(r->format), r->destination, r->pitch, image.height);
        const ColourSpace space{static_cast<ColourMatrix>(r->matrix), r->full_range != 0,
                                static_cast<ChromaSiting>(r->siting)};
        const ConversionPlan plan = plan_conversion(image, planes, space);
        for (size_t i = 0; i < plan.count; ++i) {
            run(plan.launches[i]);
            answer += (i > 0 ? "," : "") + kernel_name(plan.launches[i].kernel);
        }
    } catch (const std::exception& error) {
        answer = std::string("!") + error.what();
    }
    return answer.c_str();
}

extern "C" const char* name_of_kernel(unsigned kernel) {
    thread_local std::string name;
    name = kernel_name(kernel);
    return name.c_str();
}
