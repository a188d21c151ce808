#include "common/cuda_calls.hpp"

#include <dlfcn.h>

namespace nvsim::cu {

namespace {

template <typename Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
}

bool load(Calls& calls) {
    void* library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == nullptr) return false;
    find(library, "nvsim_control", calls.control);
    return find(library, "cuCtxPushCurrent_v2", calls.push) && find(library, "cuCtxPopCurrent_v2", calls.pop) &&
           find(library, "cuCtxGetDevice", calls.context_device) && find(library, "cuMemcpy2DAsync_v2", calls.copy) &&
           find(library, "cuMemAllocHost_v2", calls.host_alloc) && find(library, "cuMemFreeHost", calls.host_free) &&
           find(library, "cuEventCreate", calls.event_create) && find(library, "cuEventRecord", calls.event_record) &&
           find(library, "cuEventSynchronize", calls.event_wait) &&
           find(library, "cuEventDestroy_v2", calls.event_destroy) &&
           find(library, "cuStreamWaitEvent", calls.stream_wait_event) &&
           find(library, "cuStreamCreate", calls.stream_create) &&
           find(library, "cuStreamDestroy_v2", calls.stream_destroy) &&
           find(library, "cuStreamSynchronize", calls.stream_wait) &&
           find(library, "cuMemGetAddressRange_v2", calls.address_range) &&
           find(library, "cuPointerGetAttribute", calls.attribute) &&
           find(library, "cuMemAlloc_v2", calls.device_alloc) && find(library, "cuMemFree_v2", calls.device_free) &&
           find(library, "cuLaunchHostFunc", calls.launch_host) && find(library, "cuCtxGetCurrent", calls.current);
}

}  // namespace

const Calls* calls() {
    static Calls table{};
    static const bool loaded = load(table);
    return loaded ? &table : nullptr;
}

namespace {

thread_local int quiet_scopes = 0;

void set_quiet(const char* request) {
    if (calls() != nullptr && calls()->control != nullptr) calls()->control(request);
}

}  // namespace

Quiet::Quiet() {
    if (quiet_scopes++ == 0) set_quiet("{\"quiet\": true}");
}

Quiet::~Quiet() {
    if (--quiet_scopes == 0) set_quiet("{\"quiet\": false}");
}

}  // namespace nvsim::cu
