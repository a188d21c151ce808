// MV-HEVC: what a client must not ask for. Included by front.inl, inside its namespace.
//
// FFmpeg's client is the model: it gives the views as pictures of their own, the left one (viewId 0) first, each with
// an output buffer and a timestamp, and leaves numViews at 0. Assumed: what does not go together with two views, that
// a picture waits for its other view, and that the end of the stream brings a left view out without one.

template <typename Config>
void check_views(const Config& config, const NV_ENC_INITIALIZE_PARAMS& params) {
    if (NVSIM_GET(config, enableMVHEVC, 0) == 0) {
        if (NVSIM_GET(config, outputHevc3DReferenceDisplayInfo, 0) != 0)
            forbid(Status::success, Status::invalid_param, "outputHevc3DReferenceDisplayInfo without enableMVHEVC");
        return;
    }
    const auto forbid_if = [](bool is_so, const std::string& what) {
        if (is_so) forbid(Status::success, Status::invalid_param, "enableMVHEVC with " + what);
    };
    const uint32_t views = NVSIM_GET(config, numViews, 0u);
    forbid_if(views != 0 && views != 2, text("numViews ", views));
    forbid_if(NVSIM_GET(config, enableAlphaLayerEncoding, 0) != 0, "an alpha layer");
    forbid_if(NVSIM_GET(config, enableTemporalSVC, 0) != 0, "temporal layers");
    forbid_if(config.chromaFormatIDC > 1, "4:2:2 or 4:4:4");
    forbid_if(NVSIM_GET(config, outputBitDepth, 0) == 10, "10 bits");
    forbid_if(params.enableSubFrameWrite, "sub-frame output");
    forbid_if(params.enablePTD == 0, "types that the client gives");
}

// For two displays at least: what the eyes see. Lengths of numbers are those of H.265, G.14.2.3.
template <typename Info>
SeiMessage reference_displays(const Info& info) {
    const auto mantissa_bits = [](int32_t exponent, int32_t precision) {
        return exponent == 0 ? std::max(0, precision - 30) : std::max(0, exponent + precision - 31);
    };
    const auto write = [&](BitWriter& out, int32_t exponent, int32_t mantissa, int32_t precision) {
        out.bits(static_cast<uint32_t>(exponent), 6);
        out.bits(static_cast<uint32_t>(mantissa), mantissa_bits(exponent, precision));
    };
    BitWriter out;
    out.ue(static_cast<uint32_t>(info.precRefDisplayWidth));
    out.bit(info.refViewingDistanceFlag);
    if (info.refViewingDistanceFlag) out.ue(static_cast<uint32_t>(info.precRefViewingDist));
    out.ue(static_cast<uint32_t>(info.numRefDisplaysMinus1));
    for (int32_t i = 0; i <= info.numRefDisplaysMinus1; ++i) {
        out.ue(static_cast<uint32_t>(info.leftViewId[i]));
        out.ue(static_cast<uint32_t>(info.rightViewId[i]));
        write(out, info.exponentRefDisplayWidth[i], info.mantissaRefDisplayWidth[i], info.precRefDisplayWidth);
        if (info.refViewingDistanceFlag)
            write(out, info.exponentRefViewingDistance[i], info.mantissaRefViewingDistance[i], info.precRefViewingDist);
        out.bit(info.additionalShiftPresentFlag[i]);
        if (info.additionalShiftPresentFlag[i]) out.bits(static_cast<uint32_t>(info.numSampleShiftPlus512[i]), 10);
    }
    out.bit(info.threeDimensionalReferenceDisplaysExtensionFlag);
    return {176, out.size() % 8 == 0 ? out.align() : out.finish()};
}

template <typename Picture>
void take_views(Submission& submission, std::vector<SeiMessage>& messages, const Picture& picture,
                const StreamSettings& stream) {
    set_optional(picture, [&](const auto& hevc) -> decltype(void(hevc.p3DReferenceDisplayInfo)) {
        submission.view = hevc.viewId;
        if (hevc.p3DReferenceDisplayInfo == nullptr) return;
        require_announced(stream.reference_displays, "p3DReferenceDisplayInfo", "outputHevc3DReferenceDisplayInfo");
        const auto& info = *hevc.p3DReferenceDisplayInfo;
        if (info.numRefDisplaysMinus1 < 0 || info.numRefDisplaysMinus1 > 31)
            forbid(Status::success, Status::invalid_param,
                   text("numRefDisplaysMinus1 ", info.numRefDisplaysMinus1, "; 0 to 31 are possible"));
        else if (stream.reference_displays && submission.view == 0)
            messages.push_back(reference_displays(info));
    });
}
