// What the host passes to the kernels of src/cuda/rgb_to_yuv.cu. Both compilers read this, so it has plain types only.
#pragma once

namespace pdum::nvenc {

// One channel of the output from the three of the input: r * of_r + g * of_g + b * of_b + offset, where the offset
// holds the half that turns truncation into rounding. For 4:2:0 chroma the weights are for the sum over a block.
struct ChannelWeights {
    float of_r;
    float of_g;
    float of_b;
    float offset;
};

// A kernel's only argument. Strides and pitches are in bytes; the input's may be negative.
struct ColourKernelArgument {
    const unsigned char* source;  // the first channel of the upper left pixel
    long long row_stride;
    long long pixel_stride;
    long long channel_stride;
    unsigned char* luma;
    unsigned char* first_chroma;   // U, or U and V side by side
    unsigned char* second_chroma;  // V
    long long luma_pitch;
    long long chroma_pitch;
    int first_column;      // where the kernel begins
    int end_column;        // and where it ends: before this one
    int source_type;       // RgbType; only the kernels for any strides read this
    int ten_bits;          // likewise
    int left_siting;       // likewise
    float chroma_ceiling;  // the greatest value before truncation
    ChannelWeights y;
    ChannelWeights u;
    ChannelWeights v;
};

}  // namespace pdum::nvenc
