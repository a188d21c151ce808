// What the interfaces from 13.0 on have in common and 12.1 lacks. Included inside the namespace of each.

inline NV_ENC_TUNING_INFO ultra_high_quality() { return NV_ENC_TUNING_INFO_ULTRA_HIGH_QUALITY; }
inline GUID h264_high10() { return NV_ENC_H264_PROFILE_HIGH_10_GUID; }
inline GUID h264_high422() { return NV_ENC_H264_PROFILE_HIGH_422_GUID; }
inline NV_ENC_BUFFER_FORMAT format_nv16() { return NV_ENC_BUFFER_FORMAT_NV16; }
inline NV_ENC_BUFFER_FORMAT format_p210() { return NV_ENC_BUFFER_FORMAT_P210; }
inline uint32_t split_in_four() { return NV_ENC_SPLIT_FOUR_FORCED_MODE; }

inline NV_ENC_BIT_DEPTH depth(int bits) { return bits == 10 ? NV_ENC_BIT_DEPTH_10 : NV_ENC_BIT_DEPTH_8; }

template <typename CodecConfig>
void set_bit_depths(CodecConfig& config, int input, int output) {
    config.inputBitDepth = depth(input);
    config.outputBitDepth = depth(output);
}

template <typename CodecConfig>
void set_temporal_filter(CodecConfig& config, uint32_t level) {
    config.tfLevel = static_cast<NV_ENC_TEMPORAL_FILTER_LEVEL>(level);
}

template <typename CodecConfig>
void set_hdr_output(CodecConfig& config, const Settings& settings) {
    config.outputMasteringDisplay = settings.mastering_display.has_value();
    config.outputMaxCll = settings.content_light.has_value();
}

// HDR's static metadata as the driver reads it. Pictures point to it, and the driver may look at it as long as they are
// in flight, so it must live as long as the session.
class HdrFields {
   public:
    static bool has(Codec codec) { return codec != Codec::h264; }

    void set(const Settings& settings) {
        display_.reset();
        light_.reset();
        if (const auto& display = settings.mastering_display) {
            display_ = MASTERING_DISPLAY_INFO{point(display->green), point(display->blue),   point(display->red),
                                              point(display->white), display->max_luminance, display->min_luminance};
        }
        if (const auto& light = settings.content_light) light_ = CONTENT_LIGHT_LEVEL{light->max_cll, light->max_fall};
    }

    void point_from(NV_ENC_CODEC_PIC_PARAMS& picture, Codec codec) {
        if (codec == Codec::hevc) point_from(picture.hevcPicParams);
        if (codec == Codec::av1) point_from(picture.av1PicParams);
    }

   private:
    static CHROMA_POINTS point(ChromaPoint point) { return {point.x, point.y}; }

    template <typename CodecPicture>
    void point_from(CodecPicture& picture) {
        picture.pMasteringDisplay = display_ ? &*display_ : nullptr;
        picture.pMaxCll = light_ ? &*light_ : nullptr;
    }

    std::optional<MASTERING_DISPLAY_INFO> display_;
    std::optional<CONTENT_LIGHT_LEVEL> light_;
};

inline void set_deblocking_off(NV_ENC_CONFIG_HEVC& config, bool off) { config.disableDeblockingFilterIDC = off; }

// HEVC and AV1.
template <typename CodecConfig>
void set_layers(CodecConfig& config, const Layers& layers) {
    config.enableTemporalSVC = 1;
    config.numTemporalLayers = layers.count;
    config.maxTemporalLayersMinus1 = layers.count - 1;
}

inline void set_views(NV_ENC_CONFIG_HEVC& config) {
    config.enableMVHEVC = 1;
    config.numViews = 2;
    config.outputHevc3DReferenceDisplayInfo = 1;
}

// The driver may look at it as long as pictures are in flight. Players learn from it which view is for which eye; the
// width of the display, 0, is unknown. The precision is that of FFmpeg's client.
inline HEVC_3D_REFERENCE_DISPLAY_INFO* left_and_right() {
    static HEVC_3D_REFERENCE_DISPLAY_INFO info = [] {
        auto views = zeroed<HEVC_3D_REFERENCE_DISPLAY_INFO>();
        views.precRefDisplayWidth = 31;
        views.rightViewId[0] = 1;
        return views;
    }();
    return &info;
}

// As FFmpeg's client does it: each view is a picture of its own, the left one first. IDRs tell which is which.
inline void put_view(NV_ENC_PIC_PARAMS_HEVC& picture, const PictureRequest& request) {
    picture.viewId = request.view;
    picture.p3DReferenceDisplayInfo = request.is_idr ? left_and_right() : nullptr;
}

inline void set_lookahead_level(NV_ENC_RC_PARAMS& rate, uint32_t level) {
    rate.lookaheadLevel = static_cast<NV_ENC_LOOKAHEAD_LEVEL>(level);
}

inline void set_unidirectional_b(NV_ENC_INITIALIZE_PARAMS& parameters, bool on) {
    parameters.enableUniDirectionalB = on;
}

inline void leave_out(NV_ENC_TIME_CODE& code) { code.skipClockTimestampInsertion = 1; }

inline PictureType later_picture_type(NV_ENC_PIC_TYPE type) {
    return type == NV_ENC_PIC_TYPE_SWITCH ? PictureType::switch_frame : PictureType::unknown;
}

inline uint32_t satd_of(const NV_ENC_OUTPUT_STATS_BLOCK& unit) { return unit.satdCost; }
