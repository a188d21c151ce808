// Opens a session of the driver. Included inside the namespace of each version, after the session.

// A client that gets a status from the open call may still have been given a session, which would then count against
// the limit forever: it is destroyed here.
inline std::unique_ptr<EncodeApi> open_session(CUcontext context) {
    NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS request{};
    request.version = NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER;
    request.deviceType = NV_ENC_DEVICE_TYPE_CUDA;
    request.device = context;
    request.apiVersion = NVENCAPI_VERSION;
    void* handle = nullptr;
    const NVENCSTATUS status = functions().nvEncOpenEncodeSessionEx(&request, &handle);
    if (status == NV_ENC_SUCCESS) return std::make_unique<Session>(handle);
    std::string text;
    if (handle != nullptr) {
        const char* reason = functions().nvEncGetLastErrorString(handle);
        text = reason != nullptr ? reason : "";
        functions().nvEncDestroyEncoder(handle);
    }
    throw encode_error(status, "nvEncOpenEncodeSessionEx", "open an encode session", std::move(text));
}
