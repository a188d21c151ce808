// Film grain in the driver's struct. Included inside the namespace of each version.

inline uint32_t copy_points(const FilmGrain::Points& points, uint8_t* values, uint8_t* strengths) {
    for (const auto& [value, strength] : points) {
        *values++ = value;
        *strengths++ = strength;
    }
    return static_cast<uint32_t>(points.size()) & 15;
}

inline void copy_coefficients(const std::vector<int32_t>& coefficients, uint8_t* plus_128) {
    for (const int32_t coefficient : coefficients) *plus_128++ = static_cast<uint8_t>(coefficient + 128);
}

// What the arrays have room for was checked by the caller.
inline NV_ENC_FILM_GRAIN_PARAMS_AV1 film_grain_of(const FilmGrain& grain) {
    NV_ENC_FILM_GRAIN_PARAMS_AV1 out{};
    out.applyGrain = grain.apply;
    out.chromaScalingFromLuma = grain.chroma_from_luma;
    out.overlapFlag = grain.overlap;
    out.clipToRestrictedRange = grain.restricted_range;
    out.grainScalingMinus8 = (grain.scaling_shift - 8) & 3;
    out.arCoeffLag = grain.lag & 3;
    out.arCoeffShiftMinus6 = (grain.coefficient_shift - 6) & 3;
    out.grainScaleShift = grain.pattern_shift & 3;
    out.numYPoints = copy_points(grain.points[0], out.pointYValue, out.pointYScaling);
    out.numCbPoints = copy_points(grain.points[1], out.pointCbValue, out.pointCbScaling);
    out.numCrPoints = copy_points(grain.points[2], out.pointCrValue, out.pointCrScaling);
    copy_coefficients(grain.coefficients[0], out.arCoeffsYPlus128);
    copy_coefficients(grain.coefficients[1], out.arCoeffsCbPlus128);
    copy_coefficients(grain.coefficients[2], out.arCoeffsCrPlus128);
    out.cbMult = grain.mixes[0].own;
    out.cbLumaMult = grain.mixes[0].luma;
    out.cbOffset = grain.mixes[0].offset;
    out.crMult = grain.mixes[1].own;
    out.crLumaMult = grain.mixes[1].luma;
    out.crOffset = grain.mixes[1].offset;
    return out;
}

// The driver gets pointers, and may look at what they point to as long as a picture is in flight.
class FilmGrainFields {
   public:
    void set(const std::optional<FilmGrain>& grain, NV_ENC_CONFIG_AV1& config) {
        if (!grain) return;
        config.enableFilmGrainParams = 1;
        config.filmGrainParams = kept(of_sessions_, *grain);
    }

    // From this picture on.
    void update(const FilmGrain& grain, NV_ENC_PIC_PARAMS_AV1& picture) {
        picture.filmGrainParamsUpdate = 1;
        picture.filmGrainParams = kept(of_pictures_, grain);
    }

   private:
    using Kept = std::deque<NV_ENC_FILM_GRAIN_PARAMS_AV1>;

    static NV_ENC_FILM_GRAIN_PARAMS_AV1* kept(Kept& all, const FilmGrain& grain) {
        constexpr size_t most_in_flight = 256;
        if (all.size() == most_in_flight) all.pop_front();
        return &all.emplace_back(film_grain_of(grain));
    }

    Kept of_sessions_;  // for each change of the configuration, too
    Kept of_pictures_;
};
