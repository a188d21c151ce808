// Film grain of AV1: what a client gives, and what nvEncodeAPI.h and AV1 allow. Included by front.inl, inside its
// namespace.

template <typename Struct>
void check_reserved(const Struct& value, Codec codec);

template <typename Params>
FilmGrain read_grain(const Params& params) {
    FilmGrain grain;
    grain.apply = params.applyGrain;
    grain.chroma_from_luma = params.chromaScalingFromLuma;
    grain.overlap = params.overlapFlag;
    grain.scaling_shift = 8 + params.grainScalingMinus8;
    grain.lag = params.arCoeffLag;
    grain.coefficient_shift = 6 + params.arCoeffShiftMinus6;
    grain.pattern_shift = params.grainScaleShift;
    const auto points = [](uint32_t count, const uint8_t* values, const uint8_t* scalings) {
        std::vector<FilmGrain::Point> found;
        for (uint32_t i = 0; i < count; ++i) found.push_back({values[i], scalings[i]});
        return found;
    };
    grain.points = {points(std::min<uint32_t>(params.numYPoints, 14), params.pointYValue, params.pointYScaling),
                    points(std::min<uint32_t>(params.numCbPoints, 10), params.pointCbValue, params.pointCbScaling),
                    points(std::min<uint32_t>(params.numCrPoints, 10), params.pointCrValue, params.pointCrScaling)};
    const int count = 2 * grain.lag * (grain.lag + 1);
    const auto coefficients = [](int numbers, const uint8_t* plus_128) {
        std::vector<int> found;
        for (int i = 0; i < numbers; ++i) found.push_back(plus_128[i] - 128);
        return found;
    };
    grain.coefficients = {coefficients(count, params.arCoeffsYPlus128),
                          coefficients(count + 1, params.arCoeffsCbPlus128),
                          coefficients(count + 1, params.arCoeffsCrPlus128)};
    grain.mixes = {
        {{params.cbMult, params.cbLumaMult, params.cbOffset}, {params.crMult, params.crLumaMult, params.crOffset}}};
    return grain;
}

inline void check_points(const char* plane, uint32_t count, uint32_t most, const uint8_t* values) {
    if (count > most)
        forbid(Status::success, Status::invalid_param, text(count, " points of ", plane, "; AV1 has ", most));
    for (uint32_t i = 1; i < std::min(count, most); ++i)
        if (values[i] <= values[i - 1])
            forbid(Status::success, Status::invalid_param, text("points of ", plane, " do not ascend"));
}

template <typename Params>
void check_grain_params(const Params* given) {
    if (given == nullptr)
        return forbid(Status::success, Status::invalid_param, "film grain, but filmGrainParams is null");
    const Params& params = *given;
    check_reserved(params, Codec::av1);
    check_points("luma", params.numYPoints, 14, params.pointYValue);
    check_points("Cb", params.numCbPoints, 10, params.pointCbValue);
    check_points("Cr", params.numCrPoints, 10, params.pointCrValue);
    if ((params.numCbPoints == 0) != (params.numCrPoints == 0))
        forbid(Status::success, Status::invalid_param, "points of one chroma plane and not of the other");
    if (params.numCbPoints > 0 && (params.chromaScalingFromLuma || params.numYPoints == 0))
        forbid(Status::success, Status::invalid_param,
               "points of chroma with chromaScalingFromLuma, or without points of luma");
    if (params.cbOffset > 511 || params.crOffset > 511)
        forbid(Status::success, Status::invalid_param, "an offset of chroma has 9 bits");
}

// Only AV1 has these fields.
template <typename Config>
void check_grain(const Config& config) {
    set_optional(config, [&](const auto& av1) -> decltype(void(av1.filmGrainParams)) {
        if (av1.enableFilmGrainParams) check_grain_params(av1.filmGrainParams);
        if (!av1.enableFilmGrainParams && av1.filmGrainParams != nullptr)
            forbid(Status::success, Status::invalid_param, "filmGrainParams without enableFilmGrainParams");
    });
}

template <typename Config>
void read_grain(const Config& config, StreamSettings& stream) {
    set_optional(config, [&](const auto& av1) -> decltype(void(av1.filmGrainParams)) {
        if (av1.enableFilmGrainParams && av1.filmGrainParams != nullptr)
            stream.film_grain = read_grain(*av1.filmGrainParams);
    });
}

// A change with this picture.
std::optional<FilmGrain> grain_of(const NV_ENC_CODEC_PIC_PARAMS& params, const StreamSettings& stream) {
    std::optional<FilmGrain> found;
    if (stream.codec != Codec::av1) return found;
    set_optional(params, [&](const auto& union_of_codecs) -> decltype(void(union_of_codecs.av1PicParams)) {
        const auto& picture = union_of_codecs.av1PicParams;
        if (!picture.filmGrainParamsUpdate) return;
        if (!stream.film_grain)
            forbid(Status::success, Status::invalid_param, "filmGrainParamsUpdate without enableFilmGrainParams");
        check_grain_params(picture.filmGrainParams);
        if (stream.film_grain && picture.filmGrainParams != nullptr) found = read_grain(*picture.filmGrainParams);
    });
    return found;
}
