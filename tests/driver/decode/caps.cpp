#include "decode/caps.hpp"

#include <algorithm>
#include <string>

#include "common/catalogue.hpp"
#include "decode/video_codec.hpp"

namespace nvsim::decode {
namespace {

struct Row {
    cudaVideoCodec codec;
    const char* name;
    Generation since;
    unsigned max_width, max_height, max_macroblocks;
    unsigned short min_width, min_height;
};

constexpr unsigned k4k = 4096 * 4096 / 256, k8k = 8192 * 8192 / 256;

constexpr Row rows[] = {
    {cudaVideoCodec_MPEG1, "mpeg1", Generation::pascal, 4080, 4080, 65280, 48, 16},
    {cudaVideoCodec_MPEG2, "mpeg2", Generation::pascal, 4080, 4080, 65280, 48, 16},
    {cudaVideoCodec_MPEG4, "mpeg4", Generation::pascal, 2032, 2032, 8192, 48, 16},
    {cudaVideoCodec_VC1, "vc1", Generation::pascal, 2048, 1024, 8192, 48, 16},
    {cudaVideoCodec_H264, "h264", Generation::pascal, 4096, 4096, k4k, 48, 16},
    {cudaVideoCodec_JPEG, "jpeg", Generation::pascal, 32768, 16384, 2097152, 64, 64},
    {cudaVideoCodec_HEVC, "hevc", Generation::pascal, 8192, 8192, k8k, 144, 144},
    {cudaVideoCodec_VP8, "vp8", Generation::pascal, 4096, 4096, k4k, 48, 16},
    {cudaVideoCodec_VP9, "vp9", Generation::pascal, 8192, 8192, k8k, 128, 128},
    {cudaVideoCodec_AV1, "av1", Generation::ampere, 8192, 8192, k8k, 128, 128},
};

const Row* row_of(cudaVideoCodec codec) {
    const Row* found =
        std::find_if(std::begin(rows), std::end(rows), [&](const Row& row) { return row.codec == codec; });
    return found == std::end(rows) ? nullptr : found;
}

bool takes_depth(cudaVideoCodec codec, Generation generation, unsigned depth) {
    const bool deep = depth == 10 || (depth == 12 && codec != cudaVideoCodec_AV1);
    switch (codec) {
        case cudaVideoCodec_HEVC:
        case cudaVideoCodec_VP9: return depth == 8 || deep;
        case cudaVideoCodec_AV1: return depth == 8 || deep;
        case cudaVideoCodec_H264: return depth == 8 || (depth == 10 && generation >= Generation::blackwell);
        default: return depth == 8;
    }
}

bool takes_chroma(cudaVideoCodec codec, Generation generation, cudaVideoChromaFormat chroma) {
    const bool layered = codec == cudaVideoCodec_H264 || codec == cudaVideoCodec_HEVC;
    switch (chroma) {
        case cudaVideoChromaFormat_420: return true;
        case cudaVideoChromaFormat_444:
            return codec == cudaVideoCodec_JPEG || (codec == cudaVideoCodec_HEVC && generation >= Generation::turing);
        case cudaVideoChromaFormat_422: return layered && generation >= Generation::blackwell;
        default:
            return codec == cudaVideoCodec_JPEG || codec == cudaVideoCodec_AV1 || codec == cudaVideoCodec_HEVC ||
                   codec == cudaVideoCodec_H264;
    }
}

// JPEG comes out as 4:2:0 whatever it has.
unsigned short formats_for(cudaVideoCodec codec, cudaVideoChromaFormat chroma, unsigned depth) {
    if (codec == cudaVideoCodec_JPEG) return 1u << cudaVideoSurfaceFormat_NV12;
    const unsigned first = chroma == cudaVideoChromaFormat_444   ? cudaVideoSurfaceFormat_YUV444
                           : chroma == cudaVideoChromaFormat_422 ? cudaVideoSurfaceFormat_NV16
                                                                 : cudaVideoSurfaceFormat_NV12;
    return static_cast<unsigned short>(depth == 8 ? 1u << first : 3u << first);
}

}  // namespace

std::optional<Capability> capability(const Gpu& gpu, cudaVideoCodec codec, cudaVideoChromaFormat chroma,
                                     unsigned bit_depth) {
    const Row* row = row_of(codec);
    const Generation generation = generation_of(gpu);
    if (row == nullptr || gpu.decoders == 0 || !has_video_codec(codec)) return std::nullopt;
    const bool by_name = !gpu.decode_codecs.empty();
    if (by_name ? gpu.decode_codecs.count(row->name) == 0 : generation < row->since) return std::nullopt;
    const bool a100 = gpu.compute_major == 8 && gpu.compute_minor == 0;  // the one of its generation without AV1
    if (!by_name && codec == cudaVideoCodec_AV1 && a100) return std::nullopt;
    if (!takes_depth(codec, generation, bit_depth) || !takes_chroma(codec, generation, chroma)) return std::nullopt;
    Capability found{row->max_width, row->max_height, row->max_macroblocks,
                     row->min_width, row->min_height, formats_for(codec, chroma, bit_depth)};
    if (gpu.decode_max_width != 0) found.max_width = std::min<unsigned>(found.max_width, gpu.decode_max_width);
    if (gpu.decode_max_height != 0) found.max_height = std::min<unsigned>(found.max_height, gpu.decode_max_height);
    return found;
}

const char* name_of(cudaVideoCodec codec) {
    const Row* row = row_of(codec);
    return row == nullptr ? "" : row->name;
}

}  // namespace nvsim::decode
