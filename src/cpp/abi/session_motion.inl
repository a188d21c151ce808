// A session that finds motion and encodes nothing. Included inside the namespace of each version, after the session.

inline void Session::initialize_motion(const MotionSettings& settings) {
    motion_ = settings;
    picture_.bufferFmt = buffer_format(settings.format);
    Settings preset;
    preset.codec = settings.codec;
    preset.preset = settings.preset;
    preset.tuning = Tuning::high_quality;
    config_ = preset_of(preset);
    apply_motion_settings(config_, settings);
    std::memset(&parameters_, 0, sizeof parameters_);
    apply_motion_settings(parameters_, settings);
    parameters_.encodeConfig = &config_;
    check(f_.nvEncInitializeEncoder(handle_, &parameters_), "nvEncInitializeEncoder", "set up the motion search");
}

inline OutputHandle Session::create_motion_output() {
    NV_ENC_CREATE_MV_BUFFER request{};
    request.version = NV_ENC_CREATE_MV_BUFFER_VER;
    check(f_.nvEncCreateMVBuffer(handle_, &request), "nvEncCreateMVBuffer", "make a buffer for vectors");
    return request.mvBuffer;
}

inline void Session::destroy_motion_output(OutputHandle output) {
    check(f_.nvEncDestroyMVBuffer(handle_, output), "nvEncDestroyMVBuffer", "free a buffer for vectors");
}

inline void Session::estimate_motion(MappedHandle input, MappedHandle reference, OutputHandle output) {
    NV_ENC_MEONLY_PARAMS request{};
    request.version = NV_ENC_MEONLY_PARAMS_VER;
    request.inputWidth = motion_.width;
    request.inputHeight = motion_.height;
    request.inputBuffer = input;
    request.referenceFrame = reference;
    request.mvBuffer = output;
    request.bufferFmt = picture_.bufferFmt;
    check(while_busy([&] { return f_.nvEncRunMotionEstimationOnly(handle_, &request); }),
          "nvEncRunMotionEstimationOnly", "find motion");
}

inline std::vector<MotionBlock> Session::lock_motion(OutputHandle output) {
    lock_.outputBitstream = output;
    check(while_busy([&] { return f_.nvEncLockBitstream(handle_, &lock_); }), "nvEncLockBitstream", "get vectors");
    const size_t size = lock_.bitstreamSizeInBytes;
    const void* data = lock_.bitstreamBufferPtr;
    if (motion_.codec == Codec::h264) {
        return motion_of(static_cast<const NV_ENC_H264_MV_DATA*>(data), size / sizeof(NV_ENC_H264_MV_DATA),
                         motion_.width);
    }
    return motion_of(static_cast<const NV_ENC_HEVC_MV_DATA*>(data), size / sizeof(NV_ENC_HEVC_MV_DATA), motion_.width,
                     motion_.height);
}
