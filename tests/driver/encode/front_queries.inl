// What the GPU can do. Included by front.inl, inside its namespace.

template <typename Item>
Status list_out(const std::vector<Item>& items, Item* array, uint32_t size, uint32_t* count) {
    need(count, "the count");
    *count = 0;
    if (array == nullptr && size > 0) violate(Status::invalid_ptr, "the array is null");
    for (; *count < items.size() && *count < size; ++*count) array[*count] = items[*count];
    return Status::success;
}

std::vector<GUID> guids_of(const std::vector<const char*>& names) {
    std::vector<GUID> guids;
    for (const char* name : names)
        if (const GUID* guid = guid_named(name)) guids.push_back(*guid);
    return guids;
}

std::vector<GUID> codec_guids(Session& session) {
    std::vector<const char*> names;
    for (Codec codec : {Codec::h264, Codec::hevc, Codec::av1})
        if (session.device().supports(codec)) names.push_back(guid_name_of(codec));
    return guids_of(names);
}

std::vector<GUID> profile_guids(Session& session, Codec codec) {
    const auto has = [&](const char* name) { return session.device().cap(codec, name) != 0; };
    return guids_of(profile_guid_names(codec, has("SUPPORT_10BIT_ENCODE"), has("SUPPORT_YUV422_ENCODE")));
}

std::vector<NV_ENC_BUFFER_FORMAT> input_formats(Session& session, Codec codec) {
    std::vector<NV_ENC_BUFFER_FORMAT> formats;
    for (PixelFormat format : all_pixel_formats()) {
        const auto value = static_cast<NV_ENC_BUFFER_FORMAT>(format);
        if (session.device().takes(codec, format) && name_of(value) != nullptr) formats.push_back(value);
    }
    return formats;
}

NVENCSTATUS get_encode_guid_count(void* encoder, uint32_t* count) {
    static CallSite site("nvEncGetEncodeGUIDCount");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            need(count, "encodeGUIDCount") = static_cast<uint32_t>(codec_guids(session).size());
            return Status::success;
        },
        shown_count(count));
}

NVENCSTATUS get_encode_guids(void* encoder, GUID* guids, uint32_t size, uint32_t* count) {
    static CallSite site("nvEncGetEncodeGUIDs");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) { return list_out(codec_guids(session), guids, size, count); },
        shown_count(count));
}

NVENCSTATUS get_encode_profile_guid_count(void* encoder, GUID codec_guid, uint32_t* count) {
    static CallSite site("nvEncGetEncodeProfileGUIDCount");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            const Codec codec = need_codec(session, codec_guid);
            need(count, "encodeProfileGUIDCount") = static_cast<uint32_t>(profile_guids(session, codec).size());
            return Status::success;
        },
        shown_count(count));
}

NVENCSTATUS get_encode_profile_guids(void* encoder, GUID codec_guid, GUID* guids, uint32_t size, uint32_t* count) {
    static CallSite site("nvEncGetEncodeProfileGUIDs");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            return list_out(profile_guids(session, need_codec(session, codec_guid)), guids, size, count);
        },
        shown_count(count));
}

NVENCSTATUS get_input_format_count(void* encoder, GUID codec_guid, uint32_t* count) {
    static CallSite site("nvEncGetInputFormatCount");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            const Codec codec = need_codec(session, codec_guid);
            need(count, "inputFmtCount") = static_cast<uint32_t>(input_formats(session, codec).size());
            return Status::success;
        },
        shown_count(count));
}

NVENCSTATUS get_input_formats(void* encoder, GUID codec_guid, NV_ENC_BUFFER_FORMAT* formats, uint32_t size,
                              uint32_t* count) {
    static CallSite site("nvEncGetInputFormats");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            return list_out(input_formats(session, need_codec(session, codec_guid)), formats, size, count);
        },
        shown_count(count));
}

NVENCSTATUS get_encode_caps(void* encoder, GUID codec_guid, NV_ENC_CAPS_PARAM* params, int* value) {
    static CallSite site("nvEncGetEncodeCaps");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            if (need(params, "capsParam").version != NV_ENC_CAPS_PARAM_VER)
                forbid(recorded::caps_version_zero, Status::invalid_version,
                       text("NV_ENC_CAPS_PARAM has version word 0x", std::hex, params->version));
            const Codec codec = need_codec(session, codec_guid);
            check_reserved(*params, codec);
            // The driver goes by the number, whichever interface has a name for it.
            const auto number = static_cast<uint32_t>(params->capsToQuery);
            const char* name = capability_name(number);
            if (name == nullptr) refuse(recorded::caps_past_the_last, text("unknown capability ", number));
            need(value, "capsVal") = session.device().cap(codec, name);
            return Status::success;
        },
        [&](Fields& out, Codec codec) {
            shown(params)(out, codec);
            if (value != nullptr) out.number("capsVal", *value);
        });
}

NVENCSTATUS get_encode_preset_count(void* encoder, GUID codec_guid, uint32_t* count) {
    static CallSite site("nvEncGetEncodePresetCount");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            need_codec(session, codec_guid);
            need(count, "encodePresetGUIDCount") = static_cast<uint32_t>(guids_of(preset_guid_names()).size());
            return Status::success;
        },
        shown_count(count));
}

NVENCSTATUS get_encode_preset_guids(void* encoder, GUID codec_guid, GUID* guids, uint32_t size, uint32_t* count) {
    static CallSite site("nvEncGetEncodePresetGUIDs");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            need_codec(session, codec_guid);
            return list_out(guids_of(preset_guid_names()), guids, size, count);
        },
        shown_count(count));
}

Status preset_config(Session& session, const GUID& codec_guid, const GUID& preset_guid, uint32_t tuning,
                     NV_ENC_PRESET_CONFIG* config) {
    check_version(need(config, "presetConfig").version, NV_ENC_PRESET_CONFIG_VER, "NV_ENC_PRESET_CONFIG");
    check_version(config->presetCfg.version, NV_ENC_CONFIG_VER, "NV_ENC_PRESET_CONFIG.presetCfg");
    const Codec codec = need_codec(session, codec_guid);
    if (tuning >= static_cast<uint32_t>(NV_ENC_TUNING_INFO_COUNT))
        refuse(recorded::preset_tuning_nine, text("unknown tuning ", tuning));
    const PresetRequest request = need_preset(preset_guid, codec, tuning, recorded::preset_unknown);
    std::memset(&config->presetCfg, 0, sizeof config->presetCfg);
    fill_preset(config->presetCfg, request, session.device());
    return Status::success;
}

auto shown_preset(const GUID& codec_guid, const GUID& preset_guid, uint32_t tuning,
                  const NV_ENC_PRESET_CONFIG* config) {
    return [&codec_guid, &preset_guid, tuning, config](Fields& out, Codec) {
        out.guid("encodeGUID", name_of(codec_guid), &codec_guid);
        out.guid("presetGUID", name_of(preset_guid), &preset_guid);
        out.symbol("tuningInfo", name_of(static_cast<NV_ENC_TUNING_INFO>(tuning)), tuning);
        const std::optional<Codec> codec = codec_of(name_of(codec_guid));
        if (codec && config != nullptr) describe(out, *config, *codec);
    };
}

NVENCSTATUS get_encode_preset_config(void* encoder, GUID codec_guid, GUID preset_guid, NV_ENC_PRESET_CONFIG* config) {
    static CallSite site("nvEncGetEncodePresetConfig");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) { return preset_config(session, codec_guid, preset_guid, 0, config); },
        shown_preset(codec_guid, preset_guid, 0, config));
}

NVENCSTATUS get_encode_preset_config_ex(void* encoder, GUID codec_guid, GUID preset_guid, NV_ENC_TUNING_INFO tuning,
                                        NV_ENC_PRESET_CONFIG* config) {
    static CallSite site("nvEncGetEncodePresetConfigEx");
    const auto number = static_cast<uint32_t>(tuning);
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) { return preset_config(session, codec_guid, preset_guid, number, config); },
        shown_preset(codec_guid, preset_guid, number, config));
}
