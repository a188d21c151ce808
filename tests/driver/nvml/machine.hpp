// The GPUs as NVML shows them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/session_registry.hpp"
#include "nvml/api.hpp"

namespace nvsim::nvml {

// What a handle points to.
struct Device {
    int index = 0;
};

// Null where there is no such device.
nvmlDevice_t device_at(int index);
// Null where the handle is none of ours or the device is gone.
std::shared_ptr<const Gpu> gpu_of(nvmlDevice_t device);
int device_count();

std::string uuid_of(const Gpu& gpu);  // "GPU-…"
std::string bus_id(int index);        // "00000000:01:00.0"

// Encoder sessions of all processes that share the configuration's state file, on one GPU.
std::vector<EncoderSession> encoder_sessions(int index);
// The same for decoders.
std::vector<EncoderSession> decoder_sessions(int index);
// Percent of what the GPU's engines can do, from the sessions' rates and sizes.
unsigned encoder_load(const Gpu& gpu, const std::vector<EncoderSession>& sessions);
unsigned decoder_load(const Gpu& gpu, const std::vector<EncoderSession>& sessions);

}  // namespace nvsim::nvml
