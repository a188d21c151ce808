#include "decode/units.hpp"

namespace nvsim::decode {
namespace {

class AsGiven final : public UnitMaker {
   public:
    Bytes unit(const CUVIDPICPARAMS& picture) override {
        return {picture.pBitstreamData, picture.pBitstreamData + picture.nBitstreamDataLen};
    }
};

}  // namespace

std::unique_ptr<UnitMaker> make_units(cudaVideoCodec, const CUVIDDECODECREATEINFO&) {
    return std::make_unique<AsGiven>();
}

}  // namespace nvsim::decode
