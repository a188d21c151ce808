// The functions of one API version. Compiled once for each, in the namespace of that version's declarations: NVSIM_ABI
// names it, NVSIM_API is its number as text. A field that only some versions have is reached by NVSIM_GET and NVSIM_SET.

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "common/instrument.hpp"
#include "encode/dispatch.hpp"
#include "encode/front.hpp"
#include "encode/names.hpp"
#include "encode/optional_field.hpp"
#include "encode/parameter_sets.hpp"
#include "encode/text.hpp"

namespace nvsim::NVSIM_ABI {
namespace {

#include "encode/translate.inl"

template <typename Body, typename Describe>
NVENCSTATUS call(CallSite& site, void* encoder, Purpose purpose, Body&& body, Describe&& describe_call) {
    return static_cast<NVENCSTATUS>(session_call(site, NVSIM_API, encoder, purpose, body, describe_call));
}

template <typename Struct>
auto shown(const Struct* params) {
    return [params](Fields& out, Codec codec) {
        if (params != nullptr) describe(out, *params, codec);
    };
}

auto shown(const char* name, const void* handle) {
    return [name, handle](Fields& out, Codec) { out.address(name, handle); };
}

auto shown_count(const uint32_t* count) {
    return [count](Fields& out, Codec) {
        if (count != nullptr) out.number("count", *count);
    };
}

// Sessions.

Status open_session(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS* params, void** encoder) {
    try {
        need(encoder, "encoder");
        *encoder = nullptr;
        check_version(need(params, "openSessionExParams").version, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER,
                      "NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS");
        if (params->apiVersion != NVENCAPI_VERSION) violate(Status::invalid_version, "apiVersion is another than the function list's");
        check_reserved(*params, Codec::h264);
        if (params->deviceType != NV_ENC_DEVICE_TYPE_CUDA)
            refuse(Status::unsupported_device, "only CUDA contexts are devices here");
        if (params->device == nullptr) refuse(Status::invalid_device, "the device is null");
        *encoder = Machine::instance().open(params->device, NVSIM_API);
        return Status::success;
    } catch (const Refusal& refusal) {
        return answer(nullptr, refusal);
    }
}

NVENCSTATUS open_encode_session_ex(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS* params, void** encoder) {
    static CallSite site("nvEncOpenEncodeSessionEx");
    const Status status = observed(
        site, [&] { return open_session(params, encoder); },
        [&] {
            Fields out;
            shown(params)(out, Codec::h264);
            const void* handle = encoder != nullptr ? *encoder : nullptr;
            out.address("encoder", handle);
            return CallDetails{NVSIM_API, handle != nullptr ? Handle::decode(handle).session : 0, out.finish()};
        });
    return static_cast<NVENCSTATUS>(status);
}

NVENCSTATUS destroy_encoder(void* encoder) {
    static CallSite site("nvEncDestroyEncoder");
    return call(
        site, encoder, Purpose::destroy,
        [&](Session&, Lock& lock) {
            destroy_session(encoder, lock);
            return Status::success;
        },
        [](Fields&, Codec) {});
}

const char* get_last_error_string(void* encoder) {
    Lock lock;
    try {
        return find_session(encoder, lock).last_error.c_str();
    } catch (const Refusal&) {
        return last_error_without_session();
    }
}

// What the GPU can do.

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

std::vector<NV_ENC_BUFFER_FORMAT> input_formats(Session& session, Codec codec) {
    std::vector<NV_ENC_BUFFER_FORMAT> formats;
    const bool ten_bits = session.device().cap(codec, "SUPPORT_10BIT_ENCODE") != 0;
    const bool full_chroma = session.device().cap(codec, "SUPPORT_YUV444_ENCODE") != 0;
    const bool half_chroma = session.device().cap(codec, "SUPPORT_YUV422_ENCODE") != 0;
    for (PixelFormat format : all_pixel_formats()) {
        const auto value = static_cast<NV_ENC_BUFFER_FORMAT>(format);
        const bool planar = !is_rgb(format);
        const bool allowed = (bit_depth_of(format) == 8 || ten_bits) && !(planar && chroma_of(format) == 3 && !full_chroma) &&
                             !(chroma_of(format) == 2 && !half_chroma);
        if (allowed && name_of(value) != nullptr) formats.push_back(value);
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
            need(count, "encodeProfileGUIDCount") = static_cast<uint32_t>(guids_of(profile_guid_names(codec)).size());
            return Status::success;
        },
        shown_count(count));
}

NVENCSTATUS get_encode_profile_guids(void* encoder, GUID codec_guid, GUID* guids, uint32_t size, uint32_t* count) {
    static CallSite site("nvEncGetEncodeProfileGUIDs");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            return list_out(guids_of(profile_guid_names(need_codec(session, codec_guid))), guids, size, count);
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
            check_version(need(params, "capsParam").version, NV_ENC_CAPS_PARAM_VER, "NV_ENC_CAPS_PARAM");
            const Codec codec = need_codec(session, codec_guid);
            check_reserved(*params, codec);
            const char* name = name_of(params->capsToQuery);
            if (name == nullptr || params->capsToQuery == NV_ENC_CAPS_EXPOSED_COUNT)
                refuse(Status::invalid_param, text("unknown capability ", static_cast<uint32_t>(params->capsToQuery)));
            need(value, "capsVal") = session.device().cap(codec, name + std::strlen("NV_ENC_CAPS_"));
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
    const PresetRequest request = need_preset(preset_guid, need_codec(session, codec_guid), tuning);
    std::memset(&config->presetCfg, 0, sizeof config->presetCfg);
    fill_preset(config->presetCfg, request);
    return Status::success;
}

auto shown_preset(const GUID& codec_guid, const GUID& preset_guid, uint32_t tuning, const NV_ENC_PRESET_CONFIG* config) {
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
        [&](Session& session, Lock&) {
            if (number == 0 || number >= static_cast<uint32_t>(NV_ENC_TUNING_INFO_COUNT))
                refuse(Status::invalid_param, text("unknown tuning ", number));
            return preset_config(session, codec_guid, preset_guid, number, config);
        },
        shown_preset(codec_guid, preset_guid, number, config));
}

// Starting and changing the encoder.

// The session has no codec before this call.
auto shown_setup(const NV_ENC_INITIALIZE_PARAMS* params) {
    return [params](Fields& out, Codec codec) {
        if (params != nullptr) describe(out, *params, codec_of(name_of(params->encodeGUID)).value_or(codec));
    };
}

NVENCSTATUS initialize_encoder(void* encoder, NV_ENC_INITIALIZE_PARAMS* params) {
    static CallSite site("nvEncInitializeEncoder");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            session.initialize(setup_of(need(params, "createEncodeParams")));
            return Status::success;
        },
        shown_setup(params));
}

NVENCSTATUS reconfigure_encoder(void* encoder, NV_ENC_RECONFIGURE_PARAMS* params) {
    static CallSite site("nvEncReconfigureEncoder");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "reInitEncodeParams").version, NV_ENC_RECONFIGURE_PARAMS_VER,
                          "NV_ENC_RECONFIGURE_PARAMS");
            check_reserved(*params, session.codec());
            session.reconfigure(setup_of(params->reInitEncodeParams), params->resetEncoder != 0, params->forceIDR != 0);
            return Status::success;
        },
        shown(params));
}

void hand_out_headers(const std::vector<uint8_t>& headers, NV_ENC_SEQUENCE_PARAM_PAYLOAD* payload) {
    check_version(need(payload, "sequenceParamPayload").version, NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER,
                  "NV_ENC_SEQUENCE_PARAM_PAYLOAD");
    check_reserved(*payload, Codec::h264);
    if (payload->inBufferSize < headers.size())
        refuse(Status::not_enough_buffer, text("the parameter sets need ", headers.size(), " bytes"));
    std::memcpy(&need(static_cast<uint8_t*>(payload->spsppsBuffer), "spsppsBuffer"), headers.data(), headers.size());
    need(payload->outSPSPPSPayloadSize, "outSPSPPSPayloadSize") = static_cast<uint32_t>(headers.size());
}

auto shown_headers(const NV_ENC_SEQUENCE_PARAM_PAYLOAD* payload) {
    return [payload](Fields& out, Codec codec) {
        if (payload == nullptr) return;
        describe(out, *payload, codec);
        if (payload->outSPSPPSPayloadSize != nullptr) out.number("size", *payload->outSPSPPSPayloadSize);
    };
}

NVENCSTATUS get_sequence_params(void* encoder, NV_ENC_SEQUENCE_PARAM_PAYLOAD* payload) {
    static CallSite site("nvEncGetSequenceParams");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            hand_out_headers(session.headers(), payload);
            return Status::success;
        },
        shown_headers(payload));
}

NVENCSTATUS get_sequence_param_ex(void* encoder, NV_ENC_INITIALIZE_PARAMS* params,
                                  NV_ENC_SEQUENCE_PARAM_PAYLOAD* payload) {
    static CallSite site("nvEncGetSequenceParamEx");
    return call(
        site, encoder, Purpose::work,
        [&](Session&, Lock&) {
            const EncoderSetup setup = setup_of(need(params, "encInitParams"));
            hand_out_headers(parameter_sets(setup.settings.stream), payload);
            return Status::success;
        },
        shown_headers(payload));
}

NVENCSTATUS set_io_cuda_streams(void* encoder, NV_ENC_CUSTREAM_PTR input, NV_ENC_CUSTREAM_PTR output) {
    static CallSite site("nvEncSetIOCudaStreams");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            // Pointers to streams, not streams.
            session.set_streams(need(static_cast<cu::Stream*>(input), "inputStream"),
                                need(static_cast<cu::Stream*>(output), "outputStream"));
            return Status::success;
        },
        [&](Fields& out, Codec) {
            if (input != nullptr) out.address("inputStream", *static_cast<void**>(input));
            if (output != nullptr) out.address("outputStream", *static_cast<void**>(output));
        });
}

// Buffers and resources.

NVENCSTATUS create_input_buffer(void* encoder, NV_ENC_CREATE_INPUT_BUFFER* params) {
    static CallSite site("nvEncCreateInputBuffer");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "createInputBufferParams").version, NV_ENC_CREATE_INPUT_BUFFER_VER,
                          "NV_ENC_CREATE_INPUT_BUFFER");
            check_reserved(*params, session.codec());
            params->inputBuffer =
                session.create_input(params->width, params->height, static_cast<uint32_t>(params->bufferFmt));
            return Status::success;
        },
        shown(params));
}

NVENCSTATUS destroy_input_buffer(void* encoder, NV_ENC_INPUT_PTR buffer) {
    static CallSite site("nvEncDestroyInputBuffer");
    return call(
        site, encoder, Purpose::release,
        [&](Session& session, Lock&) {
            session.destroy_input(buffer);
            return Status::success;
        },
        shown("inputBuffer", buffer));
}

NVENCSTATUS create_bitstream_buffer(void* encoder, NV_ENC_CREATE_BITSTREAM_BUFFER* params) {
    static CallSite site("nvEncCreateBitstreamBuffer");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "createBitstreamBufferParams").version, NV_ENC_CREATE_BITSTREAM_BUFFER_VER,
                          "NV_ENC_CREATE_BITSTREAM_BUFFER");
            check_reserved(*params, session.codec());
            params->bitstreamBuffer = session.create_bitstream();
            return Status::success;
        },
        shown(params));
}

NVENCSTATUS destroy_bitstream_buffer(void* encoder, NV_ENC_OUTPUT_PTR buffer) {
    static CallSite site("nvEncDestroyBitstreamBuffer");
    return call(
        site, encoder, Purpose::release,
        [&](Session& session, Lock&) {
            session.destroy_bitstream(buffer);
            return Status::success;
        },
        shown("bitstreamBuffer", buffer));
}

NVENCSTATUS lock_input_buffer(void* encoder, NV_ENC_LOCK_INPUT_BUFFER* params) {
    static CallSite site("nvEncLockInputBuffer");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "lockInputBufferParams").version, NV_ENC_LOCK_INPUT_BUFFER_VER,
                          "NV_ENC_LOCK_INPUT_BUFFER");
            check_reserved(*params, session.codec());
            const LockedInput locked = session.lock_input(params->inputBuffer, !params->doNotWait);
            params->bufferDataPtr = locked.data;
            params->pitch = locked.pitch;
            return Status::success;
        },
        shown(params));
}

NVENCSTATUS unlock_input_buffer(void* encoder, NV_ENC_INPUT_PTR buffer) {
    static CallSite site("nvEncUnlockInputBuffer");
    return call(
        site, encoder, Purpose::release,
        [&](Session& session, Lock&) {
            session.unlock_input(buffer);
            return Status::success;
        },
        shown("inputBuffer", buffer));
}

NVENCSTATUS register_resource(void* encoder, NV_ENC_REGISTER_RESOURCE* params) {
    static CallSite site("nvEncRegisterResource");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "registerResParams").version, NV_ENC_REGISTER_RESOURCE_VER,
                          "NV_ENC_REGISTER_RESOURCE");
            check_reserved(*params, session.codec());
            params->registeredResource = session.register_resource(
                {static_cast<Registration::Type>(params->resourceType), params->resourceToRegister, params->width,
                 params->height, params->pitch, static_cast<uint32_t>(params->bufferFormat),
                 static_cast<uint32_t>(params->bufferUsage)});
            return Status::success;
        },
        shown(params));
}

NVENCSTATUS unregister_resource(void* encoder, NV_ENC_REGISTERED_PTR resource) {
    static CallSite site("nvEncUnregisterResource");
    return call(
        site, encoder, Purpose::release,
        [&](Session& session, Lock&) {
            session.unregister_resource(resource);
            return Status::success;
        },
        shown("registeredResource", resource));
}

NVENCSTATUS map_input_resource(void* encoder, NV_ENC_MAP_INPUT_RESOURCE* params) {
    static CallSite site("nvEncMapInputResource");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "mapInputResParams").version, NV_ENC_MAP_INPUT_RESOURCE_VER,
                          "NV_ENC_MAP_INPUT_RESOURCE");
            check_reserved(*params, session.codec());
            uint32_t format = 0;
            params->mappedResource = session.map(params->registeredResource, format);
            params->mappedBufferFmt = static_cast<NV_ENC_BUFFER_FORMAT>(format);
            return Status::success;
        },
        shown(params));
}

NVENCSTATUS unmap_input_resource(void* encoder, NV_ENC_INPUT_PTR resource) {
    static CallSite site("nvEncUnmapInputResource");
    return call(
        site, encoder, Purpose::release,
        [&](Session& session, Lock&) {
            session.unmap(resource);
            return Status::success;
        },
        shown("mappedInputBuffer", resource));
}

// Pictures.

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
    submission.type = picture_type(params.pictureType);
    return submission;
}

NVENCSTATUS encode_picture(void* encoder, NV_ENC_PIC_PARAMS* params) {
    static CallSite site("nvEncEncodePicture");
    return call(
        site, encoder, Purpose::work,
        [&](Session& session, Lock&) {
            check_version(need(params, "encodePicParams").version, NV_ENC_PIC_PARAMS_VER, "NV_ENC_PIC_PARAMS");
            check_reserved(*params, session.codec());
            session.next_sei().clear();
            if (!(params->encodePicFlags & end_of_stream))
                take_sei(session.next_sei(), params->codecPicParams, session.codec());
            return session.encode(submission_of(*params));
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
            params->pictureStruct = NV_ENC_PIC_STRUCT_FRAME;
            params->frameAvgQP = locked.average_qp;
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
        site, encoder, Purpose::work, [](Session&, Lock&) { return Status::success; },
        [&](Fields& out, Codec) { out.number("invalidRefFrameTimeStamp", timestamp); });
}

// What is there but not simulated.

template <typename... Arguments>
NVENCSTATUS unimplemented(CallSite& site, void* encoder, Arguments...) {
    return call(
        site, encoder, Purpose::work,
        [&](Session&, Lock&) -> Status { refuse(Status::unimplemented, text(site.name(), " is not simulated")); },
        [](Fields&, Codec) {});
}

// A function that answers NV_ENC_ERR_UNIMPLEMENTED, whatever it takes. Not every API version has every slot.
#define NVSIM_UNIMPLEMENTED(list, slot)                                                \
    ::nvsim::set_optional(list, [](auto& table) -> decltype(void(table.slot)) {         \
        table.slot = [](void* encoder, auto... arguments) -> NVENCSTATUS {          \
            static CallSite site(#slot);                                                \
            return unimplemented(site, encoder, arguments...);                          \
        };                                                                              \
    })

NVENCSTATUS open_encode_session(void*, uint32_t, void** encoder) {
    if (encoder != nullptr) *encoder = nullptr;
    return NV_ENC_ERR_UNIMPLEMENTED;
}

void fill(void* list) {
    auto& functions = *static_cast<NV_ENCODE_API_FUNCTION_LIST*>(list);
    functions.nvEncOpenEncodeSession = open_encode_session;
    functions.nvEncGetEncodeGUIDCount = get_encode_guid_count;
    functions.nvEncGetEncodeProfileGUIDCount = get_encode_profile_guid_count;
    functions.nvEncGetEncodeProfileGUIDs = get_encode_profile_guids;
    functions.nvEncGetEncodeGUIDs = get_encode_guids;
    functions.nvEncGetInputFormatCount = get_input_format_count;
    functions.nvEncGetInputFormats = get_input_formats;
    functions.nvEncGetEncodeCaps = get_encode_caps;
    functions.nvEncGetEncodePresetCount = get_encode_preset_count;
    functions.nvEncGetEncodePresetGUIDs = get_encode_preset_guids;
    functions.nvEncGetEncodePresetConfig = get_encode_preset_config;
    functions.nvEncGetEncodePresetConfigEx = get_encode_preset_config_ex;
    functions.nvEncInitializeEncoder = initialize_encoder;
    functions.nvEncReconfigureEncoder = reconfigure_encoder;
    functions.nvEncGetSequenceParams = get_sequence_params;
    functions.nvEncGetSequenceParamEx = get_sequence_param_ex;
    functions.nvEncSetIOCudaStreams = set_io_cuda_streams;
    functions.nvEncCreateInputBuffer = create_input_buffer;
    functions.nvEncDestroyInputBuffer = destroy_input_buffer;
    functions.nvEncCreateBitstreamBuffer = create_bitstream_buffer;
    functions.nvEncDestroyBitstreamBuffer = destroy_bitstream_buffer;
    functions.nvEncLockInputBuffer = lock_input_buffer;
    functions.nvEncUnlockInputBuffer = unlock_input_buffer;
    functions.nvEncRegisterResource = register_resource;
    functions.nvEncUnregisterResource = unregister_resource;
    functions.nvEncMapInputResource = map_input_resource;
    functions.nvEncUnmapInputResource = unmap_input_resource;
    functions.nvEncEncodePicture = encode_picture;
    functions.nvEncLockBitstream = lock_bitstream;
    functions.nvEncUnlockBitstream = unlock_bitstream;
    functions.nvEncInvalidateRefFrames = invalidate_ref_frames;
    functions.nvEncOpenEncodeSessionEx = open_encode_session_ex;
    functions.nvEncDestroyEncoder = destroy_encoder;
    functions.nvEncGetLastErrorString = get_last_error_string;
    NVSIM_UNIMPLEMENTED(functions, nvEncGetEncodeStats);
    NVSIM_UNIMPLEMENTED(functions, nvEncRegisterAsyncEvent);
    NVSIM_UNIMPLEMENTED(functions, nvEncUnregisterAsyncEvent);
    NVSIM_UNIMPLEMENTED(functions, nvEncCreateMVBuffer);
    NVSIM_UNIMPLEMENTED(functions, nvEncDestroyMVBuffer);
    NVSIM_UNIMPLEMENTED(functions, nvEncRunMotionEstimationOnly);
    NVSIM_UNIMPLEMENTED(functions, nvEncRestoreEncoderState);
    NVSIM_UNIMPLEMENTED(functions, nvEncLookaheadPicture);
}

}  // namespace

const Front front = {NVENCAPI_MAJOR_VERSION, NVENCAPI_MINOR_VERSION, NV_ENCODE_API_FUNCTION_LIST_VER, fill};

}  // namespace nvsim::NVSIM_ABI
