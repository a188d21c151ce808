#include "decode/units.hpp"

namespace nvsim::decode {
namespace {

class AsGiven final : public UnitMaker {
   public:
    Bytes unit(const CUVIDPICPARAMS& picture) override { return given(picture); }
};

}  // namespace

Bytes given(const CUVIDPICPARAMS& picture) {
    return {picture.pBitstreamData, picture.pBitstreamData + picture.nBitstreamDataLen};
}

int first_code(const CUVIDPICPARAMS& picture) {
    const uint8_t* data = picture.pBitstreamData;
    for (unsigned i = 0; i + 3 < picture.nBitstreamDataLen && i < 4; ++i)
        if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1) return data[i + 3];
    return -1;
}

std::vector<Bytes> nal_units(const CUVIDPICPARAMS& picture) {
    const uint8_t* data = picture.pBitstreamData;
    const size_t size = picture.nBitstreamDataLen;
    std::vector<Bytes> units;
    size_t begin = size;
    for (size_t i = 0; i + 3 <= size; ++i) {
        if (data[i] != 0 || data[i + 1] != 0 || data[i + 2] != 1) continue;
        if (begin < i) units.emplace_back(data + begin, data + i);
        begin = i + 3;
        i += 2;
    }
    if (begin < size) units.emplace_back(data + begin, data + size);
    for (Bytes& unit : units)
        while (!unit.empty() && unit.back() == 0) unit.pop_back();
    return units;
}

std::unique_ptr<UnitMaker> make_units(cudaVideoCodec codec, const CUVIDDECODECREATEINFO& info) {
    switch (codec) {
        case cudaVideoCodec_H264: return make_h264_units(info);
        case cudaVideoCodec_HEVC: return make_hevc_units(info);
        case cudaVideoCodec_MPEG1:
        case cudaVideoCodec_MPEG2: return make_mpeg2_units(info);
        // The others' pictures come with their headers, or not at all.
        default: return std::make_unique<AsGiven>();
    }
}

}  // namespace nvsim::decode
