// RGB to YUV on the GPU. Made into PTX by make_ptx.sh for every GPU that has an encoder, so nothing newer than Maxwell
// is used here: no half arithmetic, no asynchronous copies.
//
// The wide kernels take images whose pixels lie without gaps, channels interleaved or in planes, on aligned rows: a
// thread takes a strip of 8 pixels (4 of floats, 2 of RGBA floats for 4:2:0), of two rows for 4:2:0, by loads and
// stores of up to 16 bytes. The others take any strides, one block of 2x2 pixels (or one pixel) a thread, and do the
// columns at the right edge that fill no strip.
#include <cuda_fp16.h>

#include "../cpp/colour/colour_kernels.hpp"

using pdum::nvenc::ChannelWeights;
using Argument = pdum::nvenc::ColourKernelArgument;

namespace {

enum class Order { rgb, rgbx, planes };
enum class Target { nv12, p010, yuv444, yuv444_10 };

template <Target target>
constexpr bool is_subsampled = target == Target::nv12 || target == Target::p010;
template <Target target>
constexpr bool has_ten_bits = target == Target::p010 || target == Target::yuv444_10;

struct Pixel {
    float r, g, b;
};

__device__ Pixel operator+(Pixel a, Pixel b) { return {a.r + b.r, a.g + b.g, a.b + b.b}; }

// --- Types of the input: bytes, pixels of a strip, and the value in units that the weights are for ---

struct Byte {
    static constexpr int size = 1;
    static constexpr int strip = 8;
    static __device__ float value(unsigned bits) { return static_cast<float>(bits & 0xFF); }
    // The same without a conversion, because a GPU does few of them at a time: 2^23 + byte is exactly a float.
    static __device__ float value_of_byte(unsigned word, int byte) {
        return __uint_as_float(__byte_perm(word, 0x4B000000, 0x7440 + byte)) - 8388608.0f;
    }
    static __device__ unsigned load(const unsigned char* at) { return __ldg(at); }
};

// Saturating takes NaN to zero too.
struct Half {
    static constexpr int size = 2;
    static constexpr int strip = 4;
    static __device__ float value(unsigned bits) {
        return __saturatef(__half2float(__ushort_as_half(static_cast<unsigned short>(bits))));
    }
    static __device__ unsigned load(const unsigned char* at) {
        return __ldg(reinterpret_cast<const unsigned short*>(at));
    }
};

struct Float {
    static constexpr int size = 4;
    static constexpr int strip = 4;
    static __device__ float value(unsigned bits) { return __saturatef(__uint_as_float(bits)); }
    static __device__ unsigned load(const unsigned char* at) { return __ldg(reinterpret_cast<const unsigned*>(at)); }
};

template <typename Type>
__device__ Pixel pixel_at(const Argument& a, int column, int row) {
    const unsigned char* at = a.source + row * a.row_stride + column * a.pixel_stride;
    return {Type::value(Type::load(at)), Type::value(Type::load(at + a.channel_stride)),
            Type::value(Type::load(at + 2 * a.channel_stride))};
}

// --- Wide loads and stores of `words` times 4 bytes ---

template <int words>
__device__ void load(unsigned* to, const unsigned char* from) {
    if constexpr (words % 4 == 0) {
#pragma unroll
        for (int i = 0; i < words / 4; ++i) {
            const uint4 v = __ldg(reinterpret_cast<const uint4*>(from) + i);
            to[4 * i] = v.x, to[4 * i + 1] = v.y, to[4 * i + 2] = v.z, to[4 * i + 3] = v.w;
        }
    } else if constexpr (words % 2 == 0) {
#pragma unroll
        for (int i = 0; i < words / 2; ++i) {
            const uint2 v = __ldg(reinterpret_cast<const uint2*>(from) + i);
            to[2 * i] = v.x, to[2 * i + 1] = v.y;
        }
    } else {
#pragma unroll
        for (int i = 0; i < words; ++i) to[i] = __ldg(reinterpret_cast<const unsigned*>(from) + i);
    }
}

template <int words>
__device__ void store(unsigned char* to, const unsigned* from) {
    if constexpr (words % 4 == 0) {
#pragma unroll
        for (int i = 0; i < words / 4; ++i) {
            reinterpret_cast<uint4*>(to)[i] =
                make_uint4(from[4 * i], from[4 * i + 1], from[4 * i + 2], from[4 * i + 3]);
        }
    } else if constexpr (words % 2 == 0) {
#pragma unroll
        for (int i = 0; i < words / 2; ++i) {
            reinterpret_cast<uint2*>(to)[i] = make_uint2(from[2 * i], from[2 * i + 1]);
        }
    } else {
#pragma unroll
        for (int i = 0; i < words; ++i) reinterpret_cast<unsigned*>(to)[i] = from[i];
    }
}

// `count` pixels of a row as they lie in memory.
template <typename Type, Order order, int count>
struct Strip {
    static constexpr int channels = order == Order::rgbx ? 4 : 3;
    static constexpr int plane_words = count * Type::size / 4;
    unsigned words[channels * plane_words];

    __device__ void load_from(const Argument& a, int column, int row) {
        const unsigned char* at = a.source + row * a.row_stride + column * a.pixel_stride;
        if constexpr (order == Order::planes) {
#pragma unroll
            for (int i = 0; i < 3; ++i) load<plane_words>(words + i * plane_words, at + i * a.channel_stride);
        } else {
            load<channels * plane_words>(words, at);
        }
    }

    __device__ float channel(int index, int which) const {
        const int element = order == Order::planes ? which * count + index : index * channels + which;
        const int byte = element * Type::size;
        if constexpr (Type::size == 1 && order != Order::planes) return Type::value_of_byte(words[byte / 4], byte % 4);
        return Type::value(words[byte / 4] >> (byte % 4 * 8));
    }

    __device__ Pixel operator[](int index) const { return {channel(index, 0), channel(index, 1), channel(index, 2)}; }
};

template <typename Type, Order order>
__device__ Pixel last_pixel(const unsigned (&words)[Type::size]) {
    constexpr int begin = sizeof words - Type::size * (order == Order::rgbx ? 4 : 3);
    float values[3];
#pragma unroll
    for (int i = 0; i < 3; ++i) {
        const int byte = begin + i * Type::size;
        values[i] = Type::value(words[byte / 4] >> (byte % 4 * 8));
    }
    return {values[0], values[1], values[2]};
}

// The sum of the two pixels in front of two strips, or of their first ones at the image's edge. Interleaved, a pixel is
// the end of the last 4, 8 or 16 bytes before. No branch: loads behind one would wait for the strips'.
template <typename Type, Order order, int count>
__device__ Pixel column_before(const Argument& a, int column, int row, const Strip<Type, order, count> (&strips)[2]) {
    if constexpr (order == Order::planes) {
        const int previous = max(column - 1, 0);
        return pixel_at<Type>(a, previous, row) + pixel_at<Type>(a, previous, row + 1);
    } else {
        unsigned words[2][Type::size];
        const int back = column > 0 ? sizeof words[0] : 0;
        const unsigned char* at = a.source + row * a.row_stride + column * a.pixel_stride - back;
        load<Type::size>(words[0], at);
        load<Type::size>(words[1], at + a.row_stride);
        const Pixel own = strips[0][0] + strips[1][0];
        const Pixel other = last_pixel<Type, order>(words[0]) + last_pixel<Type, order>(words[1]);
        return {column > 0 ? other.r : own.r, column > 0 ? other.g : own.g, column > 0 ? other.b : own.b};
    }
}

// --- Codes of the output ---

__device__ float weigh(Pixel pixel, const ChannelWeights& weights) {
    return fmaf(pixel.b, weights.of_b, fmaf(pixel.g, weights.of_g, fmaf(pixel.r, weights.of_r, weights.offset)));
}

// Cuts a value below 2^16 off, into the low 16 bits: adding 2^23 leaves no bit behind the point.
__device__ unsigned cut_off(float value) { return __float_as_uint(__fadd_rd(value, 8388608.0f)); }

__device__ unsigned luma_of(const Argument& a, Pixel pixel) { return cut_off(weigh(pixel, a.y)); }

__device__ unsigned chroma_of(const Argument& a, Pixel pixel, const ChannelWeights& weights) {
    return cut_off(fminf(weigh(pixel, weights), a.chroma_ceiling));
}

// Four codes into one word of bytes or two of 16 bits each, the ten bits on top.
template <Target target>
__device__ void pack(unsigned* words, const unsigned* codes) {
    if constexpr (has_ten_bits<target>) {
        words[0] = __byte_perm(codes[0], codes[1], 0x5410) << 6;
        words[1] = __byte_perm(codes[2], codes[3], 0x5410) << 6;
    } else {
        words[0] =
            __byte_perm(__byte_perm(codes[0], codes[1], 0x0040), __byte_perm(codes[2], codes[3], 0x0040), 0x5410);
    }
}

// Writes the codes of a strip, 2 or a multiple of 4, into a row whose code of column 0 lies at `row`.
template <Target target, int count>
__device__ void write_codes(unsigned char* row, int column, const unsigned (&codes)[count]) {
    constexpr int words_of_four = has_ten_bits<target> ? 2 : 1;
    unsigned char* to = row + static_cast<long long>(column) * words_of_four;
    if constexpr (count % 4 == 0) {
        unsigned words[count / 4 * words_of_four];
#pragma unroll
        for (int i = 0; i < count / 4; ++i) pack<target>(words + i * words_of_four, codes + 4 * i);
        store<count / 4 * words_of_four>(to, words);
    } else if constexpr (has_ten_bits<target>) {
        *reinterpret_cast<unsigned*>(to) = __byte_perm(codes[0], codes[1], 0x5410) << 6;
    } else {
        *reinterpret_cast<unsigned short*>(to) = static_cast<unsigned short>(__byte_perm(codes[0], codes[1], 0x0040));
    }
}

// --- The wide kernels ---

// `before` is the sum of the column on the left; at the edge of the image the first column stands for it.
template <typename Type, Target target, Order order, bool left, int count>
__device__ void finish_subsampled(const Argument& a, int column, int row, const Strip<Type, order, count> (&strips)[2],
                                  Pixel before) {
    unsigned upper[count], lower[count], chroma[count];
#pragma unroll
    for (int i = 0; i < count; i += 2) {
        Pixel sums[2];
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            const Pixel top = strips[0][i + k];
            const Pixel bottom = strips[1][i + k];
            upper[i + k] = luma_of(a, top);
            lower[i + k] = luma_of(a, bottom);
            sums[k] = top + bottom;
        }
        Pixel block = sums[0] + sums[1];
        if constexpr (left) {
            block = block + (before + sums[0]);
            before = sums[1];
        }
        chroma[i] = chroma_of(a, block, a.u);
        chroma[i + 1] = chroma_of(a, block, a.v);
    }
    write_codes<target>(a.luma + row * a.luma_pitch, column, upper);
    write_codes<target>(a.luma + (row + 1) * a.luma_pitch, column, lower);
    write_codes<target>(a.first_chroma + (row >> 1) * a.chroma_pitch, column, chroma);
}

template <typename Type, Target target, Order order, bool left, int count>
__device__ void convert_subsampled(const Argument& a, int column, int row) {
    Strip<Type, order, count> strips[2];
    strips[0].load_from(a, column, row);
    strips[1].load_from(a, column, row + 1);
    Pixel before{};
    if constexpr (left) before = column_before<Type, order, count>(a, column, row, strips);
    finish_subsampled<Type, target, order, left, count>(a, column, row, strips, before);
}

template <typename Type, Target target, Order order, int count>
__device__ void convert_full(const Argument& a, int column, int row) {
    Strip<Type, order, count> strip;
    strip.load_from(a, column, row);
    unsigned y[count], u[count], v[count];
#pragma unroll
    for (int i = 0; i < count; ++i) {
        const Pixel pixel = strip[i];
        y[i] = luma_of(a, pixel);
        u[i] = chroma_of(a, pixel, a.u);
        v[i] = chroma_of(a, pixel, a.v);
    }
    write_codes<target>(a.luma + row * a.luma_pitch, column, y);
    write_codes<target>(a.first_chroma + row * a.chroma_pitch, column, u);
    write_codes<target>(a.second_chroma + row * a.chroma_pitch, column, v);
}

template <typename Type, Target target, Order order, bool left>
__device__ void convert_wide(const Argument& a) {
    // A pixel of four floats has 16 bytes: the loads of longer strips would lie too far apart in a warp.
    constexpr bool is_short = is_subsampled<target> && order == Order::rgbx && Type::size == 4;
    constexpr int count = is_short ? 2 : Type::strip;
    const int column = a.first_column + (blockIdx.x * blockDim.x + threadIdx.x) * count;
    if (column >= a.end_column) return;
    if constexpr (is_subsampled<target>) {
        convert_subsampled<Type, target, order, left, count>(a, column, blockIdx.y * 2);
    } else {
        convert_full<Type, target, order, count>(a, column, blockIdx.y);
    }
}

// --- Any strides ---

__device__ Pixel any_pixel_at(const Argument& a, int column, int row) {
    if (a.source_type == 0) return pixel_at<Byte>(a, column, row);
    if (a.source_type == 1) return pixel_at<Half>(a, column, row);
    return pixel_at<Float>(a, column, row);
}

// `index` counts codes from the plane's left edge.
__device__ void put(const Argument& a, unsigned char* row, int index, unsigned code) {
    if (a.ten_bits) {
        reinterpret_cast<unsigned short*>(row)[index] = static_cast<unsigned short>(code << 6);
    } else {
        row[index] = static_cast<unsigned char>(code);
    }
}

}  // namespace

extern "C" __global__ void any_to_subsampled(const Argument a) {
    const int column = a.first_column + (blockIdx.x * blockDim.x + threadIdx.x) * 2;
    const int row = blockIdx.y * 2;
    if (column >= a.end_column) return;
    Pixel sums[2];
    for (int i = 0; i < 2; ++i) {
        const Pixel top = any_pixel_at(a, column + i, row);
        const Pixel bottom = any_pixel_at(a, column + i, row + 1);
        put(a, a.luma + row * a.luma_pitch, column + i, luma_of(a, top));
        put(a, a.luma + (row + 1) * a.luma_pitch, column + i, luma_of(a, bottom));
        sums[i] = top + bottom;
    }
    Pixel block = sums[0] + sums[1];
    if (a.left_siting) {
        const int previous = max(column - 1, 0);
        const Pixel before = any_pixel_at(a, previous, row) + any_pixel_at(a, previous, row + 1);
        block = block + (before + sums[0]);
    }
    unsigned char* chroma = a.first_chroma + (row >> 1) * a.chroma_pitch;
    put(a, chroma, column, chroma_of(a, block, a.u));
    put(a, chroma, column + 1, chroma_of(a, block, a.v));
}

extern "C" __global__ void any_to_full(const Argument a) {
    const int column = a.first_column + blockIdx.x * blockDim.x + threadIdx.x;
    const int row = blockIdx.y;
    if (column >= a.end_column) return;
    const Pixel pixel = any_pixel_at(a, column, row);
    put(a, a.luma + row * a.luma_pitch, column, luma_of(a, pixel));
    put(a, a.first_chroma + row * a.chroma_pitch, column, chroma_of(a, pixel, a.u));
    put(a, a.second_chroma + row * a.chroma_pitch, column, chroma_of(a, pixel, a.v));
}

// --- One entry for each combination; src/cpp/colour/colour.cpp builds the same names ---

#define WIDE(name, type, target, order, left) \
    extern "C" __global__ void name(const Argument a) { convert_wide<type, Target::target, Order::order, left>(a); }

#define WIDE_TARGETS(prefix, type, order)                   \
    WIDE(prefix##_to_nv12_left, type, nv12, order, true)    \
    WIDE(prefix##_to_nv12_centre, type, nv12, order, false) \
    WIDE(prefix##_to_p010_left, type, p010, order, true)    \
    WIDE(prefix##_to_p010_centre, type, p010, order, false) \
    WIDE(prefix##_to_yuv444, type, yuv444, order, false)    \
    WIDE(prefix##_to_yuv444_10, type, yuv444_10, order, false)

#define WIDE_ORDERS(prefix, type)           \
    WIDE_TARGETS(prefix##_rgb, type, rgb)   \
    WIDE_TARGETS(prefix##_rgbx, type, rgbx) \
    WIDE_TARGETS(prefix##_planes, type, planes)

WIDE_ORDERS(u8, Byte)
WIDE_ORDERS(f16, Half)
WIDE_ORDERS(f32, Float)
