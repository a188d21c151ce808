#include "abi/picture_surfaces.hpp"

#include "nvcuvid_13_0.hpp"

namespace pdum::nvenc {
namespace {

class Renaming {
   public:
    explicit Renaming(const std::vector<int>& names) : names_(names) {}

    // Numbers of "no surface" (-1, or 255 in a byte) are beyond all names.
    template <typename Number>
    void operator()(Number& surface) const {
        const auto place = static_cast<size_t>(surface);
        if (place < names_.size() && names_[place] >= 0) surface = static_cast<Number>(names_[place]);
    }

    template <typename Parameters>
    void both_ways(Parameters& parameters) const {
        (*this)(parameters.ForwardRefIdx);
        (*this)(parameters.BackwardRefIdx);
    }

    template <typename Parameters>
    void of_vp(Parameters& parameters) const {
        (*this)(parameters.LastRefIdx);
        (*this)(parameters.GoldenRefIdx);
        (*this)(parameters.AltRefIdx);
    }

    void of_h264(cuvid::CUVIDH264PICPARAMS& parameters) const {
        for (auto& entry : parameters.dpb) (*this)(entry.PicIdx);
    }

    void of_hevc(cuvid::CUVIDHEVCPICPARAMS& parameters) const {
        for (int& surface : parameters.RefPicIdx) (*this)(surface);
    }

    void of_av1(cuvid::CUVIDAV1PICPARAMS& parameters) const {
        (*this)(parameters.decodePicIdx);
        for (unsigned char& surface : parameters.ref_frame_map) (*this)(surface);
        for (auto& reference : parameters.ref_frame) (*this)(reference.index);
    }

   private:
    const std::vector<int>& names_;
};

}  // namespace

int second_surface(DecodeCodec codec, const void* parameters) {
    const auto& picture = *static_cast<const cuvid::CUVIDPICPARAMS*>(parameters);
    if (codec != DecodeCodec::av1 || picture.CodecSpecific.av1.apply_grain == 0) return -1;
    const int other = picture.CodecSpecific.av1.decodePicIdx;  // without grain, for later pictures to refer to
    return other != picture.CurrPicIdx ? other : -1;
}

bool is_intra(DecodeCodec codec, const void* parameters) {
    constexpr int key = 0;
    const auto& picture = *static_cast<const cuvid::CUVIDPICPARAMS*>(parameters);
    if (picture.intra_pic_flag != 0) return true;
    if (codec == DecodeCodec::vp9) return picture.CodecSpecific.vp9.frameType == key;
    return codec == DecodeCodec::av1 && picture.CodecSpecific.av1.frame_type == key;
}

void rename_surfaces(DecodeCodec codec, void* parameters, const std::vector<int>& names) {
    auto& picture = *static_cast<cuvid::CUVIDPICPARAMS*>(parameters);
    auto& specific = picture.CodecSpecific;
    const Renaming rename(names);
    rename(picture.CurrPicIdx);
    switch (codec) {
        case DecodeCodec::mpeg1:
        case DecodeCodec::mpeg2: return rename.both_ways(specific.mpeg2);
        case DecodeCodec::mpeg4: return rename.both_ways(specific.mpeg4);
        case DecodeCodec::vc1: return rename.both_ways(specific.vc1);
        case DecodeCodec::h264: return rename.of_h264(specific.h264);
        case DecodeCodec::hevc: return rename.of_hevc(specific.hevc);
        case DecodeCodec::vp8: return rename.of_vp(specific.vp8);
        case DecodeCodec::vp9: return rename.of_vp(specific.vp9);
        case DecodeCodec::av1: return rename.of_av1(specific.av1);
        case DecodeCodec::mjpeg: return;
    }
}

}  // namespace pdum::nvenc
