// CUDA C++ on a processor, one thread after the other: as much of it as src/cuda/rgb_to_yuv.cu uses. Stands in for
// CUDA's header of this name, which is the only one that the kernels include.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#define __device__
#define __global__

using std::fmaf;
using std::fminf;
using std::max;

struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

struct Index {
    unsigned x, y;
};
inline thread_local Index blockIdx, blockDim, threadIdx;

// Through memcpy, so that an access off its alignment is found by UBSan and is no undefined type punning.
template <typename Value>
Value __ldg(const Value* at) {
    if (reinterpret_cast<uintptr_t>(at) % alignof(Value) != 0) std::abort();
    Value value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

inline float __uint_as_float(unsigned bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

inline unsigned __float_as_uint(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline float __saturatef(float value) { return value > 0 ? std::min(value, 1.0f) : 0.0f; }

// Towards minus infinity, of two floats whose sum a double holds exactly.
inline float __fadd_rd(float a, float b) {
    const double exact = static_cast<double>(a) + b;
    const auto nearest = static_cast<float>(exact);
    return nearest > exact ? std::nextafterf(nearest, -INFINITY) : nearest;
}

inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    const uint64_t bytes = static_cast<uint64_t>(high) << 32 | low;
    unsigned result = 0;
    for (unsigned i = 0; i < 4; ++i) {
        const unsigned byte = selector >> (4 * i) & 7;
        result |= static_cast<unsigned>(bytes >> (8 * byte) & 0xFF) << (8 * i);
    }
    return result;
}

struct Half16 {
    unsigned short bits;
};
inline Half16 __ushort_as_half(unsigned short bits) { return {bits}; }

inline float __half2float(Half16 half) {
    const unsigned exponent = half.bits >> 10 & 31;
    const float fraction = static_cast<float>(half.bits & 1023);
    const float sign = (half.bits & 0x8000) != 0 ? -1.0f : 1.0f;
    if (exponent == 31) return fraction != 0 ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * std::ldexp(fraction, -24);
    return sign * std::ldexp(1024.0f + fraction, static_cast<int>(exponent) - 25);
}
