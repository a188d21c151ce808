#include "python/statistics_binding.hpp"

#include <pybind11/numpy.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "abi/statistics.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

constexpr const char* statistics_doc =
    "What the encoder counted while it encoded a picture: ``Packet.statistics`` of an encoder with ``statistics=…``.";
constexpr const char* motion_doc = "The average motion vector as (x, y), in the driver's units.";
constexpr const char* satd_doc =
    "The sum of absolute transformed differences between the picture and its prediction: how hard it was to predict.";
constexpr const char* rows_doc =
    "With ``statistics=\"rows\"``: a structured array with the fields ``qp``, ``bits`` and ``satd`` of each row of "
    "blocks.\nElse None. Before interface 13.0, ``satd`` is 0.";
constexpr const char* blocks_doc =
    "With ``statistics=\"blocks\"``: a structured array of shape (rows, columns) with the fields ``qp``, ``bits`` and\n"
    "``satd`` of each block: 16x16 pixels in H.264, 32x32 in HEVC, 64x64 in AV1. Else None. Before interface 13.0,\n"
    "``satd`` is 0.";

// Made at first use: importing the module must not import NumPy.
py::dtype unit_type() {
    py::list names;
    py::list formats;
    py::list offsets;
    const auto add = [&](const char* name, size_t offset) {
        names.append(name);
        formats.append("u4");
        offsets.append(offset);
    };
    add("qp", offsetof(UnitStatistics, qp));
    add("bits", offsetof(UnitStatistics, bits));
    add("satd", offsetof(UnitStatistics, satd));
    return {names, formats, offsets, static_cast<py::ssize_t>(sizeof(UnitStatistics))};
}

py::array array_of(const PictureStatistics& picture, const std::vector<size_t>& shape) {
    return {unit_type(), shape, picture.units.data()};
}

py::object rows_of(const PictureStatistics& picture) {
    if (picture.rows == 0 || picture.columns != 0) return py::none();
    return array_of(picture, {picture.rows});
}

py::object blocks_of(const PictureStatistics& picture) {
    if (picture.columns == 0) return py::none();
    return array_of(picture, {picture.rows, picture.columns});
}

py::tuple state_of(const PictureStatistics& picture) {
    const auto* units = reinterpret_cast<const char*>(picture.units.data());
    return py::make_tuple(picture.average_qp, picture.satd, picture.intra_blocks, picture.inter_blocks,
                          picture.motion_x, picture.motion_y, picture.slices, picture.rows, picture.columns,
                          py::bytes(units, picture.units.size() * sizeof(UnitStatistics)));
}

std::shared_ptr<PictureStatistics> from_state(const py::tuple& state) {
    constexpr size_t items = 10;
    if (state.size() != items) throw py::value_error("The state is not that of a PictureStatistics.");
    auto made = std::make_shared<PictureStatistics>();
    made->average_qp = state[0].cast<uint32_t>();
    made->satd = state[1].cast<uint32_t>();
    made->intra_blocks = state[2].cast<uint32_t>();
    made->inter_blocks = state[3].cast<uint32_t>();
    made->motion_x = state[4].cast<int32_t>();
    made->motion_y = state[5].cast<int32_t>();
    made->slices = state[6].cast<uint32_t>();
    made->rows = state[7].cast<size_t>();
    made->columns = state[8].cast<size_t>();
    const auto units = state[9].cast<std::string>();
    const size_t count = units.size() / sizeof(UnitStatistics);
    const size_t a_row = std::max<size_t>(made->columns, 1);
    if (units.size() % sizeof(UnitStatistics) != 0 || count % a_row != 0 || count / a_row != made->rows) {
        throw py::value_error("The state is not that of a PictureStatistics.");
    }
    made->units.resize(count);
    std::memcpy(made->units.data(), units.data(), units.size());
    return made;
}

std::string picture_text(const PictureStatistics& picture) {
    return "PictureStatistics(average_qp=" + std::to_string(picture.average_qp) +
           ", satd=" + std::to_string(picture.satd) + ", intra_blocks=" + std::to_string(picture.intra_blocks) +
           ", inter_blocks=" + std::to_string(picture.inter_blocks) + ")";
}

bool is_equal(const PictureStatistics& picture, const py::object& other) {
    return py::isinstance<PictureStatistics>(other) &&
           state_of(picture).equal(state_of(other.cast<const PictureStatistics&>()));
}

}  // namespace

void add_statistics_type(py::module_& module) {
    using Counted = PictureStatistics;
    py::class_<Counted, std::shared_ptr<Counted>> type(module, "PictureStatistics", statistics_doc);
    type.def_readonly("average_qp", &Counted::average_qp, "The mean quantiser.")
        .def_readonly("satd", &Counted::satd, satd_doc)
        .def_readonly("intra_blocks", &Counted::intra_blocks, "Blocks that refer to no other picture.")
        .def_readonly("inter_blocks", &Counted::inter_blocks, "Blocks that refer to another picture.")
        .def_property_readonly(
            "average_motion", [](const Counted& picture) { return py::make_tuple(picture.motion_x, picture.motion_y); },
            motion_doc)
        .def_readonly("slices", &Counted::slices, "How many slices the picture has.")
        .def_property_readonly("rows", rows_of, rows_doc)
        .def_property_readonly("blocks", blocks_of, blocks_doc)
        .def("__eq__", is_equal)
        .def("__hash__", [](const Counted& picture) { return py::hash(state_of(picture)); })
        .def("__repr__", picture_text)
        .def(py::pickle([](const Counted& picture) { return state_of(picture); },
                        [](const py::tuple& state) { return from_state(state); }));
}

}  // namespace pdum::nvenc
