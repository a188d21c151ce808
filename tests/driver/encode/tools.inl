// The tools of the codecs: what a client asks for, and what it must not. Included by front.inl,
// inside its namespace.

template <typename Config>
void read_annex_b_tools(const Config& config, CodingTools& tools) {
    tools.filler = config.enableFillerDataInsertion;
    tools.constrained_intra = config.useConstrainedIntraPred;
    tools.deblocking = static_cast<int>(NVSIM_GET(config, disableDeblockingFilterIDC, 0u));
}

void read_tools(const NV_ENC_CONFIG_H264& config, CodingTools& tools) {
    read_annex_b_tools(config, tools);
    tools.cavlc = config.entropyCodingMode == NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC;
    tools.transform_8x8 = config.adaptiveTransformMode != NV_ENC_H264_ADAPTIVE_TRANSFORM_DISABLE;
}

void read_tools(const NV_ENC_CONFIG_HEVC& config, CodingTools& tools) { read_annex_b_tools(config, tools); }

// H.264 and HEVC are given the shape of the picture on a display, AV1 the size at which it is shown.
void read_shape(const NV_ENC_INITIALIZE_PARAMS& params, StreamSettings& stream) {
    if (params.darWidth == 0 || params.darHeight == 0) return;
    if (stream.codec == Codec::av1) {
        if (params.darWidth > 0x10000 || params.darHeight > 0x10000)
            forbid(Status::success, Status::invalid_param, "a render size has 16 bits in AV1");
        stream.tools.shown_width = static_cast<int>(params.darWidth);
        stream.tools.shown_height = static_cast<int>(params.darHeight);
        return;
    }
    const uint64_t wide = uint64_t{params.darWidth} * params.encodeHeight;
    const uint64_t high = uint64_t{params.darHeight} * params.encodeWidth;
    const uint64_t common = std::gcd(wide, high);
    if (common == 0) return;
    if (wide / common > 0xffff || high / common > 0xffff)
        forbid(Status::success, Status::invalid_param, "a sample's aspect ratio has twice 16 bits");
    stream.tools.aspect_width = static_cast<uint32_t>(wide / common);
    stream.tools.aspect_height = static_cast<uint32_t>(high / common);
}

void read_chroma_offsets(const NV_ENC_RC_PARAMS& rates, StreamSettings& stream) {
    stream.tools.cb_offset = rates.cbQPIndexOffset;
    stream.tools.cr_offset = rates.crQPIndexOffset;
}

template <typename Config, typename NeedIf>
void need_lists(const Config& config, uint32_t earlier, uint32_t later, NeedIf need_if) {
    need_if(earlier > 1 || later > 1, "SUPPORT_MULTIPLE_REF_FRAMES");
    need_if(NVSIM_GET(config, singleSliceIntraRefresh, 0) != 0, "SINGLE_SLICE_INTRA_REFRESH");
}

// The capabilities without which the card does not have a tool. Presets ask only for what their card has.
template <typename NeedIf>
void need_tools(const NV_ENC_CONFIG_H264& config, NeedIf need_if) {
    need_if(config.entropyCodingMode == NV_ENC_H264_ENTROPY_CODING_MODE_CABAC, "SUPPORT_CABAC");
    need_if(config.adaptiveTransformMode == NV_ENC_H264_ADAPTIVE_TRANSFORM_ENABLE, "SUPPORT_ADAPTIVE_TRANSFORM");
    need_lists(config, config.numRefL0, config.numRefL1, need_if);
}

template <typename NeedIf>
void need_tools(const NV_ENC_CONFIG_HEVC& config, NeedIf need_if) {
    need_lists(config, config.numRefL0, config.numRefL1, need_if);
}

template <typename Av1Config, typename NeedIf>
void need_tools(const Av1Config& config, NeedIf need_if) {
    need_lists(config, config.numFwdRefs, config.numBwdRefs, need_if);
}

template <typename Lacks>
void fit_tools(NV_ENC_CONFIG_H264& config, Lacks lacks) {
    if (lacks("SUPPORT_CABAC")) config.entropyCodingMode = NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC;
    if (lacks("SUPPORT_ADAPTIVE_TRANSFORM")) config.adaptiveTransformMode = NV_ENC_H264_ADAPTIVE_TRANSFORM_DISABLE;
}

template <typename CodecConfig, typename Lacks>
void fit_tools(CodecConfig&, Lacks) {}

// Filler data takes effect only at a constant bitrate: nvEncodeAPI.h. Others are ignored without a word.
void check_filler(bool filler, const NV_ENC_CONFIG& config) {
    const auto mode = static_cast<uint32_t>(config.rcParams.rateControlMode);
    if (filler && mode != NV_ENC_PARAMS_RC_CBR)
        forbid(Status::success, Status::invalid_param, text("filler data with rateControlMode ", mode));
}

void check_offsets(const NV_ENC_RC_PARAMS& rates, int least, int most) {
    for (const int offset : {rates.cbQPIndexOffset, rates.crQPIndexOffset})
        if (offset < least || offset > most)
            forbid(Status::success, Status::invalid_param,
                   text("an offset of ", offset, " to the quantiser of chroma; the codec has ", least, " to ", most));
}

// By the standards, decoders have room for so many.
inline void check_kept(uint32_t kept, uint32_t most) {
    if (kept > most)
        forbid(Status::success, Status::invalid_param, text(kept, " pictures kept; there are ", most, " at most"));
}

// nvEncodeAPI.h on numRefL0, numRefL1, numFwdRefs and numBwdRefs; `kept` is 0 if the driver chooses it.
void check_lists(uint32_t earlier, uint32_t most_earlier, uint32_t later, uint32_t most_later, uint32_t kept) {
    if (earlier > most_earlier || later > most_later)
        forbid(Status::success, Status::invalid_param,
               text("lists of ", earlier, " and ", later, " references; they have ", most_earlier, " and ", most_later,
                    " at most"));
    if (kept > 0 && std::max(earlier, later) > kept)
        forbid(Status::success, Status::invalid_param,
               text("a list of ", std::max(earlier, later), " references; ", kept, " pictures are kept"));
}

template <typename Config>
void check_single_slice(const Config& config) {
    if (config.singleSliceIntraRefresh && !config.enableIntraRefresh)
        forbid(Status::success, Status::invalid_param, "singleSliceIntraRefresh without enableIntraRefresh");
}

// Other numbers are rounded down to the next power of two without a word.
inline void check_tiles(uint32_t columns, uint32_t rows) {
    for (const uint32_t count : {columns, rows})
        if (count > 64 || (count & (count - 1)) != 0)
            forbid(Status::success, Status::invalid_param, text(count, " tiles: 1, 2, 4, 8, 16, 32 or 64 can be"));
}

// Assumed, as no card is known that codes without chroma: what is to become monochrome is 4:2:0, and nothing adds to
// the quantiser of chroma.
inline void check_monochrome(const NV_ENC_CONFIG& config, uint32_t chroma_format) {
    if (config.monoChromeEncoding > 1) forbid(Status::success, Status::invalid_param, "monoChromeEncoding is 0 or 1");
    if (config.monoChromeEncoding == 0) return;
    if (chroma_format > 1)
        forbid(Status::success, Status::invalid_param, text("monoChromeEncoding with chromaFormatIDC ", chroma_format));
    if (config.rcParams.cbQPIndexOffset != 0 || config.rcParams.crQPIndexOffset != 0)
        forbid(Status::success, Status::invalid_param, "monoChromeEncoding with an offset to the quantiser of chroma");
}

// Of H.264: a height that its headers can say, and its levels.
template <typename CodecConfig>
void check_fields(const NV_ENC_CONFIG& config, const CodecConfig& codec_config, uint32_t height) {
    if (config.frameFieldMode <= NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME) return;
    const uint32_t lines = codec_config.chromaFormatIDC > 1 ? 2 : 4;
    if (height % lines != 0)
        forbid(Status::success, Status::invalid_param, text("fields of ", height, " lines; a multiple of ", lines));
    constexpr uint32_t least = 21, most = 41;
    if (codec_config.level != 0 && (codec_config.level < least || codec_config.level > most))
        forbid(Status::success, Status::invalid_param, text("fields at level ", codec_config.level));
}

void check_tools(const NV_ENC_CONFIG_H264& h264, const NV_ENC_CONFIG& config) {
    check_filler(h264.enableFillerDataInsertion, config);
    check_offsets(config.rcParams, -12, 12);
    check_kept(h264.maxNumRefFrames, 16);
    check_lists(h264.numRefL0, 7, h264.numRefL1, 7, h264.maxNumRefFrames);
    check_single_slice(h264);
    if (h264.disableDeblockingFilterIDC > 2)
        forbid(Status::success, Status::invalid_param, "disableDeblockingFilterIDC is 0, 1 or 2");
    if (h264.entropyCodingMode > NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC)
        forbid(Status::success, Status::invalid_param, "an unknown entropyCodingMode");
    if (h264.adaptiveTransformMode > NV_ENC_H264_ADAPTIVE_TRANSFORM_ENABLE)
        forbid(Status::success, Status::invalid_param, "an unknown adaptiveTransformMode");
}

void check_tools(const NV_ENC_CONFIG_HEVC& hevc, const NV_ENC_CONFIG& config) {
    check_filler(hevc.enableFillerDataInsertion, config);
    check_offsets(config.rcParams, -12, 12);
    check_kept(hevc.maxNumRefFramesInDPB, 16);
    check_lists(hevc.numRefL0, 7, hevc.numRefL1, 7, hevc.maxNumRefFramesInDPB);
    check_single_slice(hevc);
    if (NVSIM_GET(hevc, disableDeblockingFilterIDC, 0u) > 2)
        forbid(Status::success, Status::invalid_param, "disableDeblockingFilterIDC is 0, 1 or 2");
}

template <typename Av1Config>
void check_tools(const Av1Config& av1, const NV_ENC_CONFIG& config) {
    const NV_ENC_RC_PARAMS& rates = config.rcParams;
    check_filler(av1.enableBitstreamPadding, config);
    check_offsets(rates, -64, 63);
    check_kept(av1.maxNumRefFramesInDPB, 8);
    check_lists(av1.numFwdRefs, 4, av1.numBwdRefs, 3, av1.maxNumRefFramesInDPB);
    if (!av1.enableCustomTileConfig) check_tiles(av1.numTileColumns, av1.numTileRows);
    if (rates.cbQPIndexOffset != rates.crQPIndexOffset)
        forbid(Status::success, Status::invalid_param, "in AV1, deltaQ_v_ac is always that of deltaQ_u_ac");
}
