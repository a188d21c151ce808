// Between one API version's structs and the neutral core. Included by front.inl, inside its namespace.

// The three codecs' configurations differ in what they are called and which fields they have; `use` gets the one of
// the codec, in versions that have it.
template <typename Config, typename Use>
void with_codec_config(Config& config, Codec codec, Use use) {
    if (codec == Codec::h264) use(config.h264Config);
    if (codec == Codec::hevc) use(config.hevcConfig);
    if (codec == Codec::av1)
        set_optional(config, [&](auto& union_of_codecs) -> decltype(void(union_of_codecs.av1Config)) {
            use(union_of_codecs.av1Config);
        });
}

// The recorded card does not look at the low half of a version word, which says which interface it is of.
void check_version(uint32_t given, uint32_t wanted, const char* name) {
    const bool looks_right = !instrument::strict() && given >> 16 == wanted >> 16;
    if (given != wanted && !looks_right)
        violate(Status::invalid_version,
                text(name, " has version word 0x", std::hex, given, ", API ", NVSIM_API, " has 0x", wanted));
}

template <typename Struct>
void check_reserved(const Struct& value, Codec codec) {
    if (!instrument::strict()) return;
    if (const char* field = reserved_in_use(value, codec))
        violate(Status::invalid_param, std::string(field) + " is not zero");
}

template <typename Pointer>
auto& need(Pointer* pointer, const char* what) {
    if (pointer == nullptr) violate(Status::invalid_ptr, std::string(what) + " is null");
    return *pointer;
}

Codec need_codec(const GUID& guid) {
    const std::optional<Codec> codec = codec_of(name_of(guid));
    if (!codec) refuse(recorded::initialize_zero_codec, "unknown codec GUID");
    return *codec;
}

// In a query, a codec that the GPU lacks and an unknown codec are the same.
Codec need_codec(Session& session, const GUID& guid) {
    const std::optional<Codec> codec = codec_of(name_of(guid));
    if (!codec || !session.device().supports(*codec))
        refuse(recorded::missing_codec_caps, "this GPU does not encode this codec");
    return *codec;
}

PresetRequest need_preset(const GUID& guid, Codec codec, uint32_t tuning, Status otherwise) {
    const std::optional<PresetRequest> preset = preset_of(name_of(guid), codec, tuning);
    if (!preset) refuse(otherwise, "unknown preset GUID");
    if (preset->tuning == Tuning::undefined) refuse(otherwise, "the presets P1 to P7 need a tuning");
    return *preset;
}

ColourDescription colour_of(const NV_ENC_CONFIG_H264_VUI_PARAMETERS& vui) {
    ColourDescription colour;
    colour.signal_type_present = vui.videoSignalTypePresentFlag != 0;
    colour.video_format = static_cast<int>(vui.videoFormat);
    colour.full_range = vui.videoFullRangeFlag != 0;
    colour.description_present = vui.colourDescriptionPresentFlag != 0;
    colour.primaries = static_cast<int>(vui.colourPrimaries);
    colour.transfer = static_cast<int>(vui.transferCharacteristics);
    colour.matrix = static_cast<int>(vui.colourMatrix);
    return colour;
}

// H.264's slices: of macroblocks, of bytes, of rows of macroblocks, or so many.
void read_slices(uint32_t mode, uint32_t value, StreamSettings& stream) {
    const int given = static_cast<int>(std::min<uint32_t>(value, 1u << 20));
    if (mode == 0) stream.slice_macroblocks = given;
    if (mode == 1) stream.slice_bytes = given;
    if (mode == 2) stream.slice_macroblocks = given * ((stream.format.width + 15) / 16);
    if (mode == 3 && given > 1) stream.slices = given;
}

// Whether pictures may bring HDR's static metadata. H.264 and interfaces before 13.0 have no fields for it.
template <typename Config>
void read_hdr_output(const Config& config, StreamSettings& stream) {
    stream.mastering_display = NVSIM_GET(config, outputMasteringDisplay, 0) != 0;
    stream.content_light = NVSIM_GET(config, outputMaxCll, 0) != 0;
}

void read_codec(const NV_ENC_CONFIG_H264& config, StreamSettings& stream) {
    stream.level = static_cast<int>(config.level);
    stream.repeat_headers = config.repeatSPSPPS;
    stream.omit_headers = config.disableSPSPPS;
    stream.aud = config.outputAUD;
    stream.bitstream_restriction = config.h264VUIParameters.bitstreamRestrictionFlag != 0;
    stream.colour = colour_of(config.h264VUIParameters);
    stream.time_codes = NVSIM_GET(config, enableTimeCode, 0) != 0;
    read_slices(config.sliceMode, config.sliceModeData, stream);
    stream.b_reference_mode = static_cast<int>(config.useBFramesAsRef);
    read_tools(config, stream.tools);
    stream.lossless = config.qpPrimeYZeroTransformBypassFlag;
    if (NVSIM_GET(config, outputBitDepth, 0) == 10) stream.format.bit_depth = 10;
}

void read_codec(const NV_ENC_CONFIG_HEVC& config, StreamSettings& stream) {
    read_hdr_output(config, stream);
    stream.level = static_cast<int>(config.level);
    stream.tier = static_cast<int>(config.tier);
    stream.repeat_headers = config.repeatSPSPPS;
    stream.omit_headers = config.disableSPSPPS;
    stream.aud = config.outputAUD;
    stream.bitstream_restriction = config.hevcVUIParameters.bitstreamRestrictionFlag != 0;
    stream.colour = colour_of(config.hevcVUIParameters);
    stream.time_codes = NVSIM_GET(config, outputTimeCodeSEI, 0) != 0;
    read_tools(config, stream.tools);
    if (config.sliceMode == 3 && config.sliceModeData > 1) stream.slices = static_cast<int>(config.sliceModeData);
    stream.b_reference_mode = static_cast<int>(config.useBFramesAsRef);
    if (NVSIM_GET(config, outputBitDepth, 0) == 10 || NVSIM_GET(config, pixelBitDepthMinus8, 0) == 2)
        stream.format.bit_depth = 10;
}

// NV_ENC_CONFIG_AV1, which API 11 does not have.
template <typename Av1Config>
void read_codec(const Av1Config& config, StreamSettings& stream) {
    read_hdr_output(config, stream);
    stream.level = config.level == 24 ? 0 : static_cast<int>(config.level);
    stream.tier = static_cast<int>(config.tier);
    stream.repeat_headers = config.repeatSeqHdr;
    stream.omit_headers = config.disableSeqHdr;
    stream.tools.filler = config.enableBitstreamPadding;
    stream.tools.tile_columns = static_cast<int>(config.numTileColumns);
    stream.tools.tile_rows = static_cast<int>(config.numTileRows);
    stream.b_reference_mode = static_cast<int>(config.useBFramesAsRef);
    stream.colour.primaries = static_cast<int>(config.colorPrimaries);
    stream.colour.transfer = static_cast<int>(config.transferCharacteristics);
    stream.colour.matrix = static_cast<int>(config.matrixCoefficients);
    stream.colour.signal_type_present = true;  // a sequence header always tells the range
    stream.colour.full_range = config.colorRange != 0;
    stream.colour.description_present =
        stream.colour.primaries != 0 || stream.colour.transfer != 0 || stream.colour.matrix != 0;
    if (!stream.colour.description_present) stream.colour.primaries = stream.colour.transfer = stream.colour.matrix = 2;
    if (NVSIM_GET(config, outputBitDepth, 0) == 10 || NVSIM_GET(config, pixelBitDepthMinus8, 0) == 2)
        stream.format.bit_depth = 10;
}

void read_rates(const NV_ENC_RC_PARAMS& rates, StreamSettings& stream) {
    switch (static_cast<uint32_t>(rates.rateControlMode)) {
        case 0: stream.rate_control = RateControl::constqp; break;
        case 2:
        case 8:
        case 16: stream.rate_control = RateControl::cbr; break;
        default: stream.rate_control = RateControl::vbr; break;
    }
    stream.qp_i = static_cast<int>(rates.constQP.qpIntra);
    stream.qp_p = static_cast<int>(rates.constQP.qpInterP);
    stream.qp_b = static_cast<int>(rates.constQP.qpInterB);
    const auto three = [](const NV_ENC_QP& qp) {
        return std::array<int, 3>{static_cast<int>(qp.qpIntra), static_cast<int>(qp.qpInterP),
                                  static_cast<int>(qp.qpInterB)};
    };
    if (rates.enableMinQP) stream.least_qp = three(rates.minQP);
    if (rates.enableMaxQP) stream.most_qp = three(rates.maxQP);
    stream.average_bitrate = rates.averageBitRate;
    stream.max_bitrate = rates.maxBitRate;
    stream.constant_quality =
        static_cast<float>(rates.targetQuality) + static_cast<float>(rates.targetQualityLSB) / 256;
    // No recorded preset has a rate, and clients leave it so: the driver is assumed to have one of its own.
    constexpr uint32_t assumed_rate = 5'000'000;
    const bool by_rate = stream.rate_control != RateControl::constqp && stream.constant_quality == 0;
    if (by_rate && stream.average_bitrate == 0) {
        stream.average_bitrate = assumed_rate;
        if (stream.max_bitrate == 0) stream.max_bitrate = assumed_rate * 3 / 2;
    }
    stream.vbv_size = rates.vbvBufferSize;
    stream.vbv_initial = rates.vbvInitialDelay;
    stream.lookahead = rates.enableLookahead ? rates.lookaheadDepth : 0;
}
