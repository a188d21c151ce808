// Pictures and their access units. Included by front.inl, inside its namespace.

PictureType picture_type(NV_ENC_PIC_TYPE type) {
    switch (type) {
        case NV_ENC_PIC_TYPE_B: return PictureType::b;
        case NV_ENC_PIC_TYPE_I: return PictureType::i;
        case NV_ENC_PIC_TYPE_IDR: return PictureType::idr;
        default: return PictureType::p;
    }
}

Submission submission_of(const NV_ENC_PIC_PARAMS& params) {
    Submission submission;
    submission.width = params.inputWidth;
    submission.height = params.inputHeight;
    submission.pitch = params.inputPitch;
    submission.flags = params.encodePicFlags;
    submission.frame_index = params.frameIdx;
    submission.timestamp = params.inputTimeStamp;
    submission.duration = params.inputDuration;
    submission.input = params.inputBuffer;
    submission.output = params.outputBitstream;
    submission.completion_event = params.completionEvent;
    submission.format = static_cast<uint32_t>(params.bufferFmt);
    submission.structure = static_cast<uint32_t>(params.pictureStruct);
    submission.type = picture_type(params.pictureType);
    submission.map = params.qpDeltaMap;
    submission.map_size = params.qpDeltaMapSize;
    return submission;
}

template <typename Picture>
PictureReferences references_of(const Picture& picture) {
    PictureReferences found;
    found.marks = NVSIM_GET(picture, ltrMarkFrame, 0) != 0;
    found.slot = NVSIM_GET(picture, ltrMarkFrameIdx, 0u);
    found.uses = NVSIM_GET(picture, ltrUseFrames, 0) != 0;
    found.bitmap = NVSIM_GET(picture, ltrUseFrameBitmap, 0u);
    found.usage_mode = NVSIM_GET(picture, ltrUsageMode, 0u);
    found.is_reference = picture.refPicFlag != 0;
    return found;
}

PictureReferences references_of(const NV_ENC_CODEC_PIC_PARAMS& params, Codec codec) {
    if (codec == Codec::h264) return references_of(params.h264PicParams);
    if (codec == Codec::hevc) return references_of(params.hevcPicParams);
    PictureReferences found;
    set_optional(params, [&](auto& union_of_codecs) -> decltype(void(union_of_codecs.av1PicParams)) {
        found = references_of(union_of_codecs.av1PicParams);
    });
    return found;
}

NVENCSTATUS encode_picture(void* encoder, NV_ENC_PIC_PARAMS* params) {
    static CallSite site("nvEncEncodePicture");
    const bool ends = params != nullptr && (params->encodePicFlags & end_of_stream) != 0;
    return call(
        site, encoder, ends ? Purpose::end : Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "encodePicParams").version, NV_ENC_PIC_PARAMS_VER, "NV_ENC_PIC_PARAMS");
            check_reserved(*params, session.codec());
            session.next_sei().clear();
            if (!(params->encodePicFlags & end_of_stream)) {
                take_time_code(session.next_sei(), params->codecPicParams, session.stream());
                take_hdr(session.next_sei(), params->codecPicParams, session.stream());
                take_sei(session.next_sei(), params->codecPicParams, session.codec());
            }
            Submission submission = submission_of(*params);
            check_alpha_buffer(*params, session.stream());
            if (!(params->encodePicFlags & end_of_stream))
                submission.film_grain = grain_of(params->codecPicParams, session.stream());
            submission.references = references_of(params->codecPicParams, session.codec());
            return session.encode(submission);
        },
        shown(params));
}

NVENCSTATUS lock_bitstream(void* encoder, NV_ENC_LOCK_BITSTREAM* params) {
    static CallSite site("nvEncLockBitstream");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock& lock) {
            check_version(need(params, "lockBitstreamBufferParams").version, NV_ENC_LOCK_BITSTREAM_VER,
                          "NV_ENC_LOCK_BITSTREAM");
            check_reserved(*params, session.codec());
            const LockedBitstream locked = session.lock(lock, params->outputBitstream, !params->doNotWait);
            params->frameIdx = locked.frame_index;
            params->hwEncodeStatus = 2;
            params->numSlices = 1;
            params->bitstreamSizeInBytes = locked.size;
            params->outputTimeStamp = locked.timestamp;
            params->outputDuration = locked.duration;
            params->bitstreamBufferPtr = locked.data;
            params->pictureType = static_cast<NV_ENC_PIC_TYPE>(locked.type);
            params->pictureStruct = static_cast<NV_ENC_PIC_STRUCT>(locked.structure);
            params->frameAvgQP = locked.average_qp;
            NVSIM_SET(*params, alphaLayerSizeInBytes, locked.alpha_bytes);
            NVSIM_SET(*params, temporalId, locked.temporal_layer);
            NVSIM_SET(*params, frameIdxDisplay, locked.display_index);
            if (params->getRCStats) {
                NVSIM_SET(*params, intraMBCount, locked.intra_blocks);
                NVSIM_SET(*params, interMBCount, locked.inter_blocks);
            }
            return Status::success;
        },
        shown(params));
}

NVENCSTATUS unlock_bitstream(void* encoder, NV_ENC_OUTPUT_PTR buffer) {
    static CallSite site("nvEncUnlockBitstream");
    return call(
        site, encoder, Purpose::release,
        [&](Session& session, Lock&) {
            session.unlock(buffer);
            return Status::success;
        },
        shown("bitstreamBuffer", buffer));
}

NVENCSTATUS invalidate_ref_frames(void* encoder, uint64_t timestamp) {
    static CallSite site("nvEncInvalidateRefFrames");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            session.invalidate(timestamp);
            return Status::success;
        },
        [&](Fields& out, Codec) { out.number("invalidRefFrameTimeStamp", timestamp); });
}
