// The alpha layer of HEVC: what a client must not ask for. The rules are those of NVENC's programming guide on alpha
// layers. Included by front.inl, inside its namespace.

template <typename Config>
void check_alpha(const Config& config, const NV_ENC_INITIALIZE_PARAMS& params) {
    if (NVSIM_GET(config, enableAlphaLayerEncoding, 0) == 0) return;
    const auto forbid_if = [](bool is_so, const char* what) {
        if (is_so) forbid(Status::success, Status::invalid_param, text("enableAlphaLayerEncoding with ", what));
    };
    forbid_if(config.chromaFormatIDC > 1, "4:2:2 or 4:4:4");
    forbid_if(NVSIM_GET(config, outputBitDepth, 0) == 10 || NVSIM_GET(config, pixelBitDepthMinus8, 0) != 0, "10 bits");
    forbid_if(params.enableWeightedPrediction, "weighted prediction");
    forbid_if(params.enableSubFrameWrite, "sub-frame output");
}

// The alpha of NV12 comes in a buffer of its own, which is not simulated; that of ARGB and ABGR is in the picture.
template <typename Params>
void check_alpha_buffer(const Params& params, const StreamSettings& stream) {
    set_optional(params, [&](const auto& picture) -> decltype(void(picture.alphaBuffer)) {
        const bool is_end = (picture.encodePicFlags & end_of_stream) != 0;
        if (picture.alphaBuffer != nullptr && !stream.tools.alpha)
            forbid(Status::success, Status::invalid_param, "alphaBuffer without enableAlphaLayerEncoding");
        if (!stream.tools.alpha || is_end) return;
        const bool has_own =
            picture.bufferFmt == NV_ENC_BUFFER_FORMAT_ARGB || picture.bufferFmt == NV_ENC_BUFFER_FORMAT_ABGR;
        if (has_own && picture.alphaBuffer != nullptr)
            forbid(Status::success, Status::invalid_param, "alphaBuffer with pictures that have their own alpha");
        if (!has_own) refuse(Status::unsupported_param, "alpha in a buffer of its own is not simulated");
    });
}
