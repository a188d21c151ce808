// What the driver reports about itself and each GPU, without a context on any of them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "cuda/driver.hpp"

namespace pdum::nvenc {

struct Gpu {
    std::string name;
    std::array<uint8_t, 16> uuid{};
    std::string pci_bus_id;  // "0000:01:00.0": the name that all of NVIDIA's libraries and the kernel know it by
    uint64_t memory_bytes = 0;
};

// In CUDA's order: the index is the gpu_id.
std::vector<Gpu> all_gpus();

// The newest CUDA that the driver speaks, as 1000 * major + 10 * minor.
int cuda_version();

}  // namespace pdum::nvenc
