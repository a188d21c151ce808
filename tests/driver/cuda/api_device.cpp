// Initialisation and devices.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "common/control.hpp"
#include "cuda/device.hpp"
#include "cuda/entry.hpp"

using namespace nvsim::cuda;

namespace {

bool known(CUdevice device) { return device >= 0 && device < machine().devices; }

// Text with its end, cut where the client's buffer is too short.
CUresult answer_text(char* target, int size, const std::string& text) {
    if (target == nullptr || size <= 0) return CUDA_ERROR_INVALID_VALUE;
    std::snprintf(target, static_cast<size_t>(size), "%s", text.c_str());
    return CUDA_SUCCESS;
}

}  // namespace

NVSIM_CUDA_ANYTIME(cuInit, (unsigned flags), (flags)) { return flags != 0 ? CUDA_ERROR_INVALID_VALUE : initialise(); }

NVSIM_CUDA_ANYTIME(cuDriverGetVersion, (int* version), (version)) {
    if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *version = machine().cuda_version;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuDeviceGet, (CUdevice * device, int ordinal), (device, ordinal)) {
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!known(ordinal)) return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuDeviceGetCount, (int* count), (count)) {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = machine().devices;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuDeviceGetName, (char* name, int size, CUdevice device), (name, size, device)) {
    return known(device) ? answer_text(name, size, gpu(device).name) : CUDA_ERROR_INVALID_DEVICE;
}

NVSIM_CUDA(cuDeviceGetUuid, (CUuuid * uuid, CUdevice device), (uuid, device)) {
    if (uuid == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!known(device)) return CUDA_ERROR_INVALID_DEVICE;
    const std::string digits = gpu(device).uuid;
    for (size_t i = 0; i < sizeof uuid->bytes; ++i)
        uuid->bytes[i] = static_cast<unsigned char>(std::stoi(digits.substr(2 * i, 2), nullptr, 16));
    return CUDA_SUCCESS;
}
NVSIM_ALIAS(cuDeviceGetUuid_v2, cuDeviceGetUuid);

NVSIM_CUDA(cuDeviceTotalMem_v2, (size_t* bytes, CUdevice device), (bytes, device)) {
    if (bytes == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!known(device)) return CUDA_ERROR_INVALID_DEVICE;
    *bytes = gpu(device).memory_bytes;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuDeviceComputeCapability, (int* major, int* minor, CUdevice device), (major, minor, device)) {
    if (major == nullptr || minor == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!known(device)) return CUDA_ERROR_INVALID_DEVICE;
    *major = gpu(device).compute_major;
    *minor = gpu(device).compute_minor;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuDeviceGetAttribute, (int* value, int attribute, CUdevice device), (value, attribute, device)) {
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!known(device)) return CUDA_ERROR_INVALID_DEVICE;
    return device_attribute(gpu(device), device, attribute, *value) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

NVSIM_CUDA(cuDeviceGetPCIBusId, (char* text, int size, CUdevice device), (text, size, device)) {
    return known(device) ? answer_text(text, size, pci_bus_id(device)) : CUDA_ERROR_INVALID_DEVICE;
}

NVSIM_CUDA(cuDeviceGetByPCIBusId, (CUdevice * device, const char* text), (device, text)) {
    if (device == nullptr || text == nullptr) return CUDA_ERROR_INVALID_VALUE;
    for (int candidate = 0; candidate < machine().devices; ++candidate) {
        const std::string full = pci_bus_id(candidate);
        if (full != text && full.substr(full.find(':') + 1) != text) continue;
        *device = candidate;
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_DEVICE;
}

NVSIM_CUDA(cuDeviceCanAccessPeer, (int* can, CUdevice device, CUdevice peer), (can, device, peer)) {
    if (can == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!known(device) || !known(peer)) return CUDA_ERROR_INVALID_DEVICE;
    *can = device != peer;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuDeviceGetP2PAttribute, (int* value, int attribute, CUdevice device, CUdevice peer),
           (value, attribute, device, peer)) {
    constexpr int kAccessSupported = 2;
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!known(device) || !known(peer) || device == peer) return CUDA_ERROR_INVALID_DEVICE;
    *value = attribute == kAccessSupported;
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device), (context, device)) {
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!known(device)) return CUDA_ERROR_INVALID_DEVICE;
    *context = retain_primary(device);
    return CUDA_SUCCESS;
}

NVSIM_CUDA(cuDevicePrimaryCtxRelease_v2, (CUdevice device), (device)) {
    return known(device) ? release_primary(device) : CUDA_ERROR_INVALID_DEVICE;
}

NVSIM_CUDA(cuDevicePrimaryCtxReset_v2, (CUdevice device), (device)) {
    return known(device) ? reset_primary(device) : CUDA_ERROR_INVALID_DEVICE;
}

NVSIM_CUDA(cuDevicePrimaryCtxSetFlags_v2, (CUdevice device, unsigned flags), (device, flags)) {
    return known(device) ? set_primary_flags(device, flags) : CUDA_ERROR_INVALID_DEVICE;
}

NVSIM_CUDA(cuDevicePrimaryCtxGetState, (CUdevice device, unsigned* flags, int* active), (device, flags, active)) {
    if (flags == nullptr || active == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (!known(device)) return CUDA_ERROR_INVALID_DEVICE;
    *active = primary_active(device, *flags);
    return CUDA_SUCCESS;
}
