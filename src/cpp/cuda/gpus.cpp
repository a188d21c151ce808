#include "cuda/gpus.hpp"

#include "cuda/cuda.hpp"

namespace pdum::nvenc {
namespace {

constexpr int longest_text = 256;

Gpu gpu_at(int ordinal) {
    const CudaFunctions& functions = cuda_functions();
    CUdevice device = 0;
    check_cuda(functions.cuDeviceGet(&device, ordinal), "cuDeviceGet");
    Gpu gpu;
    char text[longest_text] = {};
    check_cuda(functions.cuDeviceGetName(text, longest_text - 1, device), "cuDeviceGetName");
    gpu.name = text;
    check_cuda(functions.cuDeviceGetUuid(gpu.uuid.data(), device), "cuDeviceGetUuid");
    check_cuda(functions.cuDeviceGetPCIBusId(text, longest_text - 1, device), "cuDeviceGetPCIBusId");
    gpu.pci_bus_id = text;
    size_t bytes = 0;
    check_cuda(functions.cuDeviceTotalMem(&bytes, device), "cuDeviceTotalMem");
    gpu.memory_bytes = bytes;
    return gpu;
}

}  // namespace

std::vector<Gpu> all_gpus() {
    std::vector<Gpu> all;
    const int count = gpu_count();
    all.reserve(static_cast<size_t>(count));
    for (int ordinal = 0; ordinal < count; ++ordinal) all.push_back(gpu_at(ordinal));
    return all;
}

int cuda_version() {
    int version = 0;
    check_cuda(cuda_functions().cuDriverGetVersion(&version), "cuDriverGetVersion");
    return version;
}

}  // namespace pdum::nvenc
