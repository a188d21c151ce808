// Temporal layers: what a client asks for, and what it must not. The rules are those of NVENC's programming guide on
// temporal scalability and of nvEncodeAPI.h. Included by front.inl, inside its namespace.

// A client that asks for more layers than one of a codec that has no flag for them gets a hierarchy without names.
inline void read_layers(const NV_ENC_CONFIG_H264& config, StreamSettings& stream) {
    TemporalLayers& layers = stream.layers;
    layers.named = config.enableTemporalSVC;
    if (layers.named || config.hierarchicalPFrames)
        layers.count = static_cast<int>(std::clamp(config.numTemporalLayers, 1u, 8u));
    layers.prefixes = layers.named && !config.disableSVCPrefixNalu;
    layers.message = layers.named && config.enableScalabilityInfoSEI;
}

template <typename Config>
void read_layers(const Config& config, StreamSettings& stream) {
    if (NVSIM_GET(config, enableTemporalSVC, 0) == 0) return;
    stream.layers.named = true;
    stream.layers.count = static_cast<int>(std::clamp(NVSIM_GET(config, numTemporalLayers, 0u), 1u, 8u));
}

template <typename NeedIf>
void need_layers(const NV_ENC_CONFIG_H264& config, NeedIf need_if) {
    need_if(config.enableTemporalSVC, "SUPPORT_TEMPORAL_SVC");
    need_if(config.hierarchicalPFrames, "SUPPORT_HIERARCHICAL_PFRAMES");
    need_if(config.hierarchicalBFrames, "SUPPORT_HIERARCHICAL_BFRAMES");
}

template <typename Config, typename NeedIf>
void need_layers(const Config& config, NeedIf need_if) {
    need_if(NVSIM_GET(config, enableTemporalSVC, 0) != 0, "SUPPORT_TEMPORAL_SVC");
}

// `kept` is 0 if the driver chooses it.
inline void check_layers(uint32_t count, uint32_t most, uint32_t kept) {
    if (count == 0) forbid(Status::success, Status::invalid_param, "temporal layers with numTemporalLayers 0");
    if (count > most)
        forbid(Status::success, Status::invalid_param,
               text("numTemporalLayers ", count, " with a maximum of ", most, " layers"));
    if (kept > 0 && most > 2 && kept < 2 * (most - 2))
        forbid(Status::success, Status::invalid_param,
               text("at most ", most, " layers with ", kept, " pictures kept: they need ", 2 * (most - 2)));
}

// NVENC's programming guide: frameIntervalP is ignored with temporal scalability.
inline void check_scalable(const NV_ENC_CONFIG& config) {
    if (config.frameIntervalP > 1)
        forbid(Status::success, Status::invalid_param,
               text("enableTemporalSVC with frameIntervalP ", config.frameIntervalP));
}

inline void check_layers(const NV_ENC_CONFIG_H264& h264, const NV_ENC_CONFIG& config) {
    const bool layered = h264.enableTemporalSVC || h264.hierarchicalPFrames || h264.hierarchicalBFrames;
    if (layered) check_layers(h264.numTemporalLayers, h264.maxTemporalLayers, h264.maxNumRefFrames);
    if (h264.enableTemporalSVC) return check_scalable(config);
    if (h264.disableSVCPrefixNalu || h264.enableScalabilityInfoSEI)
        forbid(Status::success, Status::invalid_param,
               "disableSVCPrefixNalu and enableScalabilityInfoSEI apply with enableTemporalSVC only");
    if (h264.hierarchicalBFrames && config.frameIntervalP < 2)
        forbid(Status::success, Status::invalid_param, "hierarchicalBFrames without B pictures");
}

template <typename Config>
void check_layers(const Config& codec_config, const NV_ENC_CONFIG& config) {
    if (NVSIM_GET(codec_config, enableTemporalSVC, 0) == 0) return;
    check_layers(NVSIM_GET(codec_config, numTemporalLayers, 0u), codec_config.maxTemporalLayersMinus1 + 1,
                 NVSIM_GET(codec_config, maxNumRefFramesInDPB, 0u));
    check_scalable(config);
}
