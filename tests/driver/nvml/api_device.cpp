// Devices and their encoders.
#include <cstdio>
#include <cstring>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "common/catalogue.hpp"
#include "nvml/entry.hpp"
#include "nvml/machine.hpp"

using namespace nvsim::nvml;

namespace {

nvmlReturn_t answer_text(char* target, unsigned size, const std::string& text) {
    if (target == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    if (size <= text.size()) return NVML_ERROR_INSUFFICIENT_SIZE;
    std::snprintf(target, size, "%s", text.c_str());
    return NVML_SUCCESS;
}

// Calls `body` with the GPU, if the handle is good and there is a place for the answer.
template <typename Body>
nvmlReturn_t of_gpu(nvmlDevice_t device, const void* target, Body body) {
    const auto gpu = gpu_of(device);
    return gpu == nullptr || target == nullptr ? NVML_ERROR_INVALID_ARGUMENT : body(*gpu);
}

// Fills a client's array in NVML's manner: asked with too little room, the call tells how much is needed.
template <typename Item, typename Source, typename Convert>
nvmlReturn_t answer_list(const Source& source, unsigned* count, Item* items, Convert convert) {
    const auto needed = static_cast<unsigned>(source.size());
    const bool fits = needed <= *count;
    *count = needed;
    if (needed != 0 && items == nullptr) return NVML_SUCCESS;
    if (!fits) return NVML_ERROR_INSUFFICIENT_SIZE;
    unsigned at = 0;
    for (const auto& element : source) {
        items[at] = convert(element, at);
        ++at;
    }
    return NVML_SUCCESS;
}

bool same_bus(const std::string& full, const std::string& asked) {
    if (full.size() < asked.size()) return false;
    return strcasecmp(full.c_str() + (full.size() - asked.size()), asked.c_str()) == 0 && asked.size() >= 7;
}

nvmlReturn_t find_device(nvmlDevice_t* device, const char* asked, bool (*matches)(int, const std::string&)) {
    if (device == nullptr || asked == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    for (int index = 0; index < device_count(); ++index) {
        if (!matches(index, asked)) continue;
        *device = device_at(index);
        return NVML_SUCCESS;
    }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t processes(nvmlDevice_t device, unsigned* count, nvmlProcessInfo_t* list) {
    return of_gpu(device, count, [&](const nvsim::Gpu&) {
        std::set<int> pids;
        for (const nvsim::EncoderSession& session : encoder_sessions(device->index)) pids.insert(session.pid);
        const bool asked_for_size = list == nullptr && !pids.empty();
        const nvmlReturn_t status = answer_list(pids, count, list, [](int pid, unsigned) {
            constexpr unsigned kNoInstance = 0xFFFFFFFF;
            return nvmlProcessInfo_t{static_cast<unsigned>(pid), 0, kNoInstance, kNoInstance};
        });
        return asked_for_size ? NVML_ERROR_INSUFFICIENT_SIZE : status;
    });
}

}  // namespace

NVSIM_NVML(nvmlDeviceGetCount_v2, (unsigned* count), (count)) {
    if (count == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    *count = static_cast<unsigned>(device_count());
    return NVML_SUCCESS;
}

NVSIM_NVML(nvmlDeviceGetHandleByIndex_v2, (unsigned index, nvmlDevice_t* device), (index, device)) {
    if (device == nullptr || index >= static_cast<unsigned>(device_count())) return NVML_ERROR_INVALID_ARGUMENT;
    *device = device_at(static_cast<int>(index));
    return NVML_SUCCESS;
}

NVSIM_NVML(nvmlDeviceGetHandleByUUID, (const char* uuid, nvmlDevice_t* device), (uuid, device)) {
    return find_device(device, uuid,
                       [](int index, const std::string& text) { return uuid_of(*gpu_of(device_at(index))) == text; });
}

NVSIM_NVML(nvmlDeviceGetHandleByPciBusId_v2, (const char* bus, nvmlDevice_t* device), (bus, device)) {
    return find_device(device, bus, [](int index, const std::string& text) { return same_bus(bus_id(index), text); });
}

NVSIM_NVML(nvmlDeviceGetName, (nvmlDevice_t device, char* name, unsigned size), (device, name, size)) {
    return of_gpu(device, name, [&](const nvsim::Gpu& gpu) { return answer_text(name, size, gpu.name); });
}

NVSIM_NVML(nvmlDeviceGetUUID, (nvmlDevice_t device, char* uuid, unsigned size), (device, uuid, size)) {
    return of_gpu(device, uuid, [&](const nvsim::Gpu& gpu) { return answer_text(uuid, size, uuid_of(gpu)); });
}

NVSIM_NVML(nvmlDeviceGetIndex, (nvmlDevice_t device, unsigned* index), (device, index)) {
    return of_gpu(device, index, [&](const nvsim::Gpu&) {
        *index = static_cast<unsigned>(device->index);
        return NVML_SUCCESS;
    });
}

NVSIM_NVML(nvmlDeviceGetMinorNumber, (nvmlDevice_t device, unsigned* minor), (device, minor)) {
    return of_gpu(device, minor, [&](const nvsim::Gpu&) {
        *minor = static_cast<unsigned>(device->index);
        return NVML_SUCCESS;
    });
}

NVSIM_NVML(nvmlDeviceGetPciInfo_v3, (nvmlDevice_t device, nvmlPciInfo_t* pci), (device, pci)) {
    return of_gpu(device, pci, [&](const nvsim::Gpu&) {
        const std::string full = bus_id(device->index);
        *pci = {};
        pci->bus = static_cast<unsigned>(device->index) + 1;
        std::snprintf(pci->busId, sizeof pci->busId, "%s", full.c_str());
        std::snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%s", full.substr(4).c_str());
        return NVML_SUCCESS;
    });
}

NVSIM_NVML(nvmlDeviceGetCudaComputeCapability, (nvmlDevice_t device, int* major, int* minor), (device, major, minor)) {
    return of_gpu(device, major != nullptr ? minor : nullptr, [&](const nvsim::Gpu& gpu) {
        *major = gpu.compute_major;
        *minor = gpu.compute_minor;
        return NVML_SUCCESS;
    });
}

NVSIM_NVML(nvmlDeviceGetArchitecture, (nvmlDevice_t device, unsigned* architecture), (device, architecture)) {
    static const std::map<nvsim::Generation, unsigned> numbers = {
        {nvsim::Generation::pascal, 3}, {nvsim::Generation::turing, 5}, {nvsim::Generation::ampere, 6},
        {nvsim::Generation::ada, 7},    {nvsim::Generation::hopper, 8}, {nvsim::Generation::blackwell, 10},
    };
    return of_gpu(device, architecture, [&](const nvsim::Gpu& gpu) {
        *architecture = numbers.at(nvsim::generation_of(gpu));
        return NVML_SUCCESS;
    });
}

NVSIM_NVML(nvmlDeviceGetBrand, (nvmlDevice_t device, unsigned* brand), (device, brand)) {
    constexpr unsigned kGeforce = 5;
    constexpr unsigned kNvidia = 14;
    return of_gpu(device, brand, [&](const nvsim::Gpu& gpu) {
        *brand = gpu.geforce ? kGeforce : kNvidia;
        return NVML_SUCCESS;
    });
}

NVSIM_NVML(nvmlDeviceGetMemoryInfo, (nvmlDevice_t device, nvmlMemory_t* memory), (device, memory)) {
    return of_gpu(device, memory, [&](const nvsim::Gpu& gpu) {
        *memory = {gpu.memory_bytes, gpu.memory_bytes, 0};
        return NVML_SUCCESS;
    });
}

NVSIM_NVML(nvmlDeviceGetMemoryInfo_v2, (nvmlDevice_t device, nvmlMemory_v2_t* memory), (device, memory)) {
    constexpr unsigned kVersion = sizeof(nvmlMemory_v2_t) | 2u << 24;
    return of_gpu(device, memory, [&](const nvsim::Gpu& gpu) {
        if (memory->version != kVersion) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
        *memory = {kVersion, gpu.memory_bytes, 0, gpu.memory_bytes, 0};
        return NVML_SUCCESS;
    });
}

NVSIM_NVML(nvmlDeviceGetUtilizationRates, (nvmlDevice_t device, nvmlUtilization_t* rates), (device, rates)) {
    return of_gpu(device, rates, [&](const nvsim::Gpu&) {
        *rates = {0, 0};
        return NVML_SUCCESS;
    });
}

namespace {

constexpr unsigned kSamplingPeriodUs = 167000;

}  // namespace

NVSIM_NVML(nvmlDeviceGetEncoderUtilization, (nvmlDevice_t device, unsigned* percent, unsigned* period_us),
           (device, percent, period_us)) {
    return of_gpu(device, period_us != nullptr ? percent : nullptr, [&](const nvsim::Gpu& gpu) {
        *percent = encoder_load(gpu, encoder_sessions(device->index));
        *period_us = kSamplingPeriodUs;
        return NVML_SUCCESS;
    });
}

NVSIM_NVML(nvmlDeviceGetDecoderUtilization, (nvmlDevice_t device, unsigned* percent, unsigned* period_us),
           (device, percent, period_us)) {
    return of_gpu(device, period_us != nullptr ? percent : nullptr, [&](const nvsim::Gpu& gpu) {
        *percent = decoder_load(gpu, decoder_sessions(device->index));
        *period_us = kSamplingPeriodUs;
        return NVML_SUCCESS;
    });
}

NVSIM_NVML(nvmlDeviceGetEncoderCapacity, (nvmlDevice_t device, unsigned codec, unsigned* percent),
           (device, codec, percent)) {
    static const char* const codecs[] = {"h264", "hevc", "av1"};
    return of_gpu(device, percent, [&](const nvsim::Gpu& gpu) {
        if (codec >= std::size(codecs)) return NVML_ERROR_INVALID_ARGUMENT;
        const auto offered = gpu.codecs.find(codecs[codec]);
        if (offered == gpu.codecs.end() || !offered->second) return NVML_ERROR_NOT_SUPPORTED;
        *percent = 100 - encoder_load(gpu, encoder_sessions(device->index));
        return NVML_SUCCESS;
    });
}

NVSIM_NVML(nvmlDeviceGetEncoderStats, (nvmlDevice_t device, unsigned* count, unsigned* fps, unsigned* latency_us),
           (device, count, fps, latency_us)) {
    return of_gpu(device, fps != nullptr && latency_us != nullptr ? count : nullptr, [&](const nvsim::Gpu&) {
        const auto sessions = encoder_sessions(device->index);
        uint64_t rates = 0;
        uint64_t latencies = 0;
        for (const nvsim::EncoderSession& session : sessions) {
            rates += session.fps;
            latencies += session.latency_us;
        }
        *count = static_cast<unsigned>(sessions.size());
        *fps = sessions.empty() ? 0 : static_cast<unsigned>(rates / sessions.size());
        *latency_us = sessions.empty() ? 0 : static_cast<unsigned>(latencies / sessions.size());
        return NVML_SUCCESS;
    });
}

NVSIM_NVML(nvmlDeviceGetEncoderSessions, (nvmlDevice_t device, unsigned* count, nvmlEncoderSessionInfo_t* list),
           (device, count, list)) {
    return of_gpu(device, count, [&](const nvsim::Gpu&) {
        return answer_list(encoder_sessions(device->index), count, list,
                           [](const nvsim::EncoderSession& session, unsigned index) {
                               return nvmlEncoderSessionInfo_t{index + 1,
                                                               static_cast<unsigned>(session.pid),
                                                               0,
                                                               static_cast<unsigned>(session.codec),
                                                               session.width,
                                                               session.height,
                                                               session.fps,
                                                               session.latency_us};
                           });
    });
}

NVSIM_NVML(nvmlDeviceGetComputeRunningProcesses_v3, (nvmlDevice_t device, unsigned* count, nvmlProcessInfo_t* list),
           (device, count, list)) {
    return processes(device, count, list);
}

NVSIM_NVML(nvmlDeviceGetGraphicsRunningProcesses_v3, (nvmlDevice_t device, unsigned* count, nvmlProcessInfo_t* list),
           (device, count, list)) {
    static_cast<void>(list);
    return of_gpu(device, count, [&](const nvsim::Gpu&) {
        *count = 0;
        return NVML_SUCCESS;
    });
}
