// Writes the options of a picture into the driver's struct. Included inside the namespace of each version.

inline void put_messages(NV_ENC_CODEC_PIC_PARAMS& picture, Codec codec, std::vector<NV_ENC_SEI_PAYLOAD>& messages) {
    if (messages.empty()) return;
    const auto count = static_cast<uint32_t>(messages.size());
    switch (codec) {
        case Codec::h264:
            picture.h264PicParams.seiPayloadArray = messages.data();
            picture.h264PicParams.seiPayloadArrayCnt = count;
            break;
        case Codec::hevc:
            picture.hevcPicParams.seiPayloadArray = messages.data();
            picture.hevcPicParams.seiPayloadArrayCnt = count;
            break;
        case Codec::av1:
            picture.av1PicParams.obuPayloadArray = messages.data();
            picture.av1PicParams.obuPayloadArrayCnt = count;
            break;
    }
}

inline void put_long_term(NV_ENC_CODEC_PIC_PARAMS& picture, Codec codec, const PictureExtras& extras, bool is_idr) {
    switch (codec) {
        case Codec::h264: put_long_term(picture.h264PicParams, extras, is_idr); break;
        case Codec::hevc: put_long_term(picture.hevcPicParams, extras, is_idr); break;
        case Codec::av1: put_long_term(picture.av1PicParams, extras, is_idr); break;
    }
}

inline NV_ENC_PIC_STRUCT picture_struct(Structure structure) {
    switch (structure) {
        case Structure::frame: return NV_ENC_PIC_STRUCT_FRAME;
        case Structure::top_first: return NV_ENC_PIC_STRUCT_FIELD_TOP_BOTTOM;
        case Structure::bottom_first: return NV_ENC_PIC_STRUCT_FIELD_BOTTOM_TOP;
    }
    fail(ErrorKind::invalid_config, "An unknown structure of a picture.");
}

inline NV_ENC_DISPLAY_PIC_STRUCT displayed_struct(Structure structure) {
    switch (structure) {
        case Structure::frame: return NV_ENC_PIC_STRUCT_DISPLAY_FRAME;
        case Structure::top_first: return NV_ENC_PIC_STRUCT_DISPLAY_FIELD_TOP_BOTTOM;
        case Structure::bottom_first: return NV_ENC_PIC_STRUCT_DISPLAY_FIELD_BOTTOM_TOP;
    }
    fail(ErrorKind::invalid_config, "An unknown structure of a picture.");
}

// Streams with time codes have a message that says it, too.
inline void put_structure(NV_ENC_PIC_PARAMS& picture, Codec codec, Structure structure) {
    picture.pictureStruct = picture_struct(structure);
    if (codec == Codec::h264)
        picture.codecPicParams.h264PicParams.timeCode.displayPicStruct = displayed_struct(structure);
}

template <typename CodecPicture>
void put_reference(CodecPicture& picture, bool is_reference, uint32_t display_order) {
    picture.refPicFlag = is_reference;
    picture.displayPOCSyntax = display_order;
}

// Flags are for a driver that decides by itself. One that does not wants to know the type, whether later pictures may
// refer to this one, and its place in the order of display, which H.264 counts in fields.
inline void put_type(NV_ENC_PIC_PARAMS& picture, Codec codec, const PictureRequest& request) {
    picture.encodePicFlags = request.force_idr ? NV_ENC_PIC_FLAG_OUTPUT_SPSPPS : 0u;
    picture.pictureType = request.is_idr        ? NV_ENC_PIC_TYPE_IDR
                          : request.force_intra ? NV_ENC_PIC_TYPE_I
                                                : NV_ENC_PIC_TYPE_P;
    const auto order = static_cast<uint32_t>(request.since_idr);
    switch (codec) {
        case Codec::h264: put_reference(picture.codecPicParams.h264PicParams, request.is_reference, 2 * order); break;
        case Codec::hevc: put_reference(picture.codecPicParams.hevcPicParams, request.is_reference, order); break;
        case Codec::av1: put_reference(picture.codecPicParams.av1PicParams, request.is_reference, order); break;
    }
}

// For H.264. The other codecs carry theirs as a message.
inline void put_time_code(NV_ENC_TIME_CODE& code, const TimeCode& time) {
    const NV_ENC_DISPLAY_PIC_STRUCT displayed = code.displayPicStruct;
    code = {};
    code.displayPicStruct = displayed;
    NV_ENC_CLOCK_TIMESTAMP_SET& clock = code.clockTimestamp[0];
    clock.cntDroppedFrames = time.drop_frame;
    if (time.drop_frame) set_drop_frame_counting(clock);
    clock.nFrames = time.frames & 0xFF;
    clock.secondsValue = time.seconds & 63;
    clock.minutesValue = time.minutes & 63;
    clock.hoursValue = time.hours & 31;
}
