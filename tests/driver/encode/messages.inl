// SEI messages, metadata OBUs and time codes of a picture. Included by front.inl, inside its namespace.

void take_sei(std::vector<SeiMessage>& out, const NV_ENC_SEI_PAYLOAD* messages, uint32_t count) {
    for (uint32_t i = 0; messages != nullptr && i < count; ++i)
        out.push_back({messages[i].payloadType, {messages[i].payload, messages[i].payload + messages[i].payloadSize}});
}

void take_sei(std::vector<SeiMessage>& out, const NV_ENC_CODEC_PIC_PARAMS& params, Codec codec) {
    if (codec == Codec::h264)
        take_sei(out, params.h264PicParams.seiPayloadArray, params.h264PicParams.seiPayloadArrayCnt);
    if (codec == Codec::hevc)
        take_sei(out, params.hevcPicParams.seiPayloadArray, params.hevcPicParams.seiPayloadArrayCnt);
    if (codec == Codec::av1)
        set_optional(params, [&](auto& union_of_codecs) -> decltype(void(union_of_codecs.av1PicParams)) {
            take_sei(out, union_of_codecs.av1PicParams.obuPayloadArray,
                     union_of_codecs.av1PicParams.obuPayloadArrayCnt);
        });
}

// One bit before 13.1, and its low bit with four high ones from then on.
template <typename Clock>
uint32_t counting_type(const Clock& clock) {
    const uint32_t low = NVSIM_GET(clock, countingType, 0u) | NVSIM_GET(clock, countingTypeLSB, 0u);
    return low | NVSIM_GET(clock, countingTypeMSB, 0u) << 1;
}

// clock_timestamp() from its counting type on, with frames in so many bits.
template <typename Clock>
void write_clock(BitWriter& out, const Clock& clock, int frame_bits) {
    out.bits(counting_type(clock), 5);
    out.bit(1);  // full_timestamp_flag
    out.bit(clock.discontinuityFlag);
    out.bit(clock.cntDroppedFrames);
    out.bits(clock.nFrames, frame_bits);
    out.bits(clock.secondsValue, 6);
    out.bits(clock.minutesValue, 6);
    out.bits(clock.hoursValue, 5);
}

// H.264's number for a picture that is displayed as a frame, or by the top or the bottom field first, for which NVENC
// has 0 to 2. API 11 has no names for these.
inline uint32_t pic_struct(uint32_t displayed) { return displayed == 1 || displayed == 2 ? displayed + 2 : 0; }

// H.264's picture timing, which every picture of a stream with time codes has: with one clock timestamp or none. Two
// fields have room for a second one, which is not used.
template <typename Code>
SeiMessage picture_timing(const Code& code, bool left_out) {
    BitWriter out;
    const uint32_t structure = pic_struct(static_cast<uint32_t>(code.displayPicStruct));
    const bool has_fields = structure != 0;
    out.bits(structure, 4);
    out.bit(left_out ? 0 : 1);
    if (!left_out) {
        out.bits(has_fields ? 1 : 0, 2);  // ct_type: interlaced, or progressive
        out.bit(1);                       // nuit_field_based_flag
        write_clock(out, code.clockTimestamp[0], 8);
        out.bits(0, 24);  // time_offset
    }
    if (has_fields) out.bit(0);
    return {1, out.finish()};
}

template <typename Code>
SeiMessage hevc_time_code(const Code& code) {
    BitWriter out;
    out.bits(1, 2);  // num_clock_ts
    out.bit(1);      // clock_timestamp_flag
    out.bit(0);      // units_field_based_flag
    write_clock(out, code.clockTimestamp[0], 9);
    out.bits(0, 5);  // time_offset_length
    return {136, out.finish()};
}

// The driver writes these itself, before the client's own messages. API 11 has none.
void take_time_code(std::vector<SeiMessage>& out, const NV_ENC_CODEC_PIC_PARAMS& params, const StreamSettings& stream) {
    if (!stream.time_codes) return;
    const auto left_out = [](const auto& code) { return NVSIM_GET(code, skipClockTimestampInsertion, 0) != 0; };
    if (stream.codec == Codec::h264)
        set_optional(params.h264PicParams, [&](const auto& picture) -> decltype(void(picture.timeCode)) {
            out.push_back(picture_timing(picture.timeCode, left_out(picture.timeCode)));
        });
    if (stream.codec == Codec::hevc)
        set_optional(params.hevcPicParams, [&](const auto& picture) -> decltype(void(picture.timeCode)) {
            if (!left_out(picture.timeCode)) out.push_back(hevc_time_code(picture.timeCode));
        });
}

template <typename Point>
void write_points(BitWriter& out, std::initializer_list<Point> points) {
    for (const Point& point : points) {
        out.bits(point.x, 16);
        out.bits(point.y, 16);
    }
}

// The SEI message has green first, the OBU red.
template <typename Display>
SeiMessage mastering_display(const Display& display, Codec codec) {
    BitWriter out;
    const bool is_obu = codec == Codec::av1;
    if (is_obu) write_points(out, {display.r, display.g, display.b, display.whitePoint});
    if (!is_obu) write_points(out, {display.g, display.b, display.r, display.whitePoint});
    out.bits(display.maxLuma, 32);
    out.bits(display.minLuma, 32);
    return {is_obu ? 2u : 137u, out.align()};
}

template <typename Light>
SeiMessage content_light(const Light& light, Codec codec) {
    BitWriter out;
    out.bits(light.maxContentLightLevel, 16);
    out.bits(light.maxPicAverageLightLevel, 16);
    return {codec == Codec::av1 ? 1u : 144u, out.align()};
}

// Not documented: what a card does with metadata that the configuration does not announce. Taken for a mistake here.
// Interfaces before 13.0 have no such metadata, and do not call it.
[[maybe_unused]] void require_announced(bool is_announced, const char* pointer, const char* flag) {
    if (!is_announced)
        forbid(Status::success, Status::invalid_param, text(pointer, " is given, but ", flag, " was not set"));
}

template <typename Picture>
void take_hdr(std::vector<SeiMessage>& out, const Picture& picture, const StreamSettings& stream) {
    set_optional(picture, [&](const auto& hdr) -> decltype(void(hdr.pMasteringDisplay)) {
        if (hdr.pMasteringDisplay != nullptr) {
            require_announced(stream.mastering_display, "pMasteringDisplay", "outputMasteringDisplay");
            if (stream.mastering_display) out.push_back(mastering_display(*hdr.pMasteringDisplay, stream.codec));
        }
        if (hdr.pMaxCll != nullptr) {
            require_announced(stream.content_light, "pMaxCll", "outputMaxCll");
            if (stream.content_light) out.push_back(content_light(*hdr.pMaxCll, stream.codec));
        }
    });
}

// The driver writes this itself, before the client's own messages.
void take_hdr(std::vector<SeiMessage>& out, const NV_ENC_CODEC_PIC_PARAMS& params, const StreamSettings& stream) {
    if (stream.codec == Codec::hevc) take_hdr(out, params.hevcPicParams, stream);
    if (stream.codec == Codec::av1)
        set_optional(params, [&](auto& union_of_codecs) -> decltype(void(union_of_codecs.av1PicParams)) {
            take_hdr(out, union_of_codecs.av1PicParams, stream);
        });
}
