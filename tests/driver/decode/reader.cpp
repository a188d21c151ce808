#include "decode/reader.hpp"

namespace nvsim::decode {

std::unique_ptr<StreamReader> make_reader(cudaVideoCodec codec, ReaderSink& sink) {
    switch (codec) {
        case cudaVideoCodec_H264: return make_h264_reader(sink);
        case cudaVideoCodec_HEVC: return make_hevc_reader(sink);
        case cudaVideoCodec_AV1: return make_av1_reader(sink);
        case cudaVideoCodec_VP8: return make_vp8_reader(sink);
        case cudaVideoCodec_VP9: return make_vp9_reader(sink);
        case cudaVideoCodec_MPEG1:
        case cudaVideoCodec_MPEG2: return make_mpeg2_reader(sink, codec);
        case cudaVideoCodec_MPEG4: return make_mpeg4_reader(sink);
        case cudaVideoCodec_VC1: return make_vc1_reader(sink);
        case cudaVideoCodec_JPEG: return make_jpeg_reader(sink);
        default: return nullptr;
    }
}

}  // namespace nvsim::decode
