// How an exported function of libcuda is written:
//
//     NVSIM_CUDA(cuDeviceGetCount, (int* count), (count)) {
//         ...
//         return CUDA_SUCCESS;
//     }
//
// The macro adds what all have in common: the call site, the check that cuInit was called, and no exception that
// leaves the library. NVSIM_CUDA_ANYTIME is for those few that work before cuInit.
#pragma once

#include <new>
#include <string>

#include "common/arguments.hpp"
#include "common/instrument.hpp"
#include "cuda/api.hpp"
#include "cuda/context.hpp"

namespace nvsim {

template <>
struct Described<CUdeviceptr> {
    static void write(std::string& out, const std::string& name, CUdeviceptr value) {
        describe_address(out, name, reinterpret_cast<const void*>(value));
    }
};

template <>
struct Described<const CUDA_MEMCPY2D*> {
    static void write(std::string& out, const std::string& name, const CUDA_MEMCPY2D* copy);
};

}  // namespace nvsim

namespace nvsim::cuda {

template <bool kAnytime, typename Body>
CUresult guarded(Body&& body) noexcept {
    if (!kAnytime && !initialised()) return CUDA_ERROR_NOT_INITIALIZED;
    try {
        return body();
    } catch (const std::bad_alloc&) {
        return CUDA_ERROR_OUT_OF_MEMORY;
    } catch (...) {
        return CUDA_ERROR_UNKNOWN;
    }
}

}  // namespace nvsim::cuda

#define NVSIM_EXPORT extern "C" __attribute__((visibility("default")))

#define NVSIM_CUDA_ENTRY(anytime, name, parameters, arguments)                                          \
    NVSIM_EXPORT CUresult name parameters;                                                              \
    static CUresult name##_body parameters;                                                             \
    NVSIM_EXPORT CUresult name parameters {                                                             \
        static nvsim::CallSite site(#name);                                                             \
        return nvsim::observed(                                                                         \
            site, [&] { return nvsim::cuda::guarded<anytime>([&] { return name##_body arguments; }); }, \
            [&] { return nvsim::named_arguments(#arguments, std::make_tuple arguments); });             \
    }                                                                                                   \
    static CUresult name##_body parameters

#define NVSIM_CUDA(name, parameters, arguments) NVSIM_CUDA_ENTRY(false, name, parameters, arguments)
#define NVSIM_CUDA_ANYTIME(name, parameters, arguments) NVSIM_CUDA_ENTRY(true, name, parameters, arguments)

// A second exported name of a function of the same file.
#define NVSIM_ALIAS(alias_name, name) \
    extern "C" __attribute__((visibility("default"), alias(#name))) decltype(name) alias_name
