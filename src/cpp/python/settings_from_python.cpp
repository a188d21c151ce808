#include "python/settings_from_python.hpp"

#include <pybind11/stl.h>

#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/error.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

using Reader = std::function<Change(const py::handle&)>;

template <typename Member, typename Value>
Change assignment(Member Settings::* member, const Value& value) {
    return [member, value](Settings& settings) { settings.*member = value; };
}

template <typename Member, typename Value>
Change assignment(Member RateSettings::* member, const Value& value) {
    return [member, value](Settings& settings) { settings.rate.*member = value; };
}

// A member of Settings, or of its rate, that takes the value unchanged. None means the default.
template <typename Value, typename Class, typename Member>
Reader plain(Member Class::* member) {
    return [member](const py::handle& object) -> Change {
        if (object.is_none()) return assignment(member, Class{}.*member);
        return assignment(member, object.cast<Value>());
    };
}

template <typename Value>
using Names = std::unordered_map<std::string, Value>;

template <typename Value>
Value named(const Names<Value>& names, const py::handle& object) {
    const auto name = object.cast<std::string>();
    const auto found = names.find(name);
    if (found == names.end()) fail(ErrorKind::invalid_config, "An unknown setting: '" + name + "'.");
    return found->second;
}

template <typename Value, typename Class, typename Member>
Reader choice(Member Class::* member, Names<Value> names) {
    return [member, names = std::move(names)](const py::handle& object) -> Change {
        if (object.is_none()) return assignment(member, Class{}.*member);
        return assignment(member, named(names, object));
    };
}

using Pair = std::pair<uint32_t, uint32_t>;

Reader quantisers(std::optional<Qp> RateSettings::* member) {
    return [member](const py::handle& object) -> Change {
        if (object.is_none()) return assignment(member, std::optional<Qp>());
        const auto [intra, p, b] = object.cast<std::tuple<uint32_t, uint32_t, uint32_t>>();
        return assignment(member, Qp{intra, p, b});
    };
}

Change read_fps(const py::handle& object) {
    const auto fps = object.cast<Pair>();
    return [fps](Settings& settings) { std::tie(settings.fps_numerator, settings.fps_denominator) = fps; };
}

Change read_colour(const py::handle& object) {
    const auto [primaries, transfer, matrix, full] = object.cast<std::tuple<uint32_t, uint32_t, uint32_t, bool>>();
    const Colour colour{primaries, transfer, matrix, full};
    return [colour](Settings& settings) { settings.colour = colour; };
}

// Points of red, green, blue and white, then the most and the least luminance.
Change read_mastering_display(const py::handle& object) {
    if (object.is_none()) return assignment(&Settings::mastering_display, std::optional<MasteringDisplay>());
    using Point = std::pair<uint16_t, uint16_t>;
    const auto [red, green, blue, white, most, least] =
        object.cast<std::tuple<Point, Point, Point, Point, uint32_t, uint32_t>>();
    const auto point = [](const Point& pair) { return ChromaPoint{pair.first, pair.second}; };
    return assignment(&Settings::mastering_display,
                      MasteringDisplay{point(red), point(green), point(blue), point(white), most, least});
}

Change read_content_light(const py::handle& object) {
    if (object.is_none()) return assignment(&Settings::content_light, std::optional<ContentLight>());
    const auto [max_cll, max_fall] = object.cast<std::pair<uint16_t, uint16_t>>();
    return assignment(&Settings::content_light, ContentLight{max_cll, max_fall});
}

// A number of frames; None means as many as the preset has.
template <typename Class>
Reader count_or_presets(uint32_t Class::* count, bool Class::* presets_count) {
    return [=](const py::handle& object) -> Change {
        const bool presets = object.is_none();
        const Change set_count = assignment(count, presets ? 0 : object.cast<uint32_t>());
        const Change set_presets = assignment(presets_count, presets);
        return [=](Settings& settings) {
            set_count(settings);
            set_presets(settings);
        };
    };
}

Change read_slices(const py::handle& object) {
    static const Names<SliceMode> modes{{"macroblocks", SliceMode::macroblocks},
                                        {"bytes", SliceMode::bytes},
                                        {"rows", SliceMode::rows},
                                        {"count", SliceMode::count}};
    if (object.is_none()) return assignment(&Settings::slices, std::optional<Slices>());
    const auto [mode, value] = object.cast<std::pair<py::str, uint32_t>>();
    return assignment(&Settings::slices, Slices{named(modes, mode), value});
}

Change read_reference_counts(const py::handle& object) {
    if (object.is_none()) return assignment(&Settings::references, References());
    const auto [l0, l1, dpb] = object.cast<std::tuple<uint32_t, uint32_t, uint32_t>>();
    return assignment(&Settings::references, References{l0, l1, dpb});
}

Change read_layers(const py::handle& object) {
    if (object.is_none()) return assignment(&Settings::layers, Layers());
    const auto [count, svc, prefixes, scalability_info] = object.cast<std::tuple<uint32_t, bool, bool, bool>>();
    return assignment(&Settings::layers, Layers{count, svc, prefixes, scalability_info});
}

Change read_tiles(const py::handle& object) {
    if (object.is_none()) return assignment(&Settings::tiles, Tiles());
    const auto [columns, rows] = object.cast<Pair>();
    return assignment(&Settings::tiles, Tiles{columns, rows});
}

Change read_intra_refresh(const py::handle& object) {
    if (object.is_none()) return assignment(&Settings::intra_refresh, std::optional<IntraRefresh>());
    const auto [period, count] = object.cast<Pair>();
    return assignment(&Settings::intra_refresh, IntraRefresh{period, count});
}

Change read_format(const py::handle& object) {
    const auto name = object.cast<std::string>();
    const FormatTraits* format = find_format(name);
    if (format == nullptr) fail(ErrorKind::invalid_config, "An unknown picture format: '" + name + "'.");
    return [format](Settings& settings) { settings.format = format->format; };
}

// What comes out beside packets.
Names<Reader> output_readers() {
    return {
        {"sub_frames", plain<bool>(&Settings::sub_frames)},
        {"attempts", plain<uint32_t>(&Settings::attempts)},
        {"reconstruction", plain<bool>(&Settings::reconstruction)},
        {"statistics", choice<StatisticsLevel>(&Settings::statistics, {{"picture", StatisticsLevel::picture},
                                                                       {"rows", StatisticsLevel::rows},
                                                                       {"blocks", StatisticsLevel::blocks}})},
    };
}

Names<Reader> stream_readers() {
    return {
        {"codec", choice<Codec>(&Settings::codec, {{"h264", Codec::h264}, {"hevc", Codec::hevc}, {"av1", Codec::av1}})},
        {"preset", plain<int>(&Settings::preset)},
        {"tuning", choice<Tuning>(&Settings::tuning, {{"hq", Tuning::high_quality},
                                                      {"ll", Tuning::low_latency},
                                                      {"ull", Tuning::ultra_low_latency},
                                                      {"lossless", Tuning::lossless},
                                                      {"uhq", Tuning::ultra_high_quality}})},
        {"profile", choice<Profile>(&Settings::profile, {{"auto", Profile::automatic},
                                                         {"h264 baseline", Profile::h264_baseline},
                                                         {"h264 main", Profile::h264_main},
                                                         {"h264 high", Profile::h264_high},
                                                         {"h264 high10", Profile::h264_high10},
                                                         {"h264 high422", Profile::h264_high422},
                                                         {"h264 high444", Profile::h264_high444},
                                                         {"hevc main", Profile::hevc_main},
                                                         {"hevc main10", Profile::hevc_main10},
                                                         {"hevc rext", Profile::hevc_rext},
                                                         {"av1 main", Profile::av1_main}})},
        {"level", plain<uint32_t>(&Settings::level)},
        {"tier", plain<uint32_t>(&Settings::tier)},
        {"format", read_format},
        {"rgb_input", plain<bool>(&Settings::rgb_input)},
        {"chroma",
         choice<Chroma>(&Settings::chroma, {{"420", Chroma::c420}, {"422", Chroma::c422}, {"444", Chroma::c444}})},
        {"bit_depth", plain<int>(&Settings::bit_depth)},
        {"width", plain<uint32_t>(&Settings::width)},
        {"height", plain<uint32_t>(&Settings::height)},
        {"max_width", plain<uint32_t>(&Settings::max_width)},
        {"max_height", plain<uint32_t>(&Settings::max_height)},
        {"fps", read_fps},
        {"gop", count_or_presets(&Settings::gop, &Settings::presets_gop)},
        {"bframes", count_or_presets(&Settings::b_frames, &Settings::presets_b_frames)},
        {"b_ref_mode", choice<BReference>(&Settings::b_reference, {{"off", BReference::off},
                                                                   {"each", BReference::each},
                                                                   {"middle", BReference::middle},
                                                                   {"hierarchical", BReference::hierarchical}})},
        {"weighted_prediction", plain<bool>(&Settings::weighted_prediction)},
        {"temporal_filter", plain<uint32_t>(&Settings::temporal_filter)},
        {"unidirectional_b", plain<bool>(&Settings::unidirectional_b)},
        {"colour", read_colour},
        {"mastering_display", read_mastering_display},
        {"content_light", read_content_light},
        {"slices", read_slices},
        {"intra_refresh", read_intra_refresh},
        {"split_encode", choice<SplitEncode>(&Settings::split_encode, {{"auto", SplitEncode::automatic},
                                                                       {"off", SplitEncode::off},
                                                                       {"2", SplitEncode::two},
                                                                       {"3", SplitEncode::three},
                                                                       {"4", SplitEncode::four}})},
        {"qp_map", choice<MapMode>(&Settings::map_mode, {{"delta", MapMode::delta}, {"emphasis", MapMode::emphasis}})},
        {"motion_hints", plain<uint32_t>(&Settings::motion_hints)},
        {"time_code", plain<bool>(&Settings::time_code)},
        {"manual_types", plain<bool>(&Settings::manual_types)},
        {"reference_frames", plain<uint32_t>(&Settings::reference_frames)},
        {"long_term_references", plain<uint32_t>(&Settings::long_term_references)},
    };
}

const Names<Structure>& structures() {
    static const Names<Structure> all{
        {"frame", Structure::frame}, {"top", Structure::top_first}, {"bottom", Structure::bottom_first}};
    return all;
}

Names<Reader> tool_readers() {
    return {
        {"aud", plain<bool>(&Settings::aud)},
        {"filler_data", plain<bool>(&Settings::filler_data)},
        {"sample_aspect", plain<Pair>(&Settings::sample_aspect)},
        {"chroma_qp_offset", plain<std::pair<int32_t, int32_t>>(&Settings::chroma_qp_offset)},
        {"entropy", choice<Entropy>(&Settings::entropy, {{"cabac", Entropy::cabac}, {"cavlc", Entropy::cavlc}})},
        {"transform_8x8", plain<bool>(&Settings::transform_8x8)},
        {"deblocking", choice<Deblocking>(&Settings::deblocking, {{"on", Deblocking::on},
                                                                  {"off", Deblocking::off},
                                                                  {"within_slices", Deblocking::within_slices}})},
        {"constrained_intra", plain<bool>(&Settings::constrained_intra)},
        {"references", read_reference_counts},
        {"layers", read_layers},
        {"tiles", read_tiles},
        {"interlaced", choice<Structure>(&Settings::structure, structures())},
        {"alpha", plain<uint32_t>(&Settings::alpha)},
        {"stereo", plain<bool>(&Settings::two_views)},
        {"monochrome", plain<bool>(&Settings::monochrome)},
        {"film_grain",
         [](const py::handle& grain) { return assignment(&Settings::film_grain, film_grain_from_python(grain)); }},
        {"single_slice_refresh", plain<bool>(&Settings::single_slice_refresh)},
    };
}

Names<Reader> rate_readers() {
    return {
        {"rate_control", choice<RateControl>(&RateSettings::mode, {{"constqp", RateControl::constqp},
                                                                   {"vbr", RateControl::vbr},
                                                                   {"cbr", RateControl::cbr}})},
        {"bitrate", plain<uint32_t>(&RateSettings::bitrate)},
        {"max_bitrate", plain<uint32_t>(&RateSettings::max_bitrate)},
        {"vbv_size", plain<uint32_t>(&RateSettings::vbv_size)},
        {"vbv_initial", plain<uint32_t>(&RateSettings::vbv_initial)},
        {"qp", quantisers(&RateSettings::qp)},
        {"min_qp", quantisers(&RateSettings::min_qp)},
        {"max_qp", quantisers(&RateSettings::max_qp)},
        {"initial_qp", quantisers(&RateSettings::initial_qp)},
        {"cq_256ths", plain<uint32_t>(&RateSettings::cq_256ths)},
        {"multipass",
         choice<Multipass>(&RateSettings::multipass,
                           {{"off", Multipass::off}, {"quarter", Multipass::quarter}, {"full", Multipass::full}})},
        {"lookahead", count_or_presets(&RateSettings::lookahead, &RateSettings::presets_lookahead)},
        {"lookahead_level", plain<uint32_t>(&RateSettings::lookahead_level)},
        {"spatial_aq", plain<bool>(&RateSettings::spatial_aq)},
        {"aq_strength", plain<uint32_t>(&RateSettings::aq_strength)},
        {"temporal_aq", plain<bool>(&RateSettings::temporal_aq)},
        {"low_delay_key_frame_scale", plain<uint32_t>(&RateSettings::low_delay_key_frame_scale)},
        {"strict_gop", plain<bool>(&RateSettings::strict_gop)},
        {"nonref_p", plain<bool>(&RateSettings::nonref_p)},
        {"adaptive_i", plain<bool>(&RateSettings::adaptive_i)},
        {"adaptive_b", plain<bool>(&RateSettings::adaptive_b)},
    };
}

const Names<Reader>& readers() {
    static const Names<Reader> all = [] {
        Names<Reader> merged = stream_readers();
        merged.merge(output_readers());
        merged.merge(tool_readers());
        merged.merge(rate_readers());
        return merged;
    }();
    return all;
}

Change read_item(const std::string& name, const py::handle& value) {
    const auto reader = readers().find(name);
    if (reader == readers().end()) fail(ErrorKind::invalid_config, "An unknown setting: '" + name + "'.");
    try {
        return reader->second(value);
    } catch (const py::cast_error&) {
        fail(ErrorKind::invalid_config, name + "=" + py::repr(value).cast<std::string>() + " is of the wrong kind.");
    }
}

}  // namespace

std::vector<Change> changes_from_python(const py::dict& items) {
    std::vector<Change> changes;
    for (const auto& [name, value] : items) {
        changes.push_back(read_item(name.cast<std::string>(), value));
    }
    return changes;
}

Settings settings_from_python(const py::dict& items) {
    Settings settings;
    for (const Change& change : changes_from_python(items)) change(settings);
    return settings;
}

std::optional<FilmGrain> film_grain_from_python(const py::handle& grain) {
    if (grain.is_none()) return std::nullopt;
    using Mix = std::tuple<uint8_t, uint8_t, uint16_t>;
    using Flags = std::tuple<bool, bool, bool, bool>;
    using Numbers = std::tuple<uint32_t, uint32_t, uint32_t, uint32_t>;
    const auto [flags, numbers, points, coefficients, mixes] =
        grain.cast<std::tuple<Flags, Numbers, std::array<FilmGrain::Points, 3>, std::array<std::vector<int32_t>, 3>,
                              std::array<Mix, 2>>>();
    FilmGrain read;
    std::tie(read.apply, read.chroma_from_luma, read.overlap, read.restricted_range) = flags;
    std::tie(read.scaling_shift, read.lag, read.coefficient_shift, read.pattern_shift) = numbers;
    read.points = points;
    read.coefficients = coefficients;
    for (size_t plane = 0; plane < mixes.size(); ++plane) {
        const auto& [own, luma, offset] = mixes[plane];
        read.mixes[plane] = {own, luma, offset};
    }
    return read;
}

std::optional<Structure> structure_from_python(const py::handle& name) {
    if (name.is_none()) return std::nullopt;
    return named(structures(), name);
}

void read_references(const py::handle& picture, uint32_t slots, bool manual_types, PictureExtras& extras) {
    if (picture.is_none()) return;
    const auto [mark, use, is_p, is_reference] = picture.attr("_references")(slots, manual_types)
                                                     .cast<std::tuple<std::optional<uint32_t>, uint32_t, bool, bool>>();
    extras.mark_long_term = mark;
    extras.use_long_term = use;
    extras.force_p = is_p;
    extras.is_reference = is_reference;
}

std::optional<HintVectors> hints_from_python(const py::object& picture, const char* codec, uint32_t width,
                                             uint32_t height, uint32_t per_block) {
    if (picture.is_none()) return std::nullopt;
    const py::object given = picture.attr("_native_hints")(codec, width, height, per_block);
    if (given.is_none()) return std::nullopt;
    const auto bytes = given.cast<std::string_view>();
    HintVectors vectors(bytes.size() / sizeof(int16_t));
    std::memcpy(vectors.data(), bytes.data(), vectors.size() * sizeof(int16_t));
    return vectors;
}

std::vector<Message> messages_from_python(const py::handle& items) {
    std::vector<Message> messages;
    if (items.is_none()) return messages;
    for (const py::handle item : items.cast<py::sequence>()) {
        const auto [type, payload] = item.cast<std::pair<uint32_t, std::string>>();
        messages.push_back({type, {payload.begin(), payload.end()}});
    }
    return messages;
}

}  // namespace pdum::nvenc
