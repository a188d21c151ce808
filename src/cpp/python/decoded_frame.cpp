#include "python/decoded_frame.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <utility>

#include "core/error.hpp"
#include "python/bound_object.hpp"
#include "python/dlpack.hpp"
#include "python/python_objects.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

PyTypeObject* frame_type = nullptr;

// The decoder's surfaces have even sizes.
uint32_t even(uint32_t size) { return (size + 1) & ~1U; }

void copy_to_host(const FrameLease& lease, void* target, size_t row_bytes, size_t rows) {
    const Chip& chip = *lease.chip();
    const ContextScope scope(*chip.context());
    CUDA_MEMCPY2D copy{};
    copy.srcMemoryType = memory_device;
    copy.srcDevice = lease.address();
    copy.srcPitch = lease.pitch();
    copy.dstMemoryType = memory_host;
    copy.dstHost = target;
    copy.dstPitch = copy.WidthInBytes = row_bytes;
    copy.Height = rows;
    const CUstream stream = chip.stream()->handle();
    check_cuda(chip.context()->functions().cuMemcpy2DAsync(&copy, stream), "cuMemcpy2DAsync");
    chip.stream()->synchronize();
}

}  // namespace

DecodedFrame::DecodedFrame(DecodedPicture picture, ReaderStream reader, py::object memory)
    : picture_(std::move(picture)),
      reader_(std::move(reader)),
      memory_(std::move(memory)),
      lease_(std::move(picture_.lease)) {}

DecodedFrame::~DecodedFrame() { give_back(); }

std::shared_ptr<FrameLease> DecodedFrame::share() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (lease_ == nullptr) {
        fail(ErrorKind::decoder_closed, "This frame was given back to its decoder.",
             "Use it inside its `with`, or keep a copy.");
    }
    return lease_;
}

std::shared_ptr<FrameLease> DecodedFrame::take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(lease_, nullptr);
}

void DecodedFrame::give_back() {
    std::shared_ptr<FrameLease> lease = take();
    if (lease == nullptr) return;
    const WithoutGil unlocked;
    lease.reset();
}

void DecodedFrame::abandon() {
    std::shared_ptr<FrameLease> lease = take();
    if (lease == nullptr) return;
    if (reader_.object && !reader_.object.is_none()) lease->set_reader_lost();
    const WithoutGil unlocked;
    lease.reset();
}

py::object DecodedFrame::memory() const { return share()->is_copy() ? py::none() : memory_; }

DeviceArray DecodedFrame::array(const FrameLease& lease) const {
    return {lease.address(), lease.pitch(), shape(), &traits_of(picture_.layout), lease.chip()->context()->gpu()};
}

py::tuple DecodedFrame::shape() const {
    return frame_shape(traits_of(picture_.layout), even(picture_.format.width()), even(picture_.format.height()));
}

// The interface does not say where the consumer works: it is taken to be the reader's stream.
py::dict DecodedFrame::cuda_array_interface() const {
    const std::shared_ptr<FrameLease> lease = share();
    lease->add_reader(reader_.handle);
    const py::int_ stream(reinterpret_cast<uintptr_t>(lease->chip()->stream()->handle()));
    return array_interface(array(*lease), stream, false);
}

py::capsule DecodedFrame::dlpack(const py::object& stream, const py::object& max_version, const py::object& dl_device,
                                 const py::object& copy) const {
    const DlpackRequest request = DlpackRequest::checked({stream, max_version, dl_device, copy}, dlpack_device());
    std::shared_ptr<FrameLease> lease = share();
    lease->add_reader(request.wants_no_order ? reader_.handle : request.stream);
    if (!request.wants_no_order) {
        const WithoutGil unlocked;
        lease->make_wait_until_written(request.stream);
    }
    const DeviceArray memory = array(*lease);
    return export_tensor(memory, std::move(lease), reader_.object, request);
}

py::tuple DecodedFrame::dlpack_device() const {
    return py::make_tuple(dlpack::device_cuda, share()->chip()->context()->gpu());
}

py::object DecodedFrame::to_numpy() const {
    const FormatTraits& format = traits_of(picture_.layout);
    const uint32_t width = even(picture_.format.width());
    const size_t rows = surface_rows(format, even(picture_.format.height()));
    const py::dtype type = format.sample_bytes == 1 ? py::dtype::of<uint8_t>() : py::dtype::of<uint16_t>();
    py::array made(type, {rows, size_t{width}});
    void* target = made.mutable_data();
    std::shared_ptr<FrameLease> lease = share();
    {
        const WithoutGil unlocked;
        copy_to_host(*lease, target, row_bytes_of(format, width), rows);
        lease.reset();
    }
    return made;
}

int DecodedFrame::traverse(visitproc visit, void* arg) const {
    Py_VISIT(reader_.object.ptr());
    Py_VISIT(memory_.ptr());
    return 0;
}

void DecodedFrame::clear() {
    give_back();
    reader_.object = py::object();
    memory_ = py::object();
}

namespace {

py::object array_for_numpy(const DecodedFrame& frame, const py::object& type, const py::object& /*copy*/) {
    const py::object made = frame.to_numpy();
    return type.is_none() ? made : made.attr("astype")(type, py::arg("copy") = false);
}

std::string text_of(const DecodedFrame& frame) {
    const DecodedPicture& picture = frame.picture();
    const std::string pts = picture.pts ? std::to_string(*picture.pts) : "None";
    return "<DecodedFrame " + std::to_string(picture.format.width()) + "x" + std::to_string(picture.format.height()) +
           " " + std::string(traits_of(picture.layout).name) + ", pts=" + pts + ">";
}

// What help() shows.
namespace frame_doc {

constexpr const char* type =
    "A decoded frame on the GPU. CuPy and PyTorch take it as an array (``cupy.asarray(frame)``,\n"
    "``torch.from_dlpack(frame)``), every encoder of this package as a frame, and ``numpy.asarray(frame)`` copies "
    "it.\n\n"
    "Its memory belongs to the decoder, which writes another frame there when this one and all DLPack tensors of it\n"
    "are gone, after the work that their streams have queued by then. In a ``with``, it is given back at the end.";
constexpr const char* shape = "As a frame for an encoder of its format. Odd widths and heights are rounded up.";
constexpr const char* format = R"(The layout: ``"nv12"``, ``"p010"``, ``"yuv444"`` and so on, as an encoder's.)";
constexpr const char* pts = "That of the packet that held it; None if that had none.";
constexpr const char* damaged =
    "True if the GPU's decoder found an error in it, or if it lacks references. Both are told of H.264 and HEVC, "
    "errors\n"
    "of JPEG too, and nothing of other codecs.";
constexpr const char* lacks_references =
    "True if the GPU's decoder found no error in it, but a picture that it needs is missing: it refers to that one, or "
    "to\n"
    "another that does, and may look wrong. In H.264, each picture after a missing one counts as such, up to the next\n"
    "one at which decoding may begin.";
constexpr const char* primaries = "The colour primaries by their number in ITU-T H.273; 2 is unspecified.";
constexpr const char* transfer = "The transfer characteristics by their number in ITU-T H.273; 2 is unspecified.";
constexpr const char* matrix = "The matrix coefficients by their number in ITU-T H.273; 2 is unspecified.";

}  // namespace frame_doc

bool has_error(const DecodedPicture& picture) { return picture.status >= DecodeStatus::concealed; }
bool is_damaged(const DecodedPicture& picture) { return has_error(picture) || picture.lacks_references; }
bool only_lacks_references(const DecodedPicture& picture) { return !has_error(picture) && picture.lacks_references; }

template <typename Read>
auto of_picture(Read read) {
    return [read](const DecodedFrame& frame) { return read(frame.picture()); };
}

}  // namespace

void add_decoded_frame_type(py::module_& module) {
    // It refers to the stream on which it is read, and that may refer to it.
    py::class_<DecodedFrame> type(module, "DecodedFrame",
                                  py::custom_type_setup(collect_in_cycles<DecodedFrame, &DecodedFrame::abandon>),
                                  frame_doc::type);
    frame_type = reinterpret_cast<PyTypeObject*>(type.ptr());
    using Picture = const DecodedPicture&;
    type.def_property_readonly("shape", &DecodedFrame::shape, frame_doc::shape)
        .def_property_readonly("width", of_picture([](Picture p) { return p.format.width(); }), "In pixels.")
        .def_property_readonly("height", of_picture([](Picture p) { return p.format.height(); }), "In pixels.")
        .def_property_readonly("format", of_picture([](Picture p) { return traits_of(p.layout).name; }),
                               frame_doc::format)
        .def_property_readonly("pts", of_picture([](Picture p) { return p.pts; }), frame_doc::pts)
        .def_property_readonly("damaged", of_picture(is_damaged), frame_doc::damaged)
        .def_property_readonly("lacks_references", of_picture(only_lacks_references), frame_doc::lacks_references)
        .def_property_readonly("interlaced", of_picture([](Picture p) { return !p.is_progressive; }))
        .def_property_readonly("primaries", of_picture([](Picture p) { return p.format.colour.primaries; }),
                               frame_doc::primaries)
        .def_property_readonly("transfer", of_picture([](Picture p) { return p.format.colour.transfer; }),
                               frame_doc::transfer)
        .def_property_readonly("matrix", of_picture([](Picture p) { return p.format.colour.matrix; }),
                               frame_doc::matrix)
        .def_property_readonly("full_range", of_picture([](Picture p) { return p.format.colour.full_range; }))
        .def_property_readonly("base", &DecodedFrame::memory, "What lives as long as the memory; None for a copy.")
        .def_property_readonly("__cuda_array_interface__", &DecodedFrame::cuda_array_interface)
        .def("__dlpack__", &DecodedFrame::dlpack, py::kw_only(), py::arg("stream") = py::none(),
             py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(), py::arg("copy") = py::none())
        .def("__dlpack_device__", &DecodedFrame::dlpack_device)
        .def("__array__", array_for_numpy, py::arg("dtype") = py::none(), py::arg("copy") = py::none())
        .def("release", &DecodedFrame::give_back, "Gives it back now. May be called twice.")
        .def("__repr__", text_of)
        .def("__enter__", [](const py::object& self) { return self; })
        .def("__exit__", [](DecodedFrame& frame, const py::args&) { frame.give_back(); });
}

DecodedFrame* as_decoded_frame(PyObject* object) {
    return Py_TYPE(object) == frame_type ? bound_or_null<DecodedFrame>(object) : nullptr;
}

}  // namespace pdum::nvenc
