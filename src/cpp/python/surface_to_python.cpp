#include "python/surface_to_python.hpp"

#include <array>
#include <utility>

#include "core/error.hpp"
#include "python/dlpack.hpp"
#include "python/python_objects.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

// A DLPack tensor and its extents in one piece, as its consumer gives it back.
struct ExportedTensor {
    dlpack::Managed managed{};
    std::array<int64_t, 3> shape{};
    std::array<int64_t, 3> strides{};
};

PyTypeObject* surface_type = nullptr;

void delete_tensor(dlpack::Managed* managed) {
    const std::unique_ptr<ExportedTensor> owner(static_cast<ExportedTensor*>(managed->context));
}

// A capsule that nobody took is still named so.
void delete_capsule(PyObject* capsule) {
    if (PyCapsule_IsValid(capsule, "dltensor") == 0) return;
    auto* managed = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule, "dltensor"));
    managed->deleter(managed);
}

}  // namespace

Surface::Surface(std::shared_ptr<Session> session, LentSurface lent, const FormatTraits& format, uint32_t width,
                 uint32_t height, py::object stream)
    : session_(std::move(session)),
      lent_(lent),
      format_(format),
      width_(width),
      height_(height),
      stream_(std::move(stream)) {}

Surface::~Surface() { give_back(); }

void Surface::require_lent() const {
    static_cast<void>(session_->input_stream());  // throws where the encoder is closed, and the surface gone with it
    if (is_lent_) return;
    fail(ErrorKind::invalid_frame, "This surface was submitted or given back already.",
         "Take the next one: `with encoder.surface() as surface`.");
}

size_t Surface::hand_over() {
    require_lent();
    is_lent_ = false;
    return lent_.input;
}

void Surface::give_back() {
    if (!std::exchange(is_lent_, false)) return;
    const WithoutGil unlocked;
    session_->give_back_surface(lent_.input);
}

// As frames of this format are given to encode().
py::tuple Surface::shape() const {
    if (format_.packed && format_.sample_bytes == 1) return py::make_tuple(height_, width_, format_.pixel_bytes);
    return py::make_tuple(surface_rows(format_, height_), width_);
}

py::dict Surface::cuda_array_interface() const {
    require_lent();
    py::dict interface;
    const bool components = format_.packed && format_.sample_bytes == 1;
    interface["shape"] = shape();
    interface["typestr"] = (format_.sample_bytes == 1 ? "|u" : "<u") + std::to_string(format_.sample_bytes);
    interface["data"] = py::make_tuple(lent_.address, false);
    interface["strides"] = components ? py::tuple(py::make_tuple(lent_.pitch, format_.pixel_bytes, 1))
                                      : py::tuple(py::make_tuple(lent_.pitch, format_.pixel_bytes));
    interface["stream"] = py::none();  // nobody else works on it
    interface["version"] = 3;
    return interface;
}

py::capsule Surface::dlpack() const {
    require_lent();
    auto exported = std::make_unique<ExportedTensor>();
    const py::tuple extents = shape();
    const auto sample = static_cast<int64_t>(format_.sample_bytes);
    for (size_t i = 0; i < extents.size(); ++i) exported->shape[i] = extents[i].cast<int64_t>();
    exported->strides = {static_cast<int64_t>(lent_.pitch) / sample, format_.pixel_bytes / sample, 1};
    dlpack::Managed& managed = exported->managed;
    managed.tensor.data = reinterpret_cast<void*>(lent_.address);
    managed.tensor.device = {dlpack::device_cuda, session_->gpu()};
    managed.tensor.dimensions = static_cast<int32_t>(extents.size());
    managed.tensor.type = {dlpack::type_unsigned, static_cast<uint8_t>(sample * 8), 1};
    managed.tensor.shape = exported->shape.data();
    managed.tensor.strides = exported->strides.data();
    managed.context = exported.get();
    managed.deleter = delete_tensor;
    PyObject* capsule = PyCapsule_New(&managed, "dltensor", delete_capsule);
    if (capsule == nullptr) throw py::error_already_set();
    static_cast<void>(exported.release());  // the capsule's, or its consumer's
    return py::reinterpret_steal<py::capsule>(capsule);
}

py::tuple Surface::dlpack_device() const { return py::make_tuple(dlpack::device_cuda, session_->gpu()); }

void add_surface_type(py::module_& module) {
    py::class_<Surface> type(module, "Surface",
                             "One of the encoder's own surfaces, to be written in place of a copy:\n"
                             "``with encoder.surface() as surface``, write ``cupy.asarray(surface)``, submit it.");
    surface_type = reinterpret_cast<PyTypeObject*>(type.ptr());
    type.def_property_readonly("shape", &Surface::shape, "As that of a frame of the encoder's format.")
        .def_property_readonly("__cuda_array_interface__", &Surface::cuda_array_interface)
        .def(
            "__dlpack__",
            [](const Surface& surface, const py::object&, const py::object&, const py::object&, const py::object&) {
                return surface.dlpack();
            },
            py::kw_only(), py::arg("stream") = py::none(), py::arg("max_version") = py::none(),
            py::arg("dl_device") = py::none(), py::arg("copy") = py::none())
        .def("__dlpack_device__", &Surface::dlpack_device)
        .def("__enter__", [](const py::object& self) { return self; })
        .def("__exit__", [](Surface& surface, const py::args&) { surface.give_back(); });
}

Surface* as_surface(const py::object& object) {
    return Py_TYPE(object.ptr()) == surface_type ? &object.cast<Surface&>() : nullptr;
}

}  // namespace pdum::nvenc
