// The calls of iterative encoding and external lookahead, which API 11 does not have. Included by front.inl, inside
// its namespace.

constexpr uint32_t trial_struct_version() {
    const uint32_t revision = NVENCAPI_VERSION == (12u | 1u << 24) ? 1 : 2;
    return NVENCAPI_VERSION | revision << 16 | 7u << 28;
}

template <typename Table>
void add_trial_calls(Table& list) {
    set_optional(list, [](auto& table) -> decltype(void(table.nvEncRestoreEncoderState)) {
        table.nvEncRestoreEncoderState = [](void* encoder, auto* params) -> NVENCSTATUS {
            static CallSite site("nvEncRestoreEncoderState");
            return call(
                site, encoder, Purpose::end,
                [&](Session& session, Lock&) {
                    check_version(need(params, "restoreState").version, trial_struct_version(),
                                  "NV_ENC_RESTORE_ENCODER_STATE_PARAMS");
                    check_reserved(*params, session.codec());
                    if (params->completionEvent != nullptr)
                        violate(Status::invalid_event, "a completion event was given; the session is not asynchronous");
                    session.restore(params->bufferIdx, static_cast<uint32_t>(params->state), params->outputBitstream);
                    return Status::success;
                },
                shown(params));
        };
    });
    set_optional(list, [](auto& table) -> decltype(void(table.nvEncLookaheadPicture)) {
        table.nvEncLookaheadPicture = [](void* encoder, auto* params) -> NVENCSTATUS {
            static CallSite site("nvEncLookaheadPicture");
            return call(
                site, encoder, Purpose::work,
                [&](Session& session, Lock&) {
                    check_version(need(params, "lookaheadParams").version, trial_struct_version(),
                                  "NV_ENC_LOOKAHEAD_PIC_PARAMS");
                    check_reserved(*params, session.codec());
                    session.look_ahead(params->inputBuffer);
                    return Status::success;
                },
                shown(params));
        };
    });
}
