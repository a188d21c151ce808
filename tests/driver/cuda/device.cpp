#include "cuda/device.hpp"

#include <cstdio>
#include <unordered_map>

namespace nvsim::cuda {
namespace {

constexpr int kLastAttribute = 161;

// By CUdevice_attribute, the same for all GPUs; what is not listed is 0.
const std::unordered_map<int, int>& fixed_attributes() {
    static const std::unordered_map<int, int> values = {
        {1, 1024},                                                                            // threads a block
        {2, 1024},                                                                            // block x
        {3, 1024},                                                                            // block y
        {4, 64},                                                                              // block z
        {5, 2147483647},                                                                      // grid x
        {6, 65535},                                                                           // grid y
        {7, 65535},                                                                           // grid z
        {8, 49152},                                                                           // shared memory a block
        {9, 65536},                                                                           // constant memory
        {10, 32},                                                                             // warp
        {11, 2147483647},                                                                     // pitch
        {12, 65536},                                                                          // registers a block
        {13, 2520000},                                                                        // clock, kHz
        {14, 512},                                                                            // texture alignment
        {15, 1},                                                                              // copies overlap kernels
        {16, 128},                                                                            // multiprocessors
        {19, 1},                                                                              // maps host memory
        {21, 131072},     {22, 131072}, {23, 65536},  {24, 16384}, {25, 16384}, {26, 16384},  // largest textures
        {27, 32768},      {28, 32768},  {29, 2048},   {30, 512},                              // surface alignment
        {31, 1},                                                                              // concurrent kernels
        {36, 10501000},                                                                       // memory clock, kHz
        {37, 384},                                                                            // memory bus
        {38, 75497472},                                                                       // L2 cache
        {39, 1536},                                    // threads a multiprocessor
        {40, 2},                                       // copy engines
        {41, 1},                                       // unified addressing
        {51, 32},                                      // texture pitch alignment
        {78, 1},                                       // stream priorities
        {79, 1},          {80, 1},      {81, 102400},  // shared memory a multiprocessor
        {82, 65536},                                   // registers a multiprocessor
        {83, 1},                                       // managed memory
        {87, 64},         {89, 1},      {90, 1},      {91, 1},     {95, 1},     {96, 1},
        {97, 101376},  // shared memory a block on request
        {99, 1},       // host registration
        {102, 1},      // virtual memory
        {106, 24},     // blocks a multiprocessor
        {115, 1},      // memory pools
    };
    return values;
}

}  // namespace

bool device_attribute(const Gpu& gpu, int device, int attribute, int& value) {
    constexpr int kPciBus = 33;
    constexpr int kComputeMajor = 75;
    constexpr int kComputeMinor = 76;
    if (attribute < 1 || attribute > kLastAttribute) return false;
    const auto fixed = fixed_attributes().find(attribute);
    value = fixed == fixed_attributes().end() ? 0 : fixed->second;
    if (attribute == kPciBus) value = device + 1;
    if (attribute == kComputeMajor) value = gpu.compute_major;
    if (attribute == kComputeMinor) value = gpu.compute_minor;
    return true;
}

std::string pci_bus_id(int device) {
    char text[16];
    std::snprintf(text, sizeof text, "0000:%02X:00.0", static_cast<unsigned>(device + 1) & 0xFFu);
    return text;
}

}  // namespace nvsim::cuda
