// Long-term references, for the structs that have fields for them. Included inside the namespace of each version.

// Pictures are marked one by one: NVIDIA's documentation advises against the mode that marks them by itself.
template <typename CodecConfig>
void set_long_term(CodecConfig& config, uint32_t slots) {
    config.enableLTR = 1;
    config.ltrNumFrames = slots;
}

// An IDR refers to nothing.
template <typename CodecPicture>
void put_long_term(CodecPicture& picture, const PictureExtras& extras, bool is_idr) {
    if (extras.mark_long_term) {
        picture.ltrMarkFrame = 1;
        picture.ltrMarkFrameIdx = *extras.mark_long_term;
    }
    if (extras.use_long_term == 0 || is_idr) return;
    picture.ltrUseFrames = 1;
    picture.ltrUseFrameBitmap = extras.use_long_term;
}
