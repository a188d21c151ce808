// Opening and destroying sessions. Included by front.inl, inside its namespace.

Status open_session(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS* params, void** encoder) {
    try {
        need(encoder, "encoder");
        *encoder = nullptr;
        check_version(need(params, "openSessionExParams").version, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER,
                      "NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS");
        if (params->apiVersion != NVENCAPI_VERSION)
            forbid(recorded::open_other_api, Status::invalid_version, "apiVersion is another than the function list's");
        check_reserved(*params, Codec::h264);
        if (params->deviceType == NV_ENC_DEVICE_TYPE_OPENGL)
            refuse(recorded::open_opengl, "OpenGL's devices are not simulated");
        if (params->deviceType != NV_ENC_DEVICE_TYPE_CUDA)
            refuse(recorded::open_directx, "only CUDA contexts are devices here");
        if (params->device == nullptr) refuse(recorded::open_null_device, "the device is null");
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
        // A copy of the thread's own: another thread's call may replace the session's text at any moment.
        static thread_local std::string copy;
        copy = find_session(encoder, lock).last_error;
        return copy.c_str();
    } catch (const Refusal&) {
        return last_error_without_session();
    }
}
