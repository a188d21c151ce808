// Facts of a device that no other part needs.
#pragma once

#include <string>

#include "common/config.hpp"

namespace nvsim::cuda {

// False for a number that is no CUdevice_attribute.
bool device_attribute(const Gpu& gpu, int device, int attribute, int& value);

// "0000:01:00.0"; GPU i sits on bus i + 1.
std::string pci_bus_id(int device);

}  // namespace nvsim::cuda
