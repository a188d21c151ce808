// The tools of the codecs, for the structs that have fields for them. Included inside the namespace of each version.

inline uint32_t deblocking_filter_idc(Deblocking deblocking) {
    switch (deblocking) {
        case Deblocking::on: return 0;
        case Deblocking::off: return 1;
        case Deblocking::within_slices: return 2;
    }
    fail(ErrorKind::invalid_config, "An unknown mode of deblocking.");
}

// In AV1's frame header, which has 16 bits for it.
inline uint32_t shown_size(uint64_t size, uint64_t numerator, uint64_t denominator) {
    return static_cast<uint32_t>(std::min<uint64_t>((size * numerator + denominator / 2) / denominator, 0x10000));
}

// What a sample's aspect makes of the picture: its shape on a display, or in AV1 the size at which it is shown,
// which is never smaller than the picture.
inline void set_sample_aspect(NV_ENC_INITIALIZE_PARAMS& parameters, const Settings& settings) {
    if (!settings.sample_aspect) return;
    const auto [width, height] = *settings.sample_aspect;
    if (settings.codec == Codec::av1) {
        if (width >= height) parameters.darWidth = shown_size(settings.width, width, height);
        if (width < height) parameters.darHeight = shown_size(settings.height, height, width);
        return;
    }
    const uint64_t wide = uint64_t{settings.width} * width, high = uint64_t{settings.height} * height;
    const uint64_t common = std::gcd(wide, high);
    parameters.darWidth = static_cast<uint32_t>(wide / common);
    parameters.darHeight = static_cast<uint32_t>(high / common);
}

inline void set_chroma_qp_offset(NV_ENC_RC_PARAMS& out, const Settings& settings) {
    if (!settings.chroma_qp_offset) return;
    const auto [cb, cr] = *settings.chroma_qp_offset;
    out.cbQPIndexOffset = static_cast<int8_t>(cb);
    out.crQPIndexOffset = static_cast<int8_t>(cr);
    if (settings.codec != Codec::av1) return;
    out.uDcQPIndexOffset = out.cbQPIndexOffset;  // AV1 has numbers of their own for the mean of a block
    out.vDcQPIndexOffset = out.crQPIndexOffset;
}

inline NV_ENC_NUM_REF_FRAMES reference_count(uint32_t count) { return static_cast<NV_ENC_NUM_REF_FRAMES>(count); }

// Both lists in the fields of H.264 and HEVC.
template <typename CodecConfig>
void set_lists(CodecConfig& config, const References& references) {
    if (references.l0 > 0) config.numRefL0 = reference_count(references.l0);
    if (references.l1 > 0) config.numRefL1 = reference_count(references.l1);
}

// What H.264 and HEVC have under the same names.
template <typename CodecConfig>
void set_annex_b_tools(CodecConfig& config, const Settings& settings) {
    if (settings.aud) config.outputAUD = *settings.aud;
    if (settings.filler_data) config.enableFillerDataInsertion = *settings.filler_data;
    if (settings.constrained_intra) config.useConstrainedIntraPred = *settings.constrained_intra;
    if (settings.single_slice_refresh) config.singleSliceIntraRefresh = *settings.single_slice_refresh;
    set_lists(config, settings.references);
}

// Without `svc`, either kind of picture forms the hierarchy: B-frames if there are any.
inline void set_layers(NV_ENC_CONFIG_H264& config, const Settings& settings) {
    const Layers& layers = settings.layers;
    if (layers.count == 0) return;
    config.numTemporalLayers = config.maxTemporalLayers = layers.count;
    config.enableTemporalSVC = layers.svc;
    config.hierarchicalPFrames = !layers.svc && settings.b_frames == 0;
    config.hierarchicalBFrames = !layers.svc && settings.b_frames > 0;
    config.disableSVCPrefixNalu = !layers.prefixes;
    config.enableScalabilityInfoSEI = layers.scalability_info;
}

inline void set_tools(NV_ENC_CONFIG_H264& config, const Settings& settings) {
    set_annex_b_tools(config, settings);
    if (settings.references.dpb > 0) config.maxNumRefFrames = settings.references.dpb;
    set_layers(config, settings);
    if (settings.deblocking) config.disableDeblockingFilterIDC = deblocking_filter_idc(*settings.deblocking);
    if (settings.entropy)
        config.entropyCodingMode = *settings.entropy == Entropy::cabac ? NV_ENC_H264_ENTROPY_CODING_MODE_CABAC
                                                                       : NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC;
    if (settings.transform_8x8)
        config.adaptiveTransformMode =
            *settings.transform_8x8 ? NV_ENC_H264_ADAPTIVE_TRANSFORM_ENABLE : NV_ENC_H264_ADAPTIVE_TRANSFORM_DISABLE;
}

inline void set_tools(NV_ENC_CONFIG_HEVC& config, const Settings& settings) {
    set_annex_b_tools(config, settings);
    if (settings.references.dpb > 0) config.maxNumRefFramesInDPB = settings.references.dpb;
    if (settings.layers.count > 0) set_layers(config, settings.layers);
    config.enableAlphaLayerEncoding = settings.alpha.has_value();
    if (settings.two_views) set_views(config);
    if (!settings.deblocking) return;
    config.disableDeblockAcrossSliceBoundary = *settings.deblocking == Deblocking::within_slices;
    set_deblocking_off(config, *settings.deblocking == Deblocking::off);
}

inline void set_tools(NV_ENC_CONFIG_AV1& config, const Settings& settings) {
    if (settings.filler_data) config.enableBitstreamPadding = *settings.filler_data;
    const References& references = settings.references;
    if (references.dpb > 0) config.maxNumRefFramesInDPB = references.dpb;
    if (references.l0 > 0) config.numFwdRefs = reference_count(references.l0);
    if (references.l1 > 0) config.numBwdRefs = reference_count(references.l1);
    if (settings.layers.count > 0) set_layers(config, settings.layers);
    if (settings.tiles.columns > 0) config.numTileColumns = settings.tiles.columns;
    if (settings.tiles.rows > 0) config.numTileRows = settings.tiles.rows;
}
