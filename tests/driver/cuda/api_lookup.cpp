// cuGetProcAddress: from a name without suffix and a version of CUDA to the exported function.
#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "cuda/entry.hpp"

namespace {

using nvsim::cuda::machine;

struct Variant {
    int since;  // the version of CUDA that brought it
    const char* suffix;
};

// Names whose newest variant is not simply "_v2 from the beginning". Newest first.
const std::map<std::string, std::vector<Variant>>& special_variants() {
    static const std::map<std::string, std::vector<Variant>> table = {
        {"cuCtxCreate", {{12050, "_v4"}, {11040, "_v3"}, {3020, "_v2"}}},
        {"cuCtxGetDevice", {{13000, "_v2"}, {2000, ""}}},
        {"cuCtxSynchronize", {{13000, "_v2"}, {2000, ""}}},
        {"cuDeviceGetUuid", {{11040, "_v2"}, {9020, ""}}},
        {"cuEventElapsedTime", {{12080, "_v2"}, {2000, ""}}},
        {"cuGetProcAddress", {{12000, "_v2"}, {11030, ""}}},
        {"cuLaunchHostFunc", {{13020, "_v2"}, {10000, ""}}},
        {"cuMemAdvise", {{12020, "_v2"}, {8000, ""}}},
        {"cuMemPrefetchAsync", {{12020, "_v2"}, {8000, ""}}},
        {"cuMemcpy3DBatchAsync", {{13000, "_v2"}, {12080, ""}}},
        {"cuMemcpyBatchAsync", {{13000, "_v2"}, {12080, ""}}},
        {"cuMulticastBindAddr", {{13010, "_v2"}, {12010, ""}}},
        {"cuMulticastBindMem", {{13010, "_v2"}, {12010, ""}}},
        {"cuGraphAddNode", {{13041, "_v3"}, {12030, "_v2"}, {12020, ""}}},
        {"cuGraphNodeSetParams", {{13041, "_v2"}, {12020, ""}}},
        {"cuStreamGetCaptureInfo", {{12030, "_v3"}, {11030, "_v2"}, {10010, ""}}},
        {"cuStreamGetCtx", {{12050, "_v2"}, {9020, ""}}},
        {"cuStreamUpdateCaptureDependencies", {{12030, "_v2"}, {11030, ""}}},
    };
    return table;
}

void* exported(const std::string& name) {
    static void* const library = [] {
        Dl_info info{};
        dladdr(reinterpret_cast<void*>(&exported), &info);
        return dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    }();
    return library == nullptr ? nullptr : dlsym(library, name.c_str());
}

void* find(const std::string& name, int version) {
    const auto special = special_variants().find(name);
    if (special == special_variants().end()) {
        void* second = exported(name + "_v2");
        return second != nullptr ? second : exported(name);
    }
    for (const Variant& variant : special->second)
        if (variant.since <= version) return exported(name + variant.suffix);
    return nullptr;
}

constexpr int kFound = 0;
constexpr int kUnknownSymbol = 1;

CUresult look_up(const char* symbol, void** function, int version, int* status) {
    if (symbol == nullptr || function == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const std::string name = symbol;
    const bool ours = name.rfind("cu", 0) == 0;
    *function = ours ? find(name, std::min(version, machine().cuda_version.load())) : nullptr;
    if (status != nullptr) *status = *function != nullptr ? kFound : kUnknownSymbol;
    return *function != nullptr ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

}  // namespace

NVSIM_CUDA_ANYTIME(cuGetProcAddress, (const char* symbol, void** function, int version, uint64_t flags),
                   (symbol, function, version, flags)) {
    static_cast<void>(flags);
    return look_up(symbol, function, version, nullptr);
}

NVSIM_CUDA_ANYTIME(cuGetProcAddress_v2, (const char* symbol, void** function, int version, uint64_t flags, int* status),
                   (symbol, function, version, flags, status)) {
    static_cast<void>(flags);
    return look_up(symbol, function, version, status);
}
