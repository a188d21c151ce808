// Motion without a stream: what the driver is told, and what it answers. Included inside the namespace of each version.

inline void apply_motion_settings(NV_ENC_CONFIG& config, const MotionSettings& settings) {
    config.version = NV_ENC_CONFIG_VER;
    config.mvPrecision = NV_ENC_MV_PRECISION_QUARTER_PEL;
    std::memset(&config.encodeCodecConfig, 0, sizeof config.encodeCodecConfig);
    // Each block has its vectors then.
    if (settings.codec == Codec::h264) config.encodeCodecConfig.h264MeOnlyConfig.disableIntraSearch = 1;
}

inline void apply_motion_settings(NV_ENC_INITIALIZE_PARAMS& parameters, const MotionSettings& settings) {
    parameters.version = NV_ENC_INITIALIZE_PARAMS_VER;
    parameters.encodeGUID = codec_guid(settings.codec);
    parameters.presetGUID = preset_guid(settings.preset);
    parameters.tuningInfo = NV_ENC_TUNING_INFO_HIGH_QUALITY;
    parameters.encodeWidth = parameters.darWidth = parameters.maxEncodeWidth = settings.width;
    parameters.encodeHeight = parameters.darHeight = parameters.maxEncodeHeight = settings.height;
    parameters.frameRateNum = 30;
    parameters.frameRateDen = 1;
    parameters.enablePTD = 1;
    parameters.enableMEOnlyMode = 1;
}

template <typename Data>
MotionBlock motion_block(const Data& data, uint32_t x, uint32_t y, uint32_t size) {
    MotionBlock block;
    block.x = static_cast<uint16_t>(x);
    block.y = static_cast<uint16_t>(y);
    block.size = static_cast<uint8_t>(size);
    for (size_t i = 0; i < block.vectors.size(); ++i) block.vectors[i] = {data.mv[i].mvx, data.mv[i].mvy};
    return block;
}

inline std::vector<MotionBlock> motion_of(const NV_ENC_H264_MV_DATA* data, size_t count, uint32_t width) {
    constexpr uint32_t size = 16;
    const uint32_t columns = (width + size - 1) / size;
    std::vector<MotionBlock> blocks;
    blocks.reserve(count);
    for (size_t i = 0; i < count; ++i) {
        const auto place = static_cast<uint32_t>(i);
        MotionBlock block = motion_block(data[i], place % columns * size, place / columns * size, size);
        block.is_intra = data[i].mbType == 0;
        block.partition = data[i].partitionType;
        block.cost = data[i].mbCost;
        blocks.push_back(block);
    }
    return blocks;
}

inline std::vector<MotionBlock> motion_of(const NV_ENC_HEVC_MV_DATA* data, size_t count, uint32_t width,
                                          uint32_t height) {
    CodingUnitPlaces places(width, height);
    std::vector<MotionBlock> blocks;
    blocks.reserve(count);
    for (size_t i = 0; i < count && !places.is_over(); ++i) {
        const uint32_t size = 8U << (data[i].cuSize & 3);
        const auto [x, y] = places.next(size, data[i].lastCUInCTB != 0);
        MotionBlock block = motion_block(data[i], x, y, size);
        block.is_intra = data[i].cuType == 0;
        block.partition = data[i].partitionMode;
        blocks.push_back(block);
    }
    return blocks;
}
