// H.264 by libx264, in the caller's thread and without lookahead. Every picture but a B comes back from the call that
// brought it, together with the B pictures before it, as from the hardware.
//
// With B pictures x264 itself lags by their number, forever: each call takes one picture and gives one. So every
// group of pictures is followed by as many fillers, P pictures that repeat the one before with all macroblocks skipped.
// They push the group out, and when they come out themselves they are left out of the stream: what refers to a filler
// finds the same pixels in the picture that it repeats, once the slices are renumbered as if it had never been.
#if __has_include(<x264.h>)

#include <stdint.h>
#include <x264.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <stdexcept>

#include "common/codec_library.hpp"
#include "encode/codec_backends.hpp"
#include "encode/codec_nal.hpp"
#include "encode/codec_rate.hpp"
#include "encode/codec_x264_settings.hpp"

namespace nvsim {
namespace {

struct X264Api {
    decltype(&x264_param_default_preset) default_preset = nullptr;
    decltype(&x264_param_apply_profile) apply_profile = nullptr;
    decltype(&x264_param_cleanup) param_cleanup = nullptr;
    decltype(&x264_picture_init) picture_init = nullptr;
    decltype(&x264_encoder_open) open = nullptr;
    decltype(&x264_encoder_close) close = nullptr;
    decltype(&x264_encoder_headers) headers = nullptr;
    decltype(&x264_encoder_encode) encode = nullptr;
    decltype(&x264_encoder_delayed_frames) delayed_frames = nullptr;
    decltype(&x264_encoder_invalidate_reference) invalidate_reference = nullptr;

    X264Api() {
        const CodecLibrary library("libx264.so." + std::to_string(X264_BUILD));
        library.load(default_preset, "x264_param_default_preset");
        library.load(apply_profile, "x264_param_apply_profile");
        library.load(param_cleanup, "x264_param_cleanup");
        library.load(picture_init, "x264_picture_init");
        library.load(open, "x264_encoder_open_" + std::to_string(X264_BUILD));
        library.load(close, "x264_encoder_close");
        library.load(headers, "x264_encoder_headers");
        library.load(encode, "x264_encoder_encode");
        library.load(delayed_frames, "x264_encoder_delayed_frames");
        library.load(invalidate_reference, "x264_encoder_invalidate_reference");
    }

    static const X264Api& get() {
        static const X264Api api;
        return api;
    }
};

class ParamOwner {
   public:
    explicit ParamOwner(const X264Api& api) : api_(api) {
        if (api_.default_preset(&param, "superfast", "zerolatency") < 0)
            throw std::runtime_error("x264 does not know its own preset");
    }
    ~ParamOwner() { api_.param_cleanup(&param); }
    ParamOwner(const ParamOwner&) = delete;
    ParamOwner& operator=(const ParamOwner&) = delete;

    x264_param_t param{};

   private:
    const X264Api& api_;
};

int to_x264(PictureType type) {
    switch (type) {
        case PictureType::idr: return X264_TYPE_IDR;
        case PictureType::i: return X264_TYPE_I;
        case PictureType::b: return X264_TYPE_B;
        case PictureType::p: break;
    }
    return X264_TYPE_P;
}

PictureType from_x264(int type) {
    if (type == X264_TYPE_IDR) return PictureType::idr;
    if (type == X264_TYPE_I) return PictureType::i;
    return type == X264_TYPE_P ? PictureType::p : PictureType::b;
}

class X264Coder final : public PictureCoder {
   public:
    explicit X264Coder(const StreamSettings& settings)
        : api_(X264Api::get()), settings_(settings), rate_(settings), config_(api_) {
        x264_param_t& param = config_.param;
        unchanged_.assign(macroblocks(settings_.format), X264_MBINFO_CONSTANT);
        set_format(param, settings_);
        set_structure(param, settings_);
        set_tools(param, settings_);
        set_rates(param, settings_);
        by_first_field_ = {param, param};
        by_first_field_[1].b_tff = 0;
        if (api_.apply_profile(&param, profile_name(settings_)) < 0)
            throw std::runtime_error(std::string("x264 refuses profile ") + profile_name(settings_));
        encoder_ = {api_.open(&param), api_.close};
        if (!encoder_) throw std::runtime_error("x264 refuses the settings");
        writer_ = std::make_unique<AccessUnitWriter>(settings_, read_parameter_sets());
    }

    std::vector<uint8_t> headers() override { return writer_->headers(); }

    void encode(Picture picture, std::vector<AccessUnit>& out) override {
        check_picture(picture, settings_.format);
        display_index_ = picture.type == PictureType::idr ? 0 : display_index_ + 1;
        const bool ends_group = picture.type != PictureType::b;
        forget(picture.invalidated);
        forget_upper_layers(picture);
        if (picture.structure > 1) first_field_ = picture.structure == kBottomFirst ? 1 : 0;
        x264_picture_t input = describe(picture.pixels);
        remember(picture.serial, input.i_pts);
        input.i_type = to_x264(picture.type);
        if (!settings_.lossless)
            input.i_qpplus1 = std::max(1, quantiser(picture.type)) + quantiser_offset(settings_.format) + 1;
        if (!picture.offsets.empty()) input.prop.quant_offsets = picture.offsets.data();  // read in the call
        const std::vector<float> offsets = std::move(picture.offsets);
        const std::vector<uint8_t> pixels = std::move(picture.pixels);  // they stay where they are in memory
        // x264 counts from the field that comes first, and the header has the number of the top field.
        const uint32_t poc = 2 * display_index_ + (settings_.tools.interlaced ? first_field_ : 0);
        waiting_.emplace(input.i_pts, Waiting{std::move(picture), poc, false});
        run(&input, out);
        for (int i = 0; ends_group && i < settings_.b_frames; ++i) push_filler(pixels, out);
    }

    void flush(std::vector<AccessUnit>& out) override {
        while (api_.delayed_frames(encoder_.get()) > 0)
            if (!run(nullptr, out)) break;
    }

    bool reconfigure(const StreamSettings& settings) override {
        const bool same_fps =
            settings.fps_numerator == settings_.fps_numerator && settings.fps_denominator == settings_.fps_denominator;
        if (!same_fps || settings.lossless != settings_.lossless) return false;
        settings_ = settings;
        rate_.change(settings);
        return true;
    }

   private:
    static constexpr int kBottomFirst = 3;  // NV_ENC_PIC_STRUCT_FIELD_BOTTOM_TOP

    struct Waiting {
        Picture picture;  // without its pixels, of which x264 takes a copy
        uint32_t poc = 0;
        bool filler = false;
    };

    NalUnits read_parameter_sets() {
        x264_nal_t* nals = nullptr;
        int count = 0;
        const int size = api_.headers(encoder_.get(), &nals, &count);
        if (size <= 0) throw std::runtime_error("x264 gives no parameter sets");
        NalUnits sets = split_annex_b(nals[0].p_payload, static_cast<size_t>(size));
        numbering_ = h264_numbering(sets.at(0));
        return sets;
    }

    x264_picture_t describe(const std::vector<uint8_t>& pixels) {
        const PlaneLayout layout = plane_layout(settings_.format);
        x264_picture_t input;
        api_.picture_init(&input);
        input.img.i_csp = colour_space(settings_);
        input.img.i_plane = settings_.tools.monochrome ? 1 : 3;
        for (int plane = 0; plane < 3; ++plane) {
            input.img.plane[plane] = const_cast<uint8_t*>(pixels.data()) + layout.offset[plane];  // only read
            input.img.i_stride[plane] = layout.stride[plane];
        }
        input.i_pts = next_pts_++;
        if (settings_.tools.interlaced) input.param = &by_first_field_[first_field_];
        return input;
    }

    // x264 knows pictures by their pts, and no longer refers to those from one on. It cannot do that with B pictures.
    void forget(const std::vector<uint64_t>& serials) {
        for (const uint64_t serial : serials) {
            const auto found = pts_.find(serial);
            if (found != pts_.end() && settings_.b_frames == 0)
                api_.invalidate_reference(encoder_.get(), found->second);
        }
    }

    // Those since the one that the picture refers to: no picture after it refers to them either.
    void forget_upper_layers(const Picture& picture) {
        const auto distance = static_cast<int64_t>(picture.place.distance);
        if (settings_.layers.count > 1 && distance > 1 && picture.type != PictureType::idr)
            api_.invalidate_reference(encoder_.get(), next_pts_ - distance + 1);
    }

    void remember(uint64_t serial, int64_t pts) {
        constexpr size_t most = 64;
        if (pts_.size() == most) pts_.erase(pts_.begin());
        pts_.emplace(serial, pts);
    }

    int quantiser(PictureType type) const {
        if (settings_.rate_control == RateControl::constqp) return qp_of(settings_, type);
        return bounded(settings_, type,
                       wants_constant_quality(settings_) ? quality_quantiser(settings_, type) : rate_.quantiser(type));
    }

    void push_filler(const std::vector<uint8_t>& pixels, std::vector<AccessUnit>& out) {
        x264_picture_t input = describe(pixels);
        input.i_type = X264_TYPE_P;
        input.i_qpplus1 = settings_.lossless ? X264_QP_AUTO : kLastQuantiser + quantiser_offset(settings_.format) + 1;
        input.prop.mb_info = unchanged_.data();
        waiting_.emplace(input.i_pts, Waiting{{}, 0, true});
        run(&input, out);
    }

    bool run(x264_picture_t* input, std::vector<AccessUnit>& out) {
        x264_nal_t* nals = nullptr;
        int count = 0;
        x264_picture_t coded;
        const int size = api_.encode(encoder_.get(), &nals, &count, input, &coded);
        if (size < 0) throw std::runtime_error("x264 failed to encode a picture");
        if (size == 0) return false;
        const auto found = waiting_.find(coded.i_pts);
        if (found == waiting_.end()) throw std::runtime_error("x264 gave a picture that it was not given");
        const Waiting waiting = std::move(found->second);
        waiting_.erase(found);
        if (coded.i_type == X264_TYPE_IDR) left_out_ = 0;
        if (waiting.filler)
            ++left_out_;
        else
            out.push_back(finish(waiting, coded, split_annex_b(nals[0].p_payload, static_cast<size_t>(size))));
        if (settings_.reconstructions && !waiting.filler)
            out.back().reconstruction =
                gather_planes(settings_.format, coded.img.plane, coded.img.i_stride, settings_.format.chroma < 3);
        return true;
    }

    AccessUnit finish(const Waiting& waiting, const x264_picture_t& coded, NalUnits nals) {
        if (left_out_ > 0 || settings_.b_frames > 0)
            for (Bytes& nal : nals)
                if (is_slice(Codec::h264, nal)) nal = renumber_h264_slice(nal, numbering_, left_out_, waiting.poc);
        AccessUnit unit;
        unit.serial = waiting.picture.serial;
        unit.type = from_x264(coded.i_type);
        unit.average_qp = std::max(0, coded.i_qpplus1 - 1 - quantiser_offset(settings_.format));
        unit.data = writer_->write(nals, unit.type, waiting.picture.output_headers, waiting.picture.sei,
                                   waiting.picture.place.layer);
        rate_.coded(unit.type, unit.average_qp, unit.data.size());
        writer_->fill(unit.data);
        return unit;
    }

    const X264Api& api_;
    StreamSettings settings_;
    RateKeeper rate_;
    ParamOwner config_;
    std::unique_ptr<x264_t, void (*)(x264_t*)> encoder_{nullptr, nullptr};
    std::unique_ptr<AccessUnitWriter> writer_;
    H264Numbering numbering_;
    std::vector<uint8_t> unchanged_;  // for each macroblock that it is as in the picture before
    std::map<int64_t, Waiting> waiting_;
    std::map<uint64_t, int64_t> pts_;               // of the last pictures, by their serials
    std::array<x264_param_t, 2> by_first_field_{};  // the same, with the top field first and with the bottom one
    uint32_t first_field_ = 0;
    int64_t next_pts_ = 0;
    uint32_t display_index_ = 0;  // since the last IDR
    uint32_t left_out_ = 0;       // fillers since the last IDR
};

}  // namespace

void open_x264() { X264Api::get(); }

std::unique_ptr<PictureCoder> make_x264_coder(const StreamSettings& settings) {
    return std::make_unique<X264Coder>(settings);
}

}  // namespace nvsim

#else

#include <stdexcept>

#include "encode/codec_backends.hpp"

namespace nvsim {

void open_x264() {
    throw std::runtime_error("the simulator was built without x264.h (Debian: libx264-dev): no real H.264");
}

std::unique_ptr<PictureCoder> make_x264_coder(const StreamSettings&) {
    open_x264();
    return nullptr;
}

}  // namespace nvsim

#endif
