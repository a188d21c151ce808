// MPEG-1's and MPEG-2's headers, written again from CUVIDMPEG2PICPARAMS.
#include "common/bits.hpp"
#include "decode/h264_headers.hpp"
#include "decode/start_codes.hpp"
#include "decode/units.hpp"

namespace nvsim::decode {
namespace {

constexpr uint8_t kPicture = 0x00, kFirstSlice = 0x01, kLastSlice = 0xaf, kSequence = 0xb3, kExtension = 0xb5;

void append_header(Bytes& out, uint8_t code, const Bytes& payload) {
    out.insert(out.end(), {0, 0, 1, code});
    out.insert(out.end(), payload.begin(), payload.end());
}

class Mpeg2Units final : public UnitMaker {
   public:
    explicit Mpeg2Units(const CUVIDDECODECREATEINFO& info)
        : mpeg2_(info.CodecType == cudaVideoCodec_MPEG2), chroma_(info.ChromaFormat) {}

    Bytes unit(const CUVIDPICPARAMS& picture) override {
        const int code = first_code(picture);
        if (code < kFirstSlice || code > kLastSlice) return given(picture);
        const CUVIDMPEG2PICPARAMS& params = picture.CodecSpecific.mpeg2;
        constexpr int intra = 1;
        Bytes unit;
        if (params.picture_coding_type == intra && picture.second_field == 0) append_sequence(unit, picture, params);
        append_header(unit, kPicture, picture_header(params));
        if (mpeg2_) append_header(unit, kExtension, picture_extension(picture, params));
        const Bytes slices = given(picture);
        unit.insert(unit.end(), slices.begin(), slices.end());
        return unit;
    }

   private:
    void append_sequence(Bytes& unit, const CUVIDPICPARAMS& picture, const CUVIDMPEG2PICPARAMS& params) const {
        const auto width = static_cast<uint32_t>(picture.PicWidthInMbs) * 16,
                   height = static_cast<uint32_t>(picture.FrameHeightInMbs) * 16;
        constexpr uint32_t square = 1, fps25 = 3, most = 0x3ffff;
        BitWriter out;
        out.bits(width, 12);
        out.bits(height, 12);
        out.bits(square, 4);
        out.bits(fps25, 4);
        out.bits(most, 18);
        out.bit(1);
        out.bits(0x3ff, 10);
        out.bit(0);
        for (const unsigned char* matrix : {params.QuantMatrixIntra, params.QuantMatrixInter}) {
            out.bit(1);
            for (const int at : h264::zigzag8) out.bits(matrix[at], 8);
        }
        append_header(unit, kSequence, out.align());
        if (!mpeg2_) return;
        BitWriter extension;
        extension.bits(1, 4);
        extension.bits(0x14, 8);
        extension.bit(picture.FrameHeightInMbs % 2 != 0);  // fields need an even number of rows
        extension.bits(chroma_, 2);
        extension.bits(width >> 12, 2);
        extension.bits(height >> 12, 2);
        extension.bits(0, 12);
        extension.bit(1);
        extension.bits(0, 8);
        extension.bits(0, 8);
        append_header(unit, kExtension, extension.align());
    }

    Bytes picture_header(const CUVIDMPEG2PICPARAMS& params) const {
        constexpr int forward = 2, both = 3;
        BitWriter out;
        out.bits(0, 10);
        out.bits(static_cast<uint32_t>(params.picture_coding_type), 3);
        out.bits(0xffff, 16);
        const auto vector = [&](int full, int code) {
            out.bit(mpeg2_ ? 0 : full != 0);
            out.bits(mpeg2_ ? 7 : static_cast<uint32_t>(code), 3);
        };
        if (params.picture_coding_type >= forward) vector(params.full_pel_forward_vector, params.f_code[0]);
        if (params.picture_coding_type == both) vector(params.full_pel_backward_vector, params.f_code[2]);
        out.bit(0);
        return out.align();
    }

    static Bytes picture_extension(const CUVIDPICPARAMS& picture, const CUVIDMPEG2PICPARAMS& params) {
        constexpr uint32_t frame = 3, top = 1, bottom = 2;
        BitWriter out;
        out.bits(8, 4);
        for (const int code : params.f_code) out.bits(static_cast<uint32_t>(code), 4);
        out.bits(static_cast<uint32_t>(params.intra_dc_precision), 2);
        out.bits(picture.field_pic_flag == 0 ? frame : picture.bottom_field_flag != 0 ? bottom : top, 2);
        for (const int flag : {params.top_field_first, params.frame_pred_frame_dct, params.concealment_motion_vectors,
                               params.q_scale_type, params.intra_vlc_format, params.alternate_scan})
            out.bit(flag != 0);
        out.bits(0, 4);  // no repeated field, not progressive, no composite display
        return out.align();
    }

    const bool mpeg2_;
    const uint32_t chroma_;
};

}  // namespace

std::unique_ptr<UnitMaker> make_mpeg2_units(const CUVIDDECODECREATEINFO& info) {
    return std::make_unique<Mpeg2Units>(info);
}

}  // namespace nvsim::decode
