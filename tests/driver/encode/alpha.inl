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

// The alpha of NV12 comes in a buffer of its own; that of ARGB and ABGR is in the picture.
template <typename Params>
void take_alpha_buffer(Submission& submission, const Params& params, const StreamSettings& stream) {
    set_optional(params, [&](const auto& picture) -> decltype(void(picture.alphaBuffer)) {
        const bool is_end = (picture.encodePicFlags & end_of_stream) != 0;
        const auto forbid_if = [](bool is_so, const char* what) {
            if (is_so) forbid(Status::success, Status::invalid_param, what);
        };
        forbid_if(picture.alphaBuffer != nullptr && !stream.tools.alpha,
                  "alphaBuffer without enableAlphaLayerEncoding");
        if (!stream.tools.alpha || is_end) return;
        const bool has_own =
            picture.bufferFmt == NV_ENC_BUFFER_FORMAT_ARGB || picture.bufferFmt == NV_ENC_BUFFER_FORMAT_ABGR;
        forbid_if(has_own && picture.alphaBuffer != nullptr, "alphaBuffer with pictures that have their own alpha");
        forbid_if(!has_own && picture.bufferFmt != NV_ENC_BUFFER_FORMAT_NV12,
                  "an alpha layer, and pictures that are neither NV12, ARGB nor ABGR");
        forbid_if(!has_own && picture.alphaBuffer == nullptr, "NV12 with an alpha layer, and no alphaBuffer");
        if (!has_own) submission.alpha = picture.alphaBuffer;
    });
}
