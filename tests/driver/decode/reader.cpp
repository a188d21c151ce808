#include "decode/reader.hpp"

namespace nvsim::decode {

std::unique_ptr<StreamReader> make_reader(cudaVideoCodec codec, ReaderSink& sink) {
    switch (codec) {
        case cudaVideoCodec_H264: return make_h264_reader(sink);
        default: return nullptr;
    }
}

}  // namespace nvsim::decode
