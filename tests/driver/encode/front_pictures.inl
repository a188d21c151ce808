// Pictures and their access units. Included by front.inl, inside its namespace.

PictureType picture_type(NV_ENC_PIC_TYPE type) {
    switch (type) {
        case NV_ENC_PIC_TYPE_B: return PictureType::b;
        case NV_ENC_PIC_TYPE_I: return PictureType::i;
        case NV_ENC_PIC_TYPE_IDR: return PictureType::idr;
        default: return PictureType::p;
    }
}

void* const null_pointer = nullptr;

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
    submission.state = NVSIM_GET(params, stateBufferIdx, 0u);
    submission.reconstruction = NVSIM_GET(params, outputReconBuffer, null_pointer);
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
            take_alpha_buffer(submission, *params, session.stream());
            if (!(params->encodePicFlags & end_of_stream) && session.codec() == Codec::hevc)
                take_views(submission, session.next_sei(), params->codecPicParams.hevcPicParams, session.stream());
            submission.hints = hints_of(*params, session.codec(), session.takes_hints());
            if (!(params->encodePicFlags & end_of_stream))
                submission.film_grain = grain_of(params->codecPicParams, session.stream());
            submission.references = references_of(params->codecPicParams, session.codec());
            return session.encode(submission);
        },
        shown(params));
}

// NV_ENC_OUTPUT_STATS_BLOCK and NV_ENC_OUTPUT_STATS_ROW, which API 11 does not have.
struct UnitStruct {
    uint32_t version;
    uint8_t qp;
    uint8_t reserved[3];
    uint32_t bits;
    uint32_t satd;  // since API 13
    uint32_t reserved1[12];
};
static_assert(sizeof(UnitStruct) == 64);
constexpr uint32_t unit_version = NVENCAPI_VERSION | 1u << 16 | 7u << 28;

// nvEncodeAPI.h: the client brings the memory, with a struct for each block or row.
void hand_out_units(void* memory, uint32_t size, const std::vector<UnitStatistics>* units) {
    if (units == nullptr && (memory != nullptr || size > 0))
        return forbid(Status::success, Status::invalid_param, "outputStatsPtr is given without enableOutputStats");
    if (units == nullptr || (memory == nullptr && size == 0)) return;
    auto* written = &need(static_cast<UnitStruct*>(memory), "outputStatsPtr");
    if (size < units->size() * sizeof *written)
        violate(Status::not_enough_buffer, text("outputStatsPtrSize is ", size, "; ", units->size(), " structs take ",
                                                units->size() * sizeof *written));
    for (const UnitStatistics& unit : *units) {
        check_version(written->version, unit_version, "NV_ENC_OUTPUT_STATS_BLOCK or _ROW");
        *written = {unit_version, unit.qp, {}, unit.bits, NVENCAPI_MAJOR_VERSION >= 13 ? unit.satd : 0, {}};
        ++written;
    }
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
            params->hwEncodeStatus = locked.status;
            if (params->sliceOffsets != nullptr) {
                const std::vector<uint32_t> offsets = session.slice_offsets(locked);
                std::copy(offsets.begin(), offsets.end(), params->sliceOffsets);
            }
            params->numSlices = locked.slices;
            NVSIM_SET(*params, frameSatd, locked.satd);
            hand_out_units(NVSIM_GET(*params, outputStatsPtr, null_pointer), NVSIM_GET(*params, outputStatsPtrSize, 0u),
                           locked.units);
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
                NVSIM_SET(*params, averageMVX, locked.motion_x);
                NVSIM_SET(*params, averageMVY, locked.motion_y);
            }
            return Status::success;
        },
        shown(params));
}

NVENCSTATUS run_motion_estimation_only(void* encoder, NV_ENC_MEONLY_PARAMS* params) {
    static CallSite site("nvEncRunMotionEstimationOnly");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "meOnlyParams").version, NV_ENC_MEONLY_PARAMS_VER, "NV_ENC_MEONLY_PARAMS");
            check_reserved(*params, session.codec());
            if (params->completionEvent != nullptr)
                violate(Status::invalid_event, "a completion event was given; the session is not asynchronous");
            session.estimate(params->inputBuffer, params->referenceFrame, params->mvBuffer, params->inputWidth,
                             params->inputHeight);
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
