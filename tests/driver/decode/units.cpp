#include "decode/units.hpp"

#include "decode/entry.hpp"

namespace nvsim::decode {
namespace {

class AsGiven final : public UnitMaker {
   public:
    Bytes unit(const CUVIDPICPARAMS& picture) override { return given(picture); }
};

// Only pictures with their headers: what our parser puts out.
class WithHeaders final : public UnitMaker {
   public:
    explicit WithHeaders(bool (*has_headers)(const CUVIDPICPARAMS&)) : has_headers_(has_headers) {}
    Bytes unit(const CUVIDPICPARAMS& picture) override {
        if (!has_headers_(picture)) throw Refusal{Status::not_supported};
        return given(picture);
    }

   private:
    bool (*const has_headers_)(const CUVIDPICPARAMS&);
};

bool begins_with_sequence(const CUVIDPICPARAMS& picture) {  // of AV1
    constexpr uint8_t sequence_with_size = 1 << 3 | 2;
    return picture.pBitstreamData[0] == sequence_with_size;
}

bool begins_with_sequence_of_vc1(const CUVIDPICPARAMS& picture) {
    constexpr int sequence = 0x0f;
    return first_code(picture) == sequence;
}

bool begins_with_layer(const CUVIDPICPARAMS& picture) {  // of MPEG-4, after what stands above it
    const int code = first_code(picture);
    return code >= 0 && code != 0xb6;
}

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
        case cudaVideoCodec_AV1: return std::make_unique<WithHeaders>(begins_with_sequence);
        case cudaVideoCodec_VC1: return std::make_unique<WithHeaders>(begins_with_sequence_of_vc1);
        case cudaVideoCodec_MPEG4: return std::make_unique<WithHeaders>(begins_with_layer);
        // The others' pictures have no other headers than their own.
        default: return std::make_unique<AsGiven>();
    }
}

}  // namespace nvsim::decode
