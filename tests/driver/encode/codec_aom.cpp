// AV1 by libaom in its real-time mode: one temporal unit for each picture, in display order. AV1 has no B pictures: one
// that the front calls B predicts from the past alone, and a non-key I becomes a key frame.
#if __has_include(<aom/aomcx.h>)

#include <aom/aom_encoder.h>
#include <aom/aomcx.h>

#include <algorithm>
#include <stdexcept>

#include "common/codec_library.hpp"
#include "encode/codec_backends.hpp"
#include "encode/codec_grain.hpp"
#include "encode/codec_obu.hpp"
#include "encode/codec_rate.hpp"

namespace nvsim {
namespace {

constexpr int kSpeed = 10;  // the fastest of real-time mode

struct AomApi {
    decltype(&::aom_codec_av1_cx) interface = nullptr;
    decltype(&aom_codec_enc_config_default) config_default = nullptr;
    decltype(&aom_codec_enc_init_ver) init = nullptr;
    decltype(&aom_codec_enc_config_set) config_set = nullptr;
    decltype(&::aom_codec_control) control = nullptr;
    decltype(&aom_codec_encode) encode = nullptr;
    decltype(&aom_codec_get_cx_data) get_data = nullptr;
    decltype(&aom_codec_destroy) destroy = nullptr;
    decltype(&aom_codec_err_to_string) error_text = nullptr;
    decltype(&aom_codec_error_detail) error_detail = nullptr;
    decltype(&aom_img_wrap) image_wrap = nullptr;
    decltype(&aom_codec_get_preview_frame) get_preview = nullptr;

    AomApi() {
        const CodecLibrary library("libaom.so.3");
        library.load(interface, "aom_codec_av1_cx");
        library.load(config_default, "aom_codec_enc_config_default");
        library.load(init, "aom_codec_enc_init_ver");
        library.load(config_set, "aom_codec_enc_config_set");
        library.load(control, "aom_codec_control");
        library.load(encode, "aom_codec_encode");
        library.load(get_data, "aom_codec_get_cx_data");
        library.load(destroy, "aom_codec_destroy");
        library.load(error_text, "aom_codec_err_to_string");
        library.load(error_detail, "aom_codec_error_detail");
        library.load(image_wrap, "aom_img_wrap");
        library.load(get_preview, "aom_codec_get_preview_frame");
    }

    static const AomApi& get() {
        static const AomApi api;
        return api;
    }
};

// libaom's own scale of 64 steps for AV1's 256 quantiser indices: fours, and four larger steps at the end.
unsigned quantiser_step(int index) {
    if (index > 252) return 63;
    if (index > 246) return 62;
    return static_cast<unsigned>(std::clamp((index + 2) / 4, 0, 61));
}

aom_img_fmt_t image_format(const PictureFormat& format) {
    const int plain = format.chroma == 3 ? AOM_IMG_FMT_I444 : format.chroma == 2 ? AOM_IMG_FMT_I422 : AOM_IMG_FMT_I420;
    return static_cast<aom_img_fmt_t>(format.bit_depth > 8 ? plain | AOM_IMG_FMT_HIGHBITDEPTH : plain);
}

void set_format(aom_codec_enc_cfg_t& config, const StreamSettings& settings) {
    const PictureFormat& format = settings.format;
    config.g_w = static_cast<unsigned>(format.width);
    config.g_h = static_cast<unsigned>(format.height);
    config.g_profile = format.chroma == 3 ? 1 : format.chroma == 2 ? 2 : 0;
    config.g_bit_depth = format.bit_depth > 8 ? AOM_BITS_10 : AOM_BITS_8;
    config.g_input_bit_depth = static_cast<unsigned>(format.bit_depth);
    config.g_timebase.num = static_cast<int>(settings.fps_denominator);
    config.g_timebase.den = static_cast<int>(settings.fps_numerator);
    config.g_threads = 1;
    config.g_lag_in_frames = 0;
    config.kf_mode = AOM_KF_DISABLED;
}

unsigned log2_of(int count) {
    unsigned log2 = 0;
    while (count >> (log2 + 1) != 0) ++log2;
    return log2;
}

void set_rates(aom_codec_enc_cfg_t& config, const StreamSettings& settings) {
    const Rates rates = rates_of(settings);
    config.rc_min_quantizer = 0;
    config.rc_max_quantizer = settings.lossless ? 0 : 63;
    config.rc_dropframe_thresh = 0;
    if (settings.lossless || settings.rate_control == RateControl::constqp || wants_constant_quality(settings)) {
        config.rc_end_usage = AOM_Q;
        return;
    }
    config.rc_min_quantizer = quantiser_step(*std::min_element(settings.least_qp.begin(), settings.least_qp.end()));
    config.rc_max_quantizer = quantiser_step(*std::max_element(settings.most_qp.begin(), settings.most_qp.end()));
    config.rc_end_usage = settings.rate_control == RateControl::cbr ? AOM_CBR : AOM_VBR;
    config.rc_target_bitrate = static_cast<unsigned>(rates.average);
    config.rc_buf_sz = static_cast<unsigned>(std::max(1, rates.buffer * 1000 / std::max(1, rates.peak)));
    config.rc_buf_initial_sz = config.rc_buf_optimal_sz = config.rc_buf_sz * 3 / 4;
}

// libaom's own handle.
class AomEncoder {
   public:
    AomEncoder(const StreamSettings& settings, const aom_codec_enc_cfg_t& config) : api_(AomApi::get()) {
        const aom_codec_flags_t flags = settings.format.bit_depth > 8 ? AOM_CODEC_USE_HIGHBITDEPTH : 0;
        const aom_codec_err_t status = api_.init(&codec_, api_.interface(), &config, flags, AOM_ENCODER_ABI_VERSION);
        if (status != AOM_CODEC_OK) throw std::runtime_error(describe(status));
        try {
            set_controls(settings);
            if (settings.layers.count > 1) set_layers(settings, config);
            if (settings.film_grain) set_grain(*settings.film_grain);
        } catch (...) {
            api_.destroy(&codec_);
            throw;
        }
    }
    ~AomEncoder() { api_.destroy(&codec_); }
    AomEncoder(const AomEncoder&) = delete;
    AomEncoder& operator=(const AomEncoder&) = delete;

    template <typename Value>
    void control(int id, Value value) {
        check(api_.control(&codec_, id, value));
    }

    bool configure(const aom_codec_enc_cfg_t& config) { return api_.config_set(&codec_, &config) == AOM_CODEC_OK; }

    void set_grain(const FilmGrain& grain) {
        grain_.write(grain);
        control(AV1E_SET_FILM_GRAIN_TABLE, grain_.path());
    }

    // Pictures of each layer but the highest are kept in a place of their own.
    void set_place(const TemporalLayers& layers, const LayerPlace& place) {
        aom_svc_layer_id_t id{0, place.layer};
        control(AV1E_SET_SVC_LAYER_ID, &id);
        aom_svc_ref_frame_config_t references{};
        references.reference[0] = 1;
        for (int& slot : references.ref_idx) slot = place.referred_layer;
        if (place.layer + 1 < layers.count) references.refresh[place.layer] = 1;
        control(AV1E_SET_SVC_REF_FRAME_CONFIG, &references);
    }

    // One temporal unit as libaom writes it.
    Bytes encode(const std::vector<uint8_t>& pixels, const PictureFormat& format, bool key, bool monochrome) {
        aom_image_t image = wrap(pixels, format);
        image.monochrome = monochrome ? 1 : 0;
        check(api_.encode(&codec_, &image, next_pts_++, 1, key ? AOM_EFLAG_FORCE_KF : 0));
        Bytes coded;
        aom_codec_iter_t position = nullptr;
        while (const aom_codec_cx_pkt_t* packet = api_.get_data(&codec_, &position)) {
            if (packet->kind != AOM_CODEC_CX_FRAME_PKT) continue;
            const auto* bytes = static_cast<const uint8_t*>(packet->data.frame.buf);
            coded.insert(coded.end(), bytes, bytes + packet->data.frame.sz);
        }
        if (coded.empty()) throw std::runtime_error("libaom kept a picture back");
        return coded;
    }

    // What a decoder shows for the picture before.
    std::vector<uint8_t> reconstruction(const PictureFormat& format) {
        const aom_image_t* image = api_.get_preview(&codec_);
        if (image == nullptr) throw std::runtime_error("libaom does not show what it coded");
        return gather_planes(format, image->planes, image->stride, false);
    }

   private:
    std::string describe(aom_codec_err_t status) {
        const char* detail = api_.error_detail(&codec_);
        const std::string more = detail != nullptr ? std::string(", ") + detail : "";
        return std::string("libaom: ") + api_.error_text(status) + more;
    }

    void check(aom_codec_err_t status) {
        if (status != AOM_CODEC_OK) throw std::runtime_error(describe(status));
    }

    void set_layers(const StreamSettings& settings, const aom_codec_enc_cfg_t& config) {
        aom_svc_params_t params{};
        params.number_spatial_layers = params.scaling_factor_num[0] = params.scaling_factor_den[0] = 1;
        params.number_temporal_layers = settings.layers.count;
        for (int layer = 0; layer < settings.layers.count; ++layer) {
            params.min_quantizers[layer] = static_cast<int>(config.rc_min_quantizer);
            params.max_quantizers[layer] = static_cast<int>(config.rc_max_quantizer);
            params.layer_target_bitrate[layer] = static_cast<int>(config.rc_target_bitrate) * (layer + 1);
            params.framerate_factor[layer] = 1 << (settings.layers.count - 1 - layer);
        }
        control(AV1E_SET_SVC_PARAMS, &params);
    }

    void set_controls(const StreamSettings& settings) {
        const ColourDescription& colour = settings.colour;
        control(AOME_SET_CPUUSED, kSpeed);
        control(AV1E_SET_AQ_MODE, 0u);
        if (settings.lossless) control(AV1E_SET_LOSSLESS, 1u);
        std::array<int, 2> shown{settings.tools.shown_width, settings.tools.shown_height};
        for (const auto& [id, count] : {std::pair{AV1E_SET_TILE_COLUMNS, settings.tools.tile_columns},
                                        std::pair{AV1E_SET_TILE_ROWS, settings.tools.tile_rows}})
            if (count > 1) control(id, log2_of(count));
        if (shown[0] > 0) control(AV1E_SET_RENDER_SIZE, shown.data());
        if (colour.signal_type_present) control(AV1E_SET_COLOR_RANGE, colour.full_range ? 1 : 0);
        if (!colour.description_present) return;
        control(AV1E_SET_COLOR_PRIMARIES, colour.primaries);
        control(AV1E_SET_TRANSFER_CHARACTERISTICS, colour.transfer);
        control(AV1E_SET_MATRIX_COEFFICIENTS, colour.matrix);
    }

    aom_image_t wrap(const std::vector<uint8_t>& pixels, const PictureFormat& format) {
        auto* start = const_cast<uint8_t*>(pixels.data());  // only read
        const PlaneLayout layout = plane_layout(format);
        aom_image_t image;
        if (api_.image_wrap(&image, image_format(format), static_cast<unsigned>(format.width),
                            static_cast<unsigned>(format.height), 1, start) == nullptr)
            throw std::runtime_error("libaom cannot read this picture format");
        for (int plane = 0; plane < 3; ++plane) {
            image.planes[plane] = start + layout.offset[plane];
            image.stride[plane] = layout.stride[plane];
        }
        return image;
    }

    const AomApi& api_;
    GrainTable grain_;
    aom_codec_ctx_t codec_{};
    aom_codec_pts_t next_pts_ = 0;
};

aom_codec_enc_cfg_t make_config(const StreamSettings& settings) {
    const AomApi& api = AomApi::get();
    aom_codec_enc_cfg_t config;
    if (api.config_default(api.interface(), &config, AOM_USAGE_REALTIME) != AOM_CODEC_OK)
        throw std::runtime_error("libaom has no real-time mode");
    set_format(config, settings);
    config.monochrome = settings.tools.monochrome ? 1 : 0;
    set_rates(config, settings);
    return config;
}

// libaom decides on some tools with the first picture only, and what it calls its global headers is wrong until then.
Bytes try_out_sequence_header(const StreamSettings& settings, const aom_codec_enc_cfg_t& config) {
    AomEncoder encoder(settings, config);
    const std::vector<uint8_t> black(plane_layout(settings.format).size, 0);
    return find_sequence_header(encoder.encode(black, settings.format, true, settings.tools.monochrome));
}

class AomCoder final : public PictureCoder {
   public:
    explicit AomCoder(const StreamSettings& settings)
        : settings_(settings),
          config_(make_config(settings)),
          header_(try_out_sequence_header(settings, config_)),
          encoder_(settings, config_) {}

    std::vector<uint8_t> headers() override { return header_; }

    void encode(Picture picture, std::vector<AccessUnit>& out) override {
        check_picture(picture, settings_.format);
        const bool key = picture.type == PictureType::idr || picture.type == PictureType::i || first_;
        set_quantiser(picture.type);
        if (picture.film_grain) encoder_.set_grain(*picture.film_grain);
        if (settings_.layers.count > 1) encoder_.set_place(settings_.layers, picture.place);
        const Bytes coded = encoder_.encode(picture.pixels, settings_.format, key, settings_.tools.monochrome);
        AccessUnit unit;
        unit.serial = picture.serial;
        unit.type = key ? PictureType::idr : picture.type;
        unit.data = write_temporal_unit(coded, wants_header(picture, key) ? header_ : Bytes{}, picture.sei);
        pad_temporal_unit(unit.data, least_bytes(settings_));
        encoder_.control(AOME_GET_LAST_QUANTIZER, &unit.average_qp);
        if (settings_.reconstructions) unit.reconstruction = encoder_.reconstruction(settings_.format);
        first_ = false;
        out.push_back(std::move(unit));
    }

    void flush(std::vector<AccessUnit>&) override {}

    bool reconfigure(const StreamSettings& settings) override {
        const bool same_rate =
            settings.fps_numerator == settings_.fps_numerator && settings.fps_denominator == settings_.fps_denominator;
        if (!same_rate || settings.rate_control != settings_.rate_control || settings.lossless != settings_.lossless)
            return false;
        set_rates(config_, settings);
        if (!encoder_.configure(config_)) return false;
        settings_ = settings;
        return true;
    }

   private:
    bool wants_header(const Picture& picture, bool key) const {
        return picture.output_headers || (!settings_.omit_headers && key && (first_ || settings_.repeat_headers));
    }

    void set_quantiser(PictureType type) {
        if (settings_.lossless) return;
        if (wants_constant_quality(settings_)) {
            // Clients count to 51 or to 63, libaom to 63.
            encoder_.control(AOME_SET_CQ_LEVEL, static_cast<unsigned>(settings_.constant_quality));
        } else if (settings_.rate_control == RateControl::constqp) {
            const unsigned step = quantiser_step(qp_of(settings_, type));
            if (config_.rc_min_quantizer == step && config_.rc_max_quantizer == step) return;
            config_.rc_min_quantizer = config_.rc_max_quantizer = step;
            if (!encoder_.configure(config_)) throw std::runtime_error("libaom refuses a quantiser");
            encoder_.control(AOME_SET_CQ_LEVEL, step);
        }
    }

    StreamSettings settings_;
    aom_codec_enc_cfg_t config_;
    Bytes header_;
    AomEncoder encoder_;
    bool first_ = true;
};

}  // namespace

void open_aom() { AomApi::get(); }

std::unique_ptr<PictureCoder> make_aom_coder(const StreamSettings& settings) {
    return std::make_unique<AomCoder>(settings);
}

}  // namespace nvsim

#else

#include <stdexcept>

#include "encode/codec_backends.hpp"

namespace nvsim {

void open_aom() {
    throw std::runtime_error("the simulator was built without aom/aomcx.h (Debian: libaom-dev): no real AV1");
}

std::unique_ptr<PictureCoder> make_aom_coder(const StreamSettings&) {
    open_aom();
    return nullptr;
}

}  // namespace nvsim

#endif
