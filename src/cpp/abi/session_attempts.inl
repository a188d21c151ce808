// Coding a picture several times, and looking ahead by calls of our own. Included inside the namespace of each version,
// after the session.

inline void Session::look_ahead(MappedHandle input) {
    auto request = zeroed<NV_ENC_LOOKAHEAD_PIC_PARAMS>();
    request.version = NV_ENC_LOOKAHEAD_PIC_PARAMS_VER;
    request.inputBuffer = input;
    check(while_busy([&] { return f_.nvEncLookaheadPicture(handle_, &request); }), "nvEncLookaheadPicture",
          "look ahead at a picture");
}

inline void Session::keep_attempt(uint32_t state_buffer) {
    auto request = zeroed<NV_ENC_RESTORE_ENCODER_STATE_PARAMS>();
    request.version = NV_ENC_RESTORE_ENCODER_STATE_PARAMS_VER;
    request.bufferIdx = state_buffer;
    request.state = NV_ENC_STATE_RESTORE_FULL;
    check(while_busy([&] { return f_.nvEncRestoreEncoderState(handle_, &request); }), "nvEncRestoreEncoderState",
          "go on from an attempt at a picture");
    ++next_frame_index_;
}
