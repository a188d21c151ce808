// HEVC by libx265, one frame thread and no thread pool. Every picture but a B comes back from the call that brought it,
// together with the B pictures before it.
#if __has_include(<x265.h>)

#include <x265.h>

#include <algorithm>
#include <climits>
#include <map>
#include <mutex>
#include <stdexcept>

#include "common/codec_library.hpp"
#include "encode/codec_backends.hpp"
#include "encode/codec_layers.hpp"
#include "encode/codec_nal.hpp"
#include "encode/codec_rate.hpp"

namespace nvsim {
namespace {

const x265_api& api_for(int bit_depth) {
    static const CodecLibrary library("libx265.so." + std::to_string(X265_BUILD));
    const x265_api* (*get)(int) = nullptr;
    library.load(get, "x265_api_get_" + std::to_string(X265_BUILD));
    const x265_api* api = get(bit_depth);
    if (api == nullptr) throw std::runtime_error("this x265 cannot code " + std::to_string(bit_depth) + " bits");
    return *api;
}

// x265 builds tables that all encoders share when one is opened.
std::mutex& open_close_lock() {
    static std::mutex lock;
    return lock;
}

void set_format(x265_param& param, const StreamSettings& settings) {
    const PictureFormat& format = settings.format;
    param.sourceWidth = format.width;
    param.sourceHeight = format.height;
    param.internalCsp = settings.tools.monochrome ? X265_CSP_I400
                        : format.chroma == 3      ? X265_CSP_I444
                        : format.chroma == 2      ? X265_CSP_I422
                                                  : X265_CSP_I420;
    param.internalBitDepth = param.sourceBitDepth = format.bit_depth;
    param.fpsNum = settings.fps_numerator;
    param.fpsDenom = settings.fps_denominator;
    param.bEmitVUITimingInfo = 1;  // its VUI is not a legal one without; see rewrite_hevc_sps
}

void set_colour(x265_param& param, const ColourDescription& colour) {
    param.vui.bEnableVideoSignalTypePresentFlag = colour.signal_type_present ? 1 : 0;
    param.vui.videoFormat = colour.video_format;
    param.vui.bEnableVideoFullRangeFlag = colour.full_range ? 1 : 0;
    param.vui.bEnableColorDescriptionPresentFlag = colour.description_present ? 1 : 0;
    param.vui.colorPrimaries = colour.primaries;
    param.vui.transferCharacteristics = colour.transfer;
    param.vui.matrixCoeffs = colour.matrix;
}

// Picture types are the front's alone; x265 would turn an I picture this long after the last IDR into another IDR.
void set_structure(x265_param& param, const StreamSettings& settings) {
    param.numaPools = settings.slices > 1 ? "1" : "none";
    param.frameNumThreads = 1;
    param.bEnableWavefront = settings.slices > 1 ? 1 : 0;  // which several slices need, and a thread pool
    param.lookaheadThreads = 0;
    param.lookaheadSlices = 0;
    param.scenecutThreshold = 0;
    param.bHistBasedSceneCut = 0;
    param.keyframeMin = param.keyframeMax = INT_MAX;
    param.bOpenGOP = 0;
    param.bframes = settings.b_frames;
    param.bFrameAdaptive = X265_B_ADAPT_NONE;
    param.bBPyramid = settings.b_reference_mode != 0 ? 1 : 0;
    param.lookaheadDepth = settings.b_frames > 0 ? settings.b_frames + 1 : 0;
    param.maxNumReferences = 1;
    param.bEnableWeightedPred = param.bEnableWeightedBiPred = 0;
    param.maxSlices = static_cast<unsigned>(std::max(1, settings.slices));
}

void set_tools(x265_param& param, const CodingTools& tools) {
    param.bEnableLoopFilter = tools.deblocking == 1 ? 0 : 1;
    param.bEnableConstrainedIntra = tools.constrained_intra ? 1 : 0;
    param.cbQpOffset = tools.cb_offset;
    param.crQpOffset = tools.cr_offset;
    if (tools.aspect_width == tools.aspect_height) return;
    constexpr int kExtended = 255;  // told in two numbers
    param.vui.aspectRatioIdc = kExtended;
    param.vui.sarWidth = static_cast<int>(tools.aspect_width);
    param.vui.sarHeight = static_cast<int>(tools.aspect_height);
}

void set_output(x265_param& param) {
    param.logLevel = X265_LOG_NONE;
    param.bRepeatHeaders = 0;
    param.bEmitInfoSEI = 0;
    param.bEnableAccessUnitDelimiters = 0;
    param.bAnnexB = 1;
    param.bEmitHRDSEI = 0;
    param.decodedPictureHashSEI = 0;
}

// Every picture is given its own quantiser.
void set_rates(x265_param& param, const StreamSettings& settings) {
    param.rc.cuTree = 0;
    param.rc.aqMode = X265_AQ_NONE;
    param.bLossless = settings.lossless ? 1 : 0;
    param.rc.rateControlMode = X265_RC_CQP;
    param.rc.qp = settings.lossless ? 4 : settings.qp_p;
    if (!settings.block_maps || settings.lossless) return;
    // x265 takes offsets of blocks from its adaptive quantisation alone, as x264 does.
    param.rc.rateControlMode = X265_RC_CRF;
    param.rc.rfConstant = settings.qp_p;
    param.rc.aqMode = X265_AQ_VARIANCE;
    param.rc.aqStrength = 1e-4;
}

std::string profile_name(const StreamSettings& settings) {
    const std::string depth = settings.format.bit_depth > 8 ? "10" : "";
    if (settings.format.chroma == 3 || settings.tools.monochrome) return depth.empty() ? "main444-8" : "main444-10";
    if (settings.format.chroma == 2) return "main422-10";
    return settings.profile == "main10" ? "main10" : "main" + depth;
}

int to_x265(PictureType type) {
    switch (type) {
        case PictureType::idr: return X265_TYPE_IDR;
        case PictureType::i: return X265_TYPE_I;
        case PictureType::b: return X265_TYPE_B;
        case PictureType::p: break;
    }
    return X265_TYPE_P;
}

PictureType from_x265(int type) {
    if (type == X265_TYPE_IDR) return PictureType::idr;
    if (type == X265_TYPE_I) return PictureType::i;
    return type == X265_TYPE_P ? PictureType::p : PictureType::b;
}

class X265Coder final : public PictureCoder {
   public:
    explicit X265Coder(const StreamSettings& settings)
        : settings_(settings),
          rate_(settings),
          api_(api_for(settings.format.bit_depth)),
          param_(api_.param_alloc(), api_.param_free) {
        if (!param_ || api_.param_default_preset(param_.get(), "ultrafast", "zerolatency") < 0)
            throw std::runtime_error("x265 does not know its own preset");
        set_format(*param_, settings_);
        set_colour(*param_, settings_.colour);
        set_structure(*param_, settings_);
        set_tools(*param_, settings_.tools);
        set_output(*param_);
        set_rates(*param_, settings_);
        if (api_.param_apply_profile(param_.get(), profile_name(settings_).c_str()) < 0)
            throw std::runtime_error("x265 refuses profile " + profile_name(settings_));
        open();
        writer_ = std::make_unique<AccessUnitWriter>(settings_, read_parameter_sets());
    }

    ~X265Coder() override {
        const std::lock_guard<std::mutex> hold(open_close_lock());
        encoder_.reset();
    }

    std::vector<uint8_t> headers() override { return writer_->headers(); }

    void encode(Picture picture, std::vector<AccessUnit>& out) override {
        check_picture(picture, settings_.format);
        x265_picture input = describe(picture);
        const bool ends_group = picture.type != PictureType::b;
        waiting_.emplace(input.pts, std::move(picture));
        if (holds_back()) rearm();
        run(&input, out);
        if (holds_back() && ends_group)
            flush(out);
        else
            release_copied_pixels(input.pts);
    }

    void flush(std::vector<AccessUnit>& out) override {
        while (!waiting_.empty())
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
    // x265 answers at once only without B pictures and with one slice.
    bool holds_back() const { return settings_.b_frames > 0 || settings_.slices > 1; }

    // After a flush x265 decides on each picture as it comes; this makes it collect groups again.
    void rearm() {
        param_->forceFlush = 1;
        if (api_.encoder_reconfig(encoder_.get(), param_.get()) < 0) throw std::runtime_error("x265 cannot go on");
    }

    // x265 copies what it is given.
    void release_copied_pixels(int64_t pts) {
        const auto found = waiting_.find(pts);
        if (found != waiting_.end()) std::vector<uint8_t>().swap(found->second.pixels);
    }

    void open() {
        const std::lock_guard<std::mutex> hold(open_close_lock());
        encoder_ = {api_.encoder_open(param_.get()), api_.encoder_close};
        if (!encoder_) throw std::runtime_error("x265 refuses the settings");
    }

    NalUnits read_parameter_sets() {
        x265_nal* nals = nullptr;
        uint32_t count = 0;
        if (api_.encoder_headers(encoder_.get(), &nals, &count) <= 0)
            throw std::runtime_error("x265 gives no parameter sets");
        return gather(nals, count);
    }

    static NalUnits gather(const x265_nal* nals, uint32_t count) {
        Bytes stream;
        for (uint32_t i = 0; i < count; ++i)
            stream.insert(stream.end(), nals[i].payload, nals[i].payload + nals[i].sizeBytes);
        return split_annex_b(stream.data(), stream.size());
    }

    NalUnits slices_of(const x265_nal* nals, uint32_t count) const {
        NalUnits units = gather(nals, count);
        if (settings_.layers.count == 1) return units;
        for (Bytes& nal : units)
            if (is_slice(Codec::hevc, nal)) nal = with_hevc_references(nal, settings_);
        return units;
    }

    x265_picture describe(Picture& picture) {
        const PlaneLayout layout = plane_layout(settings_.format);
        x265_picture input;
        api_.picture_init(param_.get(), &input);
        for (int plane = 0; plane < 3; ++plane) {
            input.planes[plane] = picture.pixels.data() + layout.offset[plane];
            input.stride[plane] = layout.stride[plane];
        }
        input.bitDepth = settings_.format.bit_depth;
        input.colorSpace = param_->internalCsp;
        input.sliceType = to_x265(coded_type(picture));
        input.pts = next_pts_++;
        if (!settings_.lossless) input.forceqp = quantiser(picture.type) + 1;
        if (!picture.offsets.empty()) input.quantOffsets = picture.offsets.data();
        return input;
    }

    // x265 cannot be told what to refer to, so only pictures of the highest layer refer to any: to the one before them.
    PictureType coded_type(const Picture& picture) const {
        const bool is_lower = picture.place.layer + 1 < settings_.layers.count;
        return is_lower && picture.type == PictureType::p ? PictureType::i : picture.type;
    }

    int quantiser(PictureType type) const {
        if (settings_.rate_control == RateControl::constqp) return qp_of(settings_, type);
        return bounded(settings_, type,
                       wants_constant_quality(settings_) ? quality_quantiser(settings_, type) : rate_.quantiser(type));
    }

    bool run(x265_picture* input, std::vector<AccessUnit>& out) {
        x265_nal* nals = nullptr;
        uint32_t count = 0;
        x265_picture coded;
        api_.picture_init(param_.get(), &coded);
        const int pictures = api_.encoder_encode(encoder_.get(), &nals, &count, input, &coded);
        if (pictures < 0) throw std::runtime_error("x265 failed to encode a picture");
        if (pictures == 0 || count == 0) return false;
        const auto found = waiting_.find(coded.pts);
        if (found == waiting_.end()) throw std::runtime_error("x265 gave a picture that it was not given");
        AccessUnit unit;
        unit.serial = found->second.serial;
        unit.type = settings_.layers.count > 1 ? found->second.type : from_x265(coded.sliceType);
        unit.average_qp = static_cast<int>(coded.frameData.qp + 0.5);
        unit.data = writer_->write(slices_of(nals, count), unit.type, found->second.output_headers, found->second.sei,
                                   found->second.place.layer);
        waiting_.erase(found);
        if (settings_.reconstructions) {
            uint8_t* planes[3];
            for (int i = 0; i < 3; ++i) planes[i] = static_cast<uint8_t*>(coded.planes[i]);
            unit.reconstruction = gather_planes(settings_.format, planes, coded.stride, false);
        }
        rate_.coded(unit.type, unit.average_qp, unit.data.size());
        writer_->fill(unit.data);
        out.push_back(std::move(unit));
        return true;
    }

    StreamSettings settings_;
    RateKeeper rate_;
    const x265_api& api_;
    std::unique_ptr<x265_param, void (*)(x265_param*)> param_;
    std::unique_ptr<x265_encoder, void (*)(x265_encoder*)> encoder_{nullptr, nullptr};
    std::unique_ptr<AccessUnitWriter> writer_;
    std::map<int64_t, Picture> waiting_;
    int64_t next_pts_ = 0;
};

}  // namespace

void open_x265() { api_for(8); }

std::unique_ptr<PictureCoder> make_x265_coder(const StreamSettings& settings) {
    return std::make_unique<X265Coder>(settings);
}

}  // namespace nvsim

#else

#include <stdexcept>

#include "encode/codec_backends.hpp"

namespace nvsim {

void open_x265() {
    throw std::runtime_error("the simulator was built without x265.h (Debian: libx265-dev): no real HEVC");
}

std::unique_ptr<PictureCoder> make_x265_coder(const StreamSettings&) {
    open_x265();
    return nullptr;
}

}  // namespace nvsim

#endif
