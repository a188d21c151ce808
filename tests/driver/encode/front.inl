// The functions of one API version. Compiled once for each, in the namespace of that version's declarations: NVSIM_ABI
// names it, NVSIM_API is its number as text. A field that only some versions have is reached by NVSIM_GET and
// NVSIM_SET.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <numeric>

#include "common/catalogue.hpp"
#include "common/instrument.hpp"
#include "common/text.hpp"
#include "encode/breach.hpp"
#include "encode/dispatch.hpp"
#include "encode/front.hpp"
#include "encode/names.hpp"
#include "encode/optional_field.hpp"
#include "encode/parameter_sets.hpp"
#include "recordings/statuses.hpp"

namespace nvsim::NVSIM_ABI {
namespace {

// Each uses what those before it define: the order is no matter of taste.
// clang-format off
#include "encode/tools.inl"
#include "encode/layers.inl"
#include "encode/grain.inl"
#include "encode/alpha.inl"
#include "encode/hints.inl"
#include "encode/trials.inl"
#include "encode/translate.inl"
#include "encode/messages.inl"
#include "encode/views.inl"
#include "encode/encoder_setup.inl"
#include "encode/front_call.inl"
#include "encode/front_sessions.inl"
#include "encode/front_queries.inl"
#include "encode/front_setup.inl"
#include "encode/front_buffers.inl"
#include "encode/front_pictures.inl"
#include "encode/trials_calls.inl"
// clang-format on

// What is there but not simulated.

template <typename... Arguments>
NVENCSTATUS unimplemented(CallSite& site, Status status, void* encoder, Arguments...) {
    return call(
        site, encoder, Purpose::work,
        [&](Session&, Lock&) -> Status { refuse(status, text(site.name(), " is not simulated")); },
        [](Fields&, Codec) {});
}

// A function that answers what the recorded card does to empty arguments. Not every API version has every slot.
#define NVSIM_UNIMPLEMENTED(list, slot, status)                                 \
    ::nvsim::set_optional(list, [](auto& table) -> decltype(void(table.slot)) { \
        table.slot = [](void* encoder, auto... arguments) -> NVENCSTATUS {      \
            static CallSite site(#slot);                                        \
            return unimplemented(site, status, encoder, arguments...);          \
        };                                                                      \
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
    NVSIM_UNIMPLEMENTED(functions, nvEncGetEncodeStats, recorded::encode_stats);
    NVSIM_UNIMPLEMENTED(functions, nvEncRegisterAsyncEvent, recorded::register_event);
    NVSIM_UNIMPLEMENTED(functions, nvEncUnregisterAsyncEvent, recorded::unregister_event);
    functions.nvEncCreateMVBuffer = create_mv_buffer;
    functions.nvEncDestroyMVBuffer = destroy_mv_buffer;
    functions.nvEncRunMotionEstimationOnly = run_motion_estimation_only;
    add_trial_calls(functions);
}

}  // namespace

const Front front = {NVENCAPI_MAJOR_VERSION, NVENCAPI_MINOR_VERSION, NV_ENCODE_API_FUNCTION_LIST_VER, fill};

}  // namespace nvsim::NVSIM_ABI
