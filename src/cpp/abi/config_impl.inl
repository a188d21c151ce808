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
        fail(ErrorKind::invalid_config, "Preset " + std::to_string(preset) + " came; they go from 1 to 7.");
    }
    return presets[static_cast<size_t>(preset - 1)];
}

inline GUID profile_guid(Profile profile) {
    switch (profile) {
        case Profile::automatic: return NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID;
        case Profile::h264_baseline: return NV_ENC_H264_PROFILE_BASELINE_GUID;
        case Profile::h264_main: return NV_ENC_H264_PROFILE_MAIN_GUID;
        case Profile::h264_high: return NV_ENC_H264_PROFILE_HIGH_GUID;
        case Profile::hevc_main: return NV_ENC_HEVC_PROFILE_MAIN_GUID;
        case Profile::hevc_main10: return NV_ENC_HEVC_PROFILE_MAIN10_GUID;
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

inline uint32_t gop_length(const Settings& settings) {
    return settings.gop == 0 ? NVENC_INFINITE_GOPLENGTH : settings.gop;
}

// The least buffer that keeps a stream's delay low: what arrives in the time of one frame.
inline uint32_t bits_of_one_frame(const Settings& settings) {
    const uint64_t bits = uint64_t{settings.bitrate} * settings.fps_denominator / settings.fps_numerator;
    return static_cast<uint32_t>(std::max<uint64_t>(bits, 1));
}

inline void set_rate_control(NV_ENC_RC_PARAMS& rate, const Settings& settings) {
    rate.enableLookahead = settings.lookahead > 0;
    rate.lookaheadDepth = static_cast<uint16_t>(settings.lookahead);
    rate.zeroReorderDelay = settings.reorder_depth() == 0;
    if (settings.bitrate == 0) return;
    rate.averageBitRate = settings.bitrate;
    rate.maxBitRate = settings.max_bitrate;
    rate.vbvBufferSize = 0;
    rate.vbvInitialDelay = 0;
    if (settings.low_latency()) {
        rate.rateControlMode = NV_ENC_PARAMS_RC_CBR;
        if (settings.tuning == Tuning::ultra_low_latency) rate.vbvBufferSize = bits_of_one_frame(settings);
    } else {
        rate.rateControlMode = NV_ENC_PARAMS_RC_VBR;
    }
}

inline void set_h264(NV_ENC_CONFIG_H264& config, const Settings& settings) {
    config.idrPeriod = gop_length(settings);
    config.repeatSPSPPS = 1;
    config.chromaFormatIDC = 1;
    // Tells decoders how many pictures they must hold back: without it they assume the worst and wait.
    config.h264VUIParameters.bitstreamRestrictionFlag = 1;
    set_8_bit(config);
}

inline void set_hevc(NV_ENC_CONFIG_HEVC& config, const Settings& settings) {
    config.idrPeriod = gop_length(settings);
    config.repeatSPSPPS = 1;
    config.chromaFormatIDC = 1;
    config.hevcVUIParameters.bitstreamRestrictionFlag = 1;
    set_8_bit(config);
}

inline void set_av1(NV_ENC_CONFIG_AV1& config, const Settings& settings) {
    config.idrPeriod = gop_length(settings);
    config.repeatSeqHdr = 1;
    config.chromaFormatIDC = 1;
    set_8_bit(config);
}

// Lays the settings over the configuration that the driver gave for the preset.
inline void apply_settings(NV_ENC_CONFIG& config, const Settings& settings) {
    config.version = NV_ENC_CONFIG_VER;
    config.profileGUID = profile_guid(settings.profile);
    config.gopLength = gop_length(settings);
    config.frameIntervalP = static_cast<int32_t>(settings.b_frames) + 1;
    set_rate_control(config.rcParams, settings);
    switch (settings.codec) {
        case Codec::h264: set_h264(config.encodeCodecConfig.h264Config, settings); break;
        case Codec::hevc: set_hevc(config.encodeCodecConfig.hevcConfig, settings); break;
        case Codec::av1: set_av1(config.encodeCodecConfig.av1Config, settings); break;
    }
}

inline void apply_settings(NV_ENC_INITIALIZE_PARAMS& parameters, const Settings& settings) {
    parameters.version = NV_ENC_INITIALIZE_PARAMS_VER;
    parameters.encodeGUID = codec_guid(settings.codec);
    parameters.presetGUID = preset_guid(settings.preset);
    parameters.tuningInfo = tuning_info(settings.tuning);
    parameters.encodeWidth = parameters.darWidth = parameters.maxEncodeWidth = settings.width;
    parameters.encodeHeight = parameters.darHeight = parameters.maxEncodeHeight = settings.height;
    parameters.frameRateNum = settings.fps_numerator;
    parameters.frameRateDen = settings.fps_denominator;
    parameters.enablePTD = 1;  // the driver decides the picture types
}
