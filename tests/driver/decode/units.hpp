// Makes what a codec reads from what a client hands to cuvidDecodePicture.
#pragma once

#include <memory>
#include <vector>

#include "decode/api.hpp"
#include "decode/bit_reader.hpp"

namespace nvsim::decode {

// A client's picture comes as slices with its parameters in a struct. Our own parser puts the stream's headers before
// the slices; for a client with a parser of its own they are written again from the struct.
class UnitMaker {
   public:
    virtual ~UnitMaker() = default;
    UnitMaker() = default;
    UnitMaker(const UnitMaker&) = delete;
    UnitMaker& operator=(const UnitMaker&) = delete;
    // Throws Refusal if it cannot be done.
    virtual Bytes unit(const CUVIDPICPARAMS& picture) = 0;
};

std::unique_ptr<UnitMaker> make_units(cudaVideoCodec codec, const CUVIDDECODECREATEINFO& info);

std::unique_ptr<UnitMaker> make_h264_units(const CUVIDDECODECREATEINFO& info);
std::unique_ptr<UnitMaker> make_hevc_units(const CUVIDDECODECREATEINFO& info);
std::unique_ptr<UnitMaker> make_mpeg2_units(const CUVIDDECODECREATEINFO& info);

Bytes given(const CUVIDPICPARAMS& picture);
int first_code(const CUVIDPICPARAMS& picture);                // the byte behind the first start code; -1: there is none
std::vector<Bytes> nal_units(const CUVIDPICPARAMS& picture);  // without their start codes

}  // namespace nvsim::decode
