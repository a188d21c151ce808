// The part of the NVML interface that is simulated: numbers and layouts that clients are compiled with.
#pragma once

#include <cstdint>

namespace nvsim::nvml {

struct Device;

}  // namespace nvsim::nvml

using nvmlDevice_t = nvsim::nvml::Device*;

enum nvmlReturn_t : int {
    NVML_SUCCESS = 0,
    NVML_ERROR_UNINITIALIZED = 1,
    NVML_ERROR_INVALID_ARGUMENT = 2,
    NVML_ERROR_NOT_SUPPORTED = 3,
    NVML_ERROR_NOT_FOUND = 6,
    NVML_ERROR_INSUFFICIENT_SIZE = 7,
    NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25,
    NVML_ERROR_UNKNOWN = 999,
};

struct nvmlMemory_t {
    unsigned long long total;
    unsigned long long free;
    unsigned long long used;
};
static_assert(sizeof(nvmlMemory_t) == 24);

struct nvmlMemory_v2_t {
    unsigned version;
    unsigned long long total;
    unsigned long long reserved;
    unsigned long long free;
    unsigned long long used;
};
static_assert(sizeof(nvmlMemory_v2_t) == 40);

struct nvmlUtilization_t {
    unsigned gpu;
    unsigned memory;
};

struct nvmlPciInfo_t {
    char busIdLegacy[16];
    unsigned domain;
    unsigned bus;
    unsigned device;
    unsigned pciDeviceId;
    unsigned pciSubSystemId;
    char busId[32];
};
static_assert(sizeof(nvmlPciInfo_t) == 68);

struct nvmlEncoderSessionInfo_t {
    unsigned sessionId;
    unsigned pid;
    unsigned vgpuInstance;
    unsigned codecType;
    unsigned hResolution;
    unsigned vResolution;
    unsigned averageFps;
    unsigned averageLatency;
};
static_assert(sizeof(nvmlEncoderSessionInfo_t) == 32);

struct nvmlProcessInfo_t {
    unsigned pid;
    unsigned long long usedGpuMemory;
    unsigned gpuInstanceId;
    unsigned computeInstanceId;
};
static_assert(sizeof(nvmlProcessInfo_t) == 24);
