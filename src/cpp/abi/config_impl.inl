// From Settings to the driver's structs, once for every version of the interface. Included inside its namespace.

inline GUID codec_guid(Codec codec) {
    switch (codec) {
        case Codec::h264: return NV_ENC_CODEC_H264_GUID;
        case Codec::hevc: return NV_ENC_CODEC_HEVC_GUID;
        case Codec::av1: return NV_ENC_CODEC_AV1_GUID;
    }
    fail(ErrorKind::invalid_config, "An unknown codec.");
}

inline GUID preset_guid(int preset) {
    const std::array<GUID, 7> presets{NV_ENC_PRESET_P1_GUID, NV_ENC_PRESET_P2_GUID, NV_ENC_PRESET_P3_GUID,
                                      NV_ENC_PRESET_P4_GUID, NV_ENC_PRESET_P5_GUID, NV_ENC_PRESET_P6_GUID,
                                      NV_ENC_PRESET_P7_GUID};
    if (preset < 1 || preset > 7) {
        fail(ErrorKind::invalid_config, "Expected a preset from 1 to 7, got " + std::to_string(preset) + ".");
    }
    return presets[static_cast<size_t>(preset - 1)];
}

// The profile that the stream's samples need; the driver chooses if every profile would do.
inline GUID fitting_profile(const Settings& settings) {
    const bool full_chroma = settings.chroma == Chroma::c444;
    const bool half_chroma = settings.chroma == Chroma::c422;
    const bool deep = settings.bit_depth == 10;
    const bool no_chroma = settings.monochrome.value_or(false);
    if (settings.codec == Codec::h264) {
        if (full_chroma) return NV_ENC_H264_PROFILE_HIGH_444_GUID;
        if (half_chroma) return h264_high422();
        if (deep) return h264_high10();
        if (no_chroma) return NV_ENC_H264_PROFILE_HIGH_GUID;
    }
    if (settings.codec == Codec::hevc) {
        if (full_chroma || half_chroma || no_chroma) return NV_ENC_HEVC_PROFILE_FREXT_GUID;
        if (deep) return NV_ENC_HEVC_PROFILE_MAIN10_GUID;
    }
    return NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID;
}

inline GUID profile_guid(const Settings& settings) {
    switch (settings.profile) {
        case Profile::automatic: return fitting_profile(settings);
        case Profile::h264_baseline: return NV_ENC_H264_PROFILE_BASELINE_GUID;
        case Profile::h264_main: return NV_ENC_H264_PROFILE_MAIN_GUID;
        case Profile::h264_high: return NV_ENC_H264_PROFILE_HIGH_GUID;
        case Profile::h264_high10: return h264_high10();
        case Profile::h264_high422: return h264_high422();
        case Profile::h264_high444: return NV_ENC_H264_PROFILE_HIGH_444_GUID;
        case Profile::hevc_main: return NV_ENC_HEVC_PROFILE_MAIN_GUID;
        case Profile::hevc_main10: return NV_ENC_HEVC_PROFILE_MAIN10_GUID;
        case Profile::hevc_rext: return NV_ENC_HEVC_PROFILE_FREXT_GUID;
        case Profile::av1_main: return NV_ENC_AV1_PROFILE_MAIN_GUID;
    }
    fail(ErrorKind::invalid_config, "An unknown profile.");
}

inline NV_ENC_TUNING_INFO tuning_info(Tuning tuning) {
    switch (tuning) {
        case Tuning::high_quality: return NV_ENC_TUNING_INFO_HIGH_QUALITY;
        case Tuning::low_latency: return NV_ENC_TUNING_INFO_LOW_LATENCY;
        case Tuning::ultra_low_latency: return NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY;
        case Tuning::lossless: return NV_ENC_TUNING_INFO_LOSSLESS;
        case Tuning::ultra_high_quality: return ultra_high_quality();
    }
    fail(ErrorKind::invalid_config, "An unknown tuning.");
}

inline NV_ENC_BUFFER_FORMAT buffer_format(PixelFormat format) {
    switch (format) {
        case PixelFormat::nv12: return NV_ENC_BUFFER_FORMAT_NV12;
        case PixelFormat::p010: return NV_ENC_BUFFER_FORMAT_YUV420_10BIT;
        case PixelFormat::yuv420: return NV_ENC_BUFFER_FORMAT_IYUV;
        case PixelFormat::yuv444: return NV_ENC_BUFFER_FORMAT_YUV444;
        case PixelFormat::yuv444_10: return NV_ENC_BUFFER_FORMAT_YUV444_10BIT;
        case PixelFormat::nv16: return format_nv16();
        case PixelFormat::p210: return format_p210();
        case PixelFormat::argb: return NV_ENC_BUFFER_FORMAT_ARGB;
        case PixelFormat::abgr: return NV_ENC_BUFFER_FORMAT_ABGR;
        case PixelFormat::ayuv: return NV_ENC_BUFFER_FORMAT_AYUV;
        case PixelFormat::argb10: return NV_ENC_BUFFER_FORMAT_ARGB10;
        case PixelFormat::abgr10: return NV_ENC_BUFFER_FORMAT_ABGR10;
    }
    fail(ErrorKind::invalid_config, "An unknown picture format.");
}

inline uint32_t chroma_format_idc(Chroma chroma) {
    switch (chroma) {
        case Chroma::c420: return 1;
        case Chroma::c422: return 2;
        case Chroma::c444: return 3;
    }
    fail(ErrorKind::invalid_config, "An unknown chroma format.");
}

inline uint32_t gop_length(const Settings& settings) {
    return settings.gop == 0 ? NVENC_INFINITE_GOPLENGTH : settings.gop;
}

// The least buffer that keeps a stream's delay low: what arrives in the time of one frame.
inline uint32_t bits_of_one_frame(const Settings& settings) {
    const uint64_t bits = uint64_t{settings.rate.bitrate} * settings.fps_denominator / settings.fps_numerator;
    return static_cast<uint32_t>(std::clamp<uint64_t>(bits, 1, UINT32_MAX));
}

inline NV_ENC_QP qp_of(const Qp& qp) { return {qp.p, qp.b, qp.intra}; }

inline NV_ENC_PARAMS_RC_MODE rate_control_mode(RateControl mode) {
    switch (mode) {
        case RateControl::constqp: return NV_ENC_PARAMS_RC_CONSTQP;
        case RateControl::vbr: return NV_ENC_PARAMS_RC_VBR;
        case RateControl::cbr: return NV_ENC_PARAMS_RC_CBR;
    }
    fail(ErrorKind::invalid_config, "An unknown rate control.");
}

// Lossless presets set these too. A driver refuses a lossless stream with any other rate control.
inline void set_lossless(NV_ENC_RC_PARAMS& out) {
    out.rateControlMode = NV_ENC_PARAMS_RC_CONSTQP;
    out.constQP = {};
}

inline void set_quantisers(NV_ENC_RC_PARAMS& out, const RateSettings& rate) {
    if (rate.qp) out.constQP = qp_of(*rate.qp);
    if (rate.min_qp) {
        out.enableMinQP = 1;
        out.minQP = qp_of(*rate.min_qp);
    }
    if (rate.max_qp) {
        out.enableMaxQP = 1;
        out.maxQP = qp_of(*rate.max_qp);
    }
    if (rate.initial_qp) {
        out.enableInitialRCQP = 1;
        out.initialRCQP = qp_of(*rate.initial_qp);
    }
}

inline void set_bitrates(NV_ENC_RC_PARAMS& out, const Settings& settings) {
    const RateSettings& rate = settings.rate;
    if (const std::optional<RateControl> mode = settings.chosen_mode()) {
        out.rateControlMode = rate_control_mode(*mode);
        const bool at_presets_rate = *mode != RateControl::constqp && rate.bitrate == 0 && !rate.cq_256ths;
        if (!at_presets_rate) {
            out.averageBitRate = rate.bitrate;
            out.maxBitRate = rate.max_bitrate;
        }
        out.vbvBufferSize = 0;
        out.vbvInitialDelay = 0;
        out.targetQuality = 0;
        out.targetQualityLSB = 0;
        const bool tight = settings.tuning == Tuning::ultra_low_latency && rate.bitrate > 0;
        if (tight) out.vbvBufferSize = bits_of_one_frame(settings);
    }
    if (rate.cq_256ths) {
        out.targetQuality = static_cast<uint8_t>(*rate.cq_256ths / 256);
        out.targetQualityLSB = static_cast<uint8_t>(*rate.cq_256ths % 256);
    }
    if (rate.vbv_size) out.vbvBufferSize = *rate.vbv_size;
    if (rate.vbv_initial) out.vbvInitialDelay = *rate.vbv_initial;
}

inline NV_ENC_MULTI_PASS multi_pass(Multipass multipass) {
    switch (multipass) {
        case Multipass::off: return NV_ENC_MULTI_PASS_DISABLED;
        case Multipass::quarter: return NV_ENC_TWO_PASS_QUARTER_RESOLUTION;
        case Multipass::full: return NV_ENC_TWO_PASS_FULL_RESOLUTION;
    }
    fail(ErrorKind::invalid_config, "An unknown multipass.");
}

inline NV_ENC_QP_MAP_MODE qp_map_mode(MapMode mode) {
    return mode == MapMode::delta ? NV_ENC_QP_MAP_DELTA : NV_ENC_QP_MAP_EMPHASIS;
}

inline void set_rate_control(NV_ENC_RC_PARAMS& out, const Settings& settings) {
    const RateSettings& rate = settings.rate;
    out.enableLookahead = rate.lookahead > 0 && !settings.shows_ahead();
    out.enableExtLookahead = settings.shows_ahead();
    out.lookaheadDepth = static_cast<uint16_t>(rate.lookahead);
    if (rate.lookahead_level) set_lookahead_level(out, *rate.lookahead_level);
    out.zeroReorderDelay = settings.reorder_depth() == 0;
    set_bitrates(out, settings);
    set_quantisers(out, rate);
    if (settings.tuning == Tuning::lossless) set_lossless(out);
    if (rate.multipass) out.multiPass = multi_pass(*rate.multipass);
    if (rate.spatial_aq) {
        out.enableAQ = *rate.spatial_aq;
        out.aqStrength = rate.aq_strength & 15;
    }
    if (rate.temporal_aq) out.enableTemporalAQ = *rate.temporal_aq;
    if (rate.low_delay_key_frame_scale)
        out.lowDelayKeyFrameScale = static_cast<uint8_t>(*rate.low_delay_key_frame_scale);
    if (rate.strict_gop) out.strictGOPTarget = *rate.strict_gop;
    if (rate.nonref_p) out.enableNonRefP = *rate.nonref_p;
    if (rate.adaptive_i) out.disableIadapt = !*rate.adaptive_i;
    if (rate.adaptive_b) out.disableBadapt = !*rate.adaptive_b;
    set_chroma_qp_offset(out, settings);
    if (settings.alpha && *settings.alpha > 0) out.alphaLayerBitrateRatio = *settings.alpha;
    if (settings.map_mode) out.qpMapMode = qp_map_mode(*settings.map_mode);
}

inline NV_ENC_BFRAME_REF_MODE b_frame_ref_mode(BReference mode) {
    switch (mode) {
        case BReference::off: return NV_ENC_BFRAME_REF_MODE_DISABLED;
        case BReference::each: return NV_ENC_BFRAME_REF_MODE_EACH;
        case BReference::middle: return NV_ENC_BFRAME_REF_MODE_MIDDLE;
        case BReference::hierarchical: return hierarchical_b_references();
    }
    fail(ErrorKind::invalid_config, "An unknown B-frame reference mode.");
}

inline void set_vui(NV_ENC_CONFIG_H264_VUI_PARAMETERS& vui, const Settings& settings) {
    constexpr uint32_t video_format_unspecified = 5;
    // Tells decoders how many pictures they must hold back: without it they assume the worst and wait.
    vui.bitstreamRestrictionFlag = 1;
    if (!settings.colour) return;
    vui.videoSignalTypePresentFlag = 1;
    vui.videoFormat = static_cast<NV_ENC_VUI_VIDEO_FORMAT>(video_format_unspecified);
    vui.videoFullRangeFlag = settings.colour->full_range;
    vui.colourDescriptionPresentFlag = 1;
    vui.colourPrimaries = static_cast<NV_ENC_VUI_COLOR_PRIMARIES>(settings.colour->primaries);
    vui.transferCharacteristics = static_cast<NV_ENC_VUI_TRANSFER_CHARACTERISTIC>(settings.colour->transfer);
    vui.colourMatrix = static_cast<NV_ENC_VUI_MATRIX_COEFFS>(settings.colour->matrix);
}

// Fields that the structs of all three codecs have under the same names.
template <typename CodecConfig>
void set_common(CodecConfig& config, const Settings& settings) {
    config.idrPeriod = gop_length(settings);
    config.chromaFormatIDC = chroma_format_idc(settings.chroma) & 3;
    set_bit_depths(config, settings.input_bit_depth(), settings.bit_depth);
    if (settings.level) config.level = *settings.level;
    // Presets choose these for their own number of B-frames. With fewer, the driver refuses the temporal filter, and
    // no B-frame is left over that another one could refer to.
    constexpr uint32_t least_for_references = 3, least_for_filter = 4;
    if (settings.b_reference) {
        config.useBFramesAsRef = b_frame_ref_mode(*settings.b_reference);
    } else if (settings.b_frames < least_for_references) {
        config.useBFramesAsRef = NV_ENC_BFRAME_REF_MODE_DISABLED;
    }
    const bool too_few = settings.b_frames < least_for_filter;
    if (settings.temporal_filter || too_few) set_temporal_filter(config, settings.temporal_filter.value_or(0));
    if (settings.long_term_references > 0) set_long_term(config, settings.long_term_references);
    if (settings.intra_refresh) {
        config.enableIntraRefresh = 1;
        config.intraRefreshPeriod = settings.intra_refresh->period;
        config.intraRefreshCnt = settings.intra_refresh->count;
    }
}

// Only H.264 and HEVC have these.
template <typename CodecConfig>
void set_annex_b(CodecConfig& config, const Settings& settings) {
    config.repeatSPSPPS = 1;
    // A wave of intra blocks has no key frame: the message tells where a decoder that starts in between has all of it.
    if (settings.intra_refresh) config.outputRecoveryPointSEI = 1;
    if (!settings.slices) return;
    config.sliceMode = static_cast<uint32_t>(settings.slices->mode);
    config.sliceModeData = settings.slices->value;
}

// Of the pictures that are kept, each one refers to a single one: the others are there in case that one is lost.
inline void set_codec(NV_ENC_CONFIG_H264& config, const Settings& settings) {
    set_common(config, settings);
    set_annex_b(config, settings);
    if (settings.reference_frames > 0) {
        config.maxNumRefFrames = settings.reference_frames;
        config.numRefL0 = NV_ENC_NUM_REF_FRAMES_1;
    }
    set_vui(config.h264VUIParameters, settings);
    set_tools(config, settings);
    if (settings.time_code) config.outputPictureTimingSEI = config.enableTimeCode = 1;
    if (settings.tuning == Tuning::lossless) config.qpPrimeYZeroTransformBypassFlag = 1;
}

inline void set_codec(NV_ENC_CONFIG_HEVC& config, const Settings& settings) {
    set_common(config, settings);
    set_annex_b(config, settings);
    if (settings.reference_frames > 0) {
        config.maxNumRefFramesInDPB = settings.reference_frames;
        config.numRefL0 = NV_ENC_NUM_REF_FRAMES_1;
    }
    set_vui(config.hevcVUIParameters, settings);
    set_tools(config, settings);
    set_hdr_output(config, settings);
    if (settings.tier) config.tier = *settings.tier;
}

inline void set_codec(NV_ENC_CONFIG_AV1& config, const Settings& settings) {
    set_common(config, settings);
    config.repeatSeqHdr = 1;
    set_tools(config, settings);
    if (settings.reference_frames > 0) {
        config.maxNumRefFramesInDPB = settings.reference_frames;
        config.numFwdRefs = NV_ENC_NUM_REF_FRAMES_1;
    }
    // 0, which means "choose one" in the other codecs, is level 2.0 here.
    if (!settings.level) config.level = NV_ENC_LEVEL_AV1_AUTOSELECT;
    set_hdr_output(config, settings);
    if (settings.tier) config.tier = *settings.tier;
    if (!settings.colour) return;
    config.colorPrimaries = static_cast<NV_ENC_VUI_COLOR_PRIMARIES>(settings.colour->primaries);
    config.transferCharacteristics = static_cast<NV_ENC_VUI_TRANSFER_CHARACTERISTIC>(settings.colour->transfer);
    config.matrixCoefficients = static_cast<NV_ENC_VUI_MATRIX_COEFFS>(settings.colour->matrix);
    config.colorRange = settings.colour->full_range;
}

// Applies the settings to the configuration that the driver gave for the preset.
inline void apply_settings(NV_ENC_CONFIG& config, const Settings& settings) {
    config.version = NV_ENC_CONFIG_VER;
    config.profileGUID = profile_guid(settings);
    config.gopLength = gop_length(settings);
    config.frameIntervalP = static_cast<int32_t>(settings.b_frames) + 1;
    if (settings.structure != Structure::frame) config.frameFieldMode = NV_ENC_PARAMS_FRAME_FIELD_MODE_FIELD;
    if (settings.monochrome) config.monoChromeEncoding = *settings.monochrome;
    set_rate_control(config.rcParams, settings);
    switch (settings.codec) {
        case Codec::h264: set_codec(config.encodeCodecConfig.h264Config, settings); break;
        case Codec::hevc: set_codec(config.encodeCodecConfig.hevcConfig, settings); break;
        case Codec::av1: set_codec(config.encodeCodecConfig.av1Config, settings); break;
    }
}

inline uint32_t split_encode_mode(SplitEncode split) {
    switch (split) {
        case SplitEncode::automatic: return NV_ENC_SPLIT_AUTO_MODE;
        case SplitEncode::off: return NV_ENC_SPLIT_DISABLE_MODE;
        case SplitEncode::two: return NV_ENC_SPLIT_TWO_FORCED_MODE;
        case SplitEncode::three: return NV_ENC_SPLIT_THREE_FORCED_MODE;
        case SplitEncode::four: return split_in_four();
    }
    fail(ErrorKind::invalid_config, "An unknown split mode.");
}

// What a picture gives besides its access unit.
inline void set_outputs(NV_ENC_INITIALIZE_PARAMS& parameters, const Settings& settings) {
    parameters.enableSubFrameWrite = parameters.reportSliceOffsets = settings.sub_frames;
    parameters.enableReconFrameOutput = settings.reconstruction;
    if (settings.statistics < StatisticsLevel::rows) return;
    parameters.enableOutputStats = 1;
    parameters.outputStatsLevel =
        settings.statistics == StatisticsLevel::rows ? NV_ENC_OUTPUT_STATS_ROW_LEVEL : NV_ENC_OUTPUT_STATS_BLOCK_LEVEL;
}

inline void apply_settings(NV_ENC_INITIALIZE_PARAMS& parameters, const Settings& settings) {
    parameters.version = NV_ENC_INITIALIZE_PARAMS_VER;
    parameters.encodeGUID = codec_guid(settings.codec);
    parameters.presetGUID = preset_guid(settings.preset);
    parameters.tuningInfo = tuning_info(settings.tuning);
    parameters.encodeWidth = parameters.darWidth = settings.width;
    parameters.encodeHeight = parameters.darHeight = settings.height;
    set_sample_aspect(parameters, settings);
    parameters.maxEncodeWidth = std::max(settings.width, settings.max_width);
    parameters.maxEncodeHeight = std::max(settings.height, settings.max_height);
    parameters.frameRateNum = settings.fps_numerator;
    parameters.frameRateDen = settings.fps_denominator;
    parameters.enablePTD = !settings.manual_types;  // whether the driver decides the picture types
    if (settings.weighted_prediction) parameters.enableWeightedPrediction = *settings.weighted_prediction;
    if (settings.unidirectional_b) set_unidirectional_b(parameters, *settings.unidirectional_b);
    set_outputs(parameters, settings);
    parameters.numStateBuffers = settings.attempts;
    set_hints(parameters, settings);
    if (settings.split_encode) parameters.splitEncodeMode = split_encode_mode(*settings.split_encode) & 15;
}
