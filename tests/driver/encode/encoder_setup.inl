// From a client's whole configuration to the neutral core, if it holds the rules. Included by front.inl, inside its
// namespace.

// What the preset and tuning alone stand for.
void fill_preset(NV_ENC_CONFIG& config, const PresetRequest& request, const Device& device);

const NV_ENC_CONFIG& configuration_of(Session& session, const NV_ENC_INITIALIZE_PARAMS& params,
                                      const PresetRequest& preset, NV_ENC_CONFIG& of_preset) {
    if (params.encodeConfig != nullptr) {
        check_version(params.encodeConfig->version, NV_ENC_CONFIG_VER, "NV_ENC_CONFIG");
        check_reserved(*params.encodeConfig, preset.codec);
        return *params.encodeConfig;
    }
    std::memset(&of_preset, 0, sizeof of_preset);
    fill_preset(of_preset, preset, session.device());
    return of_preset;
}

StatisticsLevel statistics_of(const NV_ENC_INITIALIZE_PARAMS& params) {
    const auto level = static_cast<uint32_t>(NVSIM_GET(params, outputStatsLevel, 0u));
    const bool enabled = NVSIM_GET(params, enableOutputStats, 0) != 0;
    if (level > 2) forbid(Status::success, Status::invalid_param, text("unknown outputStatsLevel ", level));
    if (enabled != (level != 0))
        forbid(Status::success, Status::invalid_param, "enableOutputStats and outputStatsLevel go together");
    return enabled ? static_cast<StatisticsLevel>(level) : StatisticsLevel::none;
}

// The capabilities without which a configuration cannot be coded.
std::vector<const char*> needs_of(const NV_ENC_INITIALIZE_PARAMS& params, const NV_ENC_CONFIG& config,
                                  const StreamSettings& stream) {
    std::vector<const char*> needs;
    const auto need_if = [&](bool wanted, const char* capability) {
        if (wanted) needs.push_back(capability);
    };
    need_if(stream.lookahead > 0 || looks_ahead_outside(config.rcParams), "SUPPORT_LOOKAHEAD");
    need_if(state_buffers(params) > 0, "DISABLE_ENC_STATE_ADVANCE");
    need_if(stream.format.bit_depth == 10, "SUPPORT_10BIT_ENCODE");
    need_if(stream.format.chroma == 3, "SUPPORT_YUV444_ENCODE");
    need_if(stream.format.chroma == 2, "SUPPORT_YUV422_ENCODE");
    need_if(stream.lossless, "SUPPORT_LOSSLESS_ENCODE");
    need_if(stream.b_reference_mode != 0 && stream.b_frames > 0, "SUPPORT_BFRAME_REF_MODE");
    need_if(config.rcParams.enableTemporalAQ, "SUPPORT_TEMPORAL_AQ");
    need_if(config.rcParams.qpMapMode == NV_ENC_QP_MAP_EMPHASIS, "SUPPORT_EMPHASIS_LEVEL_MAP");
    need_if(config.monoChromeEncoding != 0, "SUPPORT_MONOCHROME");
    need_if(config.frameFieldMode > NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME, "SUPPORT_FIELD_ENCODING");
    need_if(params.enableWeightedPrediction, "SUPPORT_WEIGHTED_PREDICTION");
    need_if(config.rcParams.vbvBufferSize != 0, "SUPPORT_CUSTOM_VBV_BUF_SIZE");
    need_if(params.enableSubFrameWrite, "SUPPORT_SUBFRAME_READBACK");
    need_if(NVSIM_GET(params, enableReconFrameOutput, 0) != 0, "OUTPUT_RECON_SURFACE");
    const StatisticsLevel level = statistics_of(params);
    need_if(level == StatisticsLevel::blocks, "OUTPUT_BLOCK_STATS");
    need_if(level == StatisticsLevel::rows, "OUTPUT_ROW_STATS");
    with_codec_config(config.encodeCodecConfig, stream.codec, [&](const auto& codec_config) {
        need_tools(codec_config, need_if);
        need_layers(codec_config, need_if);
        need_if(NVSIM_GET(codec_config, enableAlphaLayerEncoding, 0) != 0, "SUPPORT_ALPHA_LAYER_ENCODING");
        need_if(NVSIM_GET(codec_config, enableMVHEVC, 0) != 0, "SUPPORT_MVHEVC_ENCODE");
        need_if(codec_config.enableIntraRefresh, "SUPPORT_INTRA_REFRESH");
        need_if(NVSIM_GET(codec_config, enableLTR, 0) != 0, "NUM_MAX_LTR_FRAMES");
    });
    return needs;
}

// Modes that are not simulated. They are refused, so that no client takes them for done.
void refuse_unsimulated(const NV_ENC_INITIALIZE_PARAMS& params) {
    if (NVSIM_GET(params, enableOutputInVidmem, 0) != 0)
        refuse(Status::unsupported_param, "enableOutputInVidmem is not simulated");
}

void check_tuning(const PresetRequest& preset) {
    const auto tuning = static_cast<uint32_t>(preset.tuning);
    if (tuning >= static_cast<uint32_t>(NV_ENC_TUNING_INFO_COUNT))
        refuse(recorded::initialize_tuning_nine, "Invalid Tuning Info");
    if (preset.codec == Codec::h264 && preset.tuning == Tuning::ultra_high_quality)
        refuse(recorded::initialize_tuning_nine, "ultra high quality is for HEVC and AV1");
}

bool known_rate_control(uint32_t mode) {
    return mode <= 2 || name_of(static_cast<NV_ENC_PARAMS_RC_MODE>(mode)) != nullptr;
}

// Fields that contradict each other. The sources of what the card takes without a word: NVENC's programming guide on
// lookahead (lookaheadDepth and B pictures together are 31 at most) and on intra refresh (of no effect in a finite
// GOP).
void check_structure(const NV_ENC_CONFIG& config, const PresetRequest& preset) {
    const NV_ENC_RC_PARAMS& rates = config.rcParams;
    const auto mode = static_cast<uint32_t>(rates.rateControlMode);
    if (!known_rate_control(mode))
        forbid(recorded::initialize_unknown_rate_control, Status::invalid_param,
               text("unknown rateControlMode ", mode));
    if (preset.tuning == Tuning::lossless && mode != NV_ENC_PARAMS_RC_CONSTQP)
        refuse(recorded::initialize_lossless_rate_control, "the tuning lossless needs NV_ENC_PARAMS_RC_CONSTQP");
    if (config.gopLength != 0 && static_cast<int64_t>(config.gopLength) < config.frameIntervalP)
        refuse(recorded::initialize_short_gop,
               text("Gop Length should be greater than number of B frames + 1: gopLength ", config.gopLength,
                    ", frameIntervalP ", config.frameIntervalP));
    const int b_pictures = std::max(config.frameIntervalP - 1, 0);
    if ((rates.enableLookahead || looks_ahead_outside(rates)) && rates.lookaheadDepth + b_pictures > 31)
        forbid(Status::success, Status::invalid_param,
               text("lookaheadDepth ", rates.lookaheadDepth, " and ", b_pictures, " B pictures are more than 31"));
    with_codec_config(config.encodeCodecConfig, preset.codec, [&](const auto& codec_config) {
        if (codec_config.enableIntraRefresh && config.gopLength != NVENC_INFINITE_GOPLENGTH)
            forbid(Status::success, Status::invalid_param,
                   text("enableIntraRefresh with gopLength ", config.gopLength,
                        ": the driver switches it off unless the GOP is infinite"));
    });
}

// nvEncodeAPI.h on qpMapMode: emphasis is for H.264 and without adaptive quantisation; mode 3 is not supported.
void check_maps(const NV_ENC_RC_PARAMS& rates, Codec codec) {
    const auto mode = static_cast<uint32_t>(rates.qpMapMode);
    if (mode > NV_ENC_QP_MAP_DELTA)
        forbid(Status::success, Status::invalid_param, text("qpMapMode ", mode, " is not supported"));
    if (mode != NV_ENC_QP_MAP_EMPHASIS) return;
    if (codec != Codec::h264)
        forbid(Status::success, Status::invalid_param, "NV_ENC_QP_MAP_EMPHASIS is for H.264 alone");
    if (rates.enableAQ || rates.enableTemporalAQ)
        forbid(Status::success, Status::invalid_param, "NV_ENC_QP_MAP_EMPHASIS is not supported with enableAQ");
}

// Pixels of the blocks that a map has values for: macroblocks, coding tree blocks or superblocks.
template <typename CodecConfig>
int map_block_of(const CodecConfig& config, Codec codec) {
    if (codec == Codec::h264) return 16;
    if (codec == Codec::av1) return 64;
    const uint32_t size = NVSIM_GET(config, maxCUSize, 0u);
    return size == 0 ? 32 : 4 << size;  // NV_ENC_HEVC_CUSIZE: 1 is 8x8, and 0 left to the driver, assumed 32x32
}

// NVIDIA's header: no long-term references in streams with B pictures; a mode of marking that is not to be used any
// more; and no lookahead if the client decides the picture types.
void check_references(const NV_ENC_INITIALIZE_PARAMS& params, const NV_ENC_CONFIG& config, Codec codec) {
    with_codec_config(config.encodeCodecConfig, codec, [&](const auto& codec_config) {
        if (NVSIM_GET(codec_config, enableLTR, 0) != 0 && config.frameIntervalP > 1)
            forbid(Status::success, Status::invalid_param,
                   text("enableLTR with frameIntervalP ", config.frameIntervalP));
        if (NVSIM_GET(codec_config, ltrTrustMode, 0u) > 1)
            forbid(Status::success, Status::invalid_param, "ltrTrustMode is 0 or 1");
    });
    if (params.enablePTD == 0 && config.rcParams.enableLookahead)
        forbid(Status::success, Status::invalid_param, "enableLookahead with enablePTD 0");
}

// A session for motion alone has no stream: of its configuration, only the structs for motion count.
EncoderSetup motion_setup_of(const NV_ENC_INITIALIZE_PARAMS& params, Codec codec) {
    if (codec == Codec::av1) refuse(Status::unsupported_param, "enableMEOnlyMode is for H.264 and HEVC");
    EncoderSetup setup;
    setup.motion_only = true;
    if (params.encodeConfig != nullptr && codec == Codec::h264)
        setup.searches_intra = !params.encodeConfig->encodeCodecConfig.h264MeOnlyConfig.disableIntraSearch;
    setup.needs = {"SUPPORT_MEONLY_MODE"};
    setup.settings.stream.codec = codec;
    setup.settings.stream.format = {static_cast<int>(params.encodeWidth), static_cast<int>(params.encodeHeight), 1, 8};
    return setup;
}

EncoderSetup setup_of(Session& session, const NV_ENC_INITIALIZE_PARAMS& params) {
    check_version(params.version, NV_ENC_INITIALIZE_PARAMS_VER, "NV_ENC_INITIALIZE_PARAMS");
    EncoderSetup setup;
    StreamSettings& stream = setup.settings.stream;
    stream.codec = need_codec(params.encodeGUID);
    check_reserved(params, stream.codec);
    const auto tuning = static_cast<uint32_t>(params.tuningInfo);
    const PresetRequest preset =
        need_preset(params.presetGUID, stream.codec, tuning, recorded::initialize_unknown_preset);
    check_tuning(preset);
    if (params.enableMEOnlyMode) return motion_setup_of(params, stream.codec);
    // A client of another codec may have left anything in the fields of this one, pointers too.
    if (!session.device().supports(stream.codec))
        refuse(recorded::initialize_missing_codec, "this GPU does not encode this codec");
    NV_ENC_CONFIG of_preset;
    const NV_ENC_CONFIG& config = configuration_of(session, params, preset, of_preset);
    refuse_unsimulated(params);
    check_structure(config, preset);
    check_maps(config.rcParams, stream.codec);
    check_trials(params, config, stream.codec);
    check_references(params, config, preset.codec);
    with_codec_config(config.encodeCodecConfig, preset.codec, [&](const auto& codec_config) {
        check_tools(codec_config, config);
        check_monochrome(config, codec_config.chromaFormatIDC);
        check_fields(config, codec_config, params.encodeHeight);
        check_alpha(codec_config, params);
        check_views(codec_config, params);
        check_layers(codec_config, config);
        check_grain(codec_config);
    });
    if (params.frameRateDen == 0 || params.frameRateNum == 0)
        forbid(recorded::initialize_no_frame_rate, Status::invalid_param, "the frame rate is zero");
    if (config.frameIntervalP < 0) refuse(Status::invalid_param, "frameIntervalP is negative");
    stream.format = {static_cast<int>(params.encodeWidth), static_cast<int>(params.encodeHeight), 1, 8};
    stream.fps_numerator = params.frameRateNum;
    stream.fps_denominator = params.frameRateDen;
    const std::optional<std::string> profile = profile_of(name_of(config.profileGUID), stream.codec);
    const GUID none{};
    if (!profile && std::memcmp(&config.profileGUID, &none, sizeof none) != 0)
        forbid(recorded::initialize_unknown_profile, Status::invalid_param, "profileGUID is no profile of the codec");
    stream.profile = profile.value_or("auto");
    read_rates(config.rcParams, stream);
    with_codec_config(config.encodeCodecConfig, stream.codec, [&](const auto& codec_config) {
        read_codec(codec_config, stream);
        read_layers(codec_config, stream);
        read_grain(codec_config, stream);
        stream.tools.two_views = NVSIM_GET(codec_config, enableMVHEVC, 0) != 0;
        stream.reference_displays = NVSIM_GET(codec_config, outputHevc3DReferenceDisplayInfo, 0) != 0;
        stream.tools.alpha = NVSIM_GET(codec_config, enableAlphaLayerEncoding, 0) != 0;
        if (codec_config.chromaFormatIDC > 1) stream.format.chroma = static_cast<int>(codec_config.chromaFormatIDC);
        stream.idr_period = codec_config.idrPeriod;
        stream.reference_frames = static_cast<int>(std::min(NVSIM_GET(codec_config, maxNumRefFrames, 0u), 16u));
        if (NVSIM_GET(codec_config, enableLTR, 0) != 0)
            stream.long_term_slots = static_cast<int>(std::min(NVSIM_GET(codec_config, ltrNumFrames, 0u), 255u));
        if (codec_config.enableIntraRefresh) {
            stream.refresh_period = codec_config.intraRefreshPeriod;
            stream.refresh_count = codec_config.intraRefreshCnt;
            stream.recovery_points = NVSIM_GET(codec_config, outputRecoveryPointSEI, 0) != 0;
        }
        setup.map_block = map_block_of(codec_config, stream.codec);
    });
    setup.map_mode = static_cast<uint32_t>(config.rcParams.qpMapMode);
    stream.block_maps = setup.map_mode != NV_ENC_QP_MAP_DISABLED;
    setup.statistics = statistics_of(params);
    setup.hints = hint_limits_of(params);
    setup.trials = trial_limits_of(params, config);
    setup.sub_frames = params.enableSubFrameWrite != 0;
    setup.reports_slices = params.reportSliceOffsets != 0;
    stream.reconstructions = setup.reconstructs = NVSIM_GET(params, enableReconFrameOutput, 0) != 0;
    stream.lossless |= preset.tuning == Tuning::lossless;
    stream.gop_length = config.gopLength;
    if (stream.idr_period == 0) stream.idr_period = config.gopLength;
    stream.b_frames = std::max(config.frameIntervalP - 1, 0);
    read_shape(params, stream);
    read_chroma_offsets(config.rcParams, stream);
    if (const uint32_t ratio = NVSIM_GET(config.rcParams, alphaLayerBitrateRatio, 0u)) stream.tools.alpha_ratio = ratio;
    stream.tools.interlaced = config.frameFieldMode > NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME;
    stream.tools.monochrome = config.monoChromeEncoding != 0;
    setup.gop = {stream.gop_length, stream.idr_period,     config.frameIntervalP,
                 stream.lookahead,  params.enablePTD != 0, stream.b_reference_mode == 2};
    setup.needs = needs_of(params, config, stream);
    setup.max_width = static_cast<int>(std::max(params.maxEncodeWidth, params.encodeWidth));
    setup.max_height = static_cast<int>(std::max(params.maxEncodeHeight, params.encodeHeight));
    setup.async = params.enableEncodeAsync != 0;
    setup.rate_control_mode = static_cast<uint32_t>(config.rcParams.rateControlMode);
    setup.format = static_cast<PixelFormat>(static_cast<uint32_t>(params.bufferFormat));
    setup.settings.api = NVSIM_API;
    setup.settings.preset = preset.level;
    setup.settings.tuning = static_cast<int>(preset.tuning);
    Fields fields;
    describe(fields, params, stream.codec);
    setup.settings.details = fields.finish();
    char digest[16];
    std::snprintf(
        digest, sizeof digest, "%08x",
        crc32(reinterpret_cast<const uint8_t*>(setup.settings.details.data()), setup.settings.details.size()));
    setup.settings.digest = digest;
    return setup;
}

// The recorded card's presets ask a lesser GPU for nothing that it cannot do. This is assumed: no lesser one is
// recorded.
void fit(NV_ENC_CONFIG& config, Codec codec, const Device& device) {
    const auto lacks = [&](const char* name) { return device.cap(codec, name) == 0; };
    config.frameIntervalP = std::min(config.frameIntervalP, device.cap(codec, "NUM_MAX_BFRAMES") + 1);
    if (lacks("SUPPORT_TEMPORAL_AQ")) config.rcParams.enableTemporalAQ = 0;
    if (lacks("SUPPORT_LOOKAHEAD")) config.rcParams.enableLookahead = 0;
    if (lacks("SUPPORT_LOOKAHEAD")) config.rcParams.lookaheadDepth = 0;
    with_codec_config(config.encodeCodecConfig, codec, [&](auto& codec_config) {
        fit_tools(codec_config, lacks);
        if (lacks("SUPPORT_BFRAME_REF_MODE")) codec_config.useBFramesAsRef = NV_ENC_BFRAME_REF_MODE_DISABLED;
        if (lacks("SUPPORT_TEMPORAL_FILTER")) NVSIM_SET(codec_config, tfLevel, 0);
    });
}

void fill_preset(NV_ENC_CONFIG& config, const PresetRequest& request, const Device& device) {
    if (!fill_recorded_preset(config, request))
        refuse(Status::unsupported_param, "the codec has no such tuning: ultra high quality is for HEVC and AV1");
    config.version = NV_ENC_CONFIG_VER;
    fit(config, request.codec, device);
}
