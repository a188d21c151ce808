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
#include <tuple>
#include <type_traits>

#include "common/instrument.hpp"
#include "cuda/api.hpp"
#include "cuda/context.hpp"

namespace nvsim::cuda {

// Appends `"name":value` to a JSON object; zeros and nulls leave no mark.
void describe_number(std::string& out, const std::string& name, int64_t value);
void describe_real(std::string& out, const std::string& name, double value);
void describe_text(std::string& out, const std::string& name, const char* value);
void describe_address(std::string& out, const std::string& name, const void* value);
void describe_copy(std::string& out, const std::string& name, const CUDA_MEMCPY2D* copy);

template <typename T>
void describe_argument(std::string& out, const std::string& name, T value) {
    if constexpr (std::is_same_v<T, const CUDA_MEMCPY2D*>)
        describe_copy(out, name, value);
    else if constexpr (std::is_same_v<T, const char*>)
        describe_text(out, name, value);
    else if constexpr (std::is_same_v<T, CUdeviceptr>)
        describe_address(out, name, reinterpret_cast<const void*>(value));
    else if constexpr (std::is_pointer_v<T>)
        describe_address(out, name, reinterpret_cast<const void*>(value));
    else if constexpr (std::is_floating_point_v<T>)
        describe_real(out, name, value);
    else
        describe_number(out, name, static_cast<int64_t>(value));
}

// The first name of "a, b)" and what is left of it.
std::string next_name(const char*& names);

template <typename... T>
CallDetails named_arguments(const char* names, const std::tuple<T...>& values) {
    ++names;  // the opening parenthesis
    std::string out = "{";
    std::apply([&](const auto&... value) { (describe_argument(out, next_name(names), value), ...); }, values);
    return {"", 0, out + "}"};
}

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
            [&] { return nvsim::cuda::named_arguments(#arguments, std::make_tuple arguments); });       \
    }                                                                                                   \
    static CUresult name##_body parameters

#define NVSIM_CUDA(name, parameters, arguments) NVSIM_CUDA_ENTRY(false, name, parameters, arguments)
#define NVSIM_CUDA_ANYTIME(name, parameters, arguments) NVSIM_CUDA_ENTRY(true, name, parameters, arguments)

// A second exported name of a function of the same file.
#define NVSIM_ALIAS(alias_name, name) \
    extern "C" __attribute__((visibility("default"), alias(#name))) decltype(name) alias_name
