#include "python/borrowed_map.hpp"

#include <pybind11/stl.h>

#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "python/array_layout.hpp"
#include "python/cuda_array_interface.hpp"
#include "python/dlpack_frame.hpp"
#include "python/frame_answers.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

constexpr const char* wanted_map =
    "A map is an array of two dimensions and type int8 (or uint8), on the host or on a CUDA device.";

// The functions that read arrays say "frame" in their errors; this turns such an error into one about the map.
template <typename Read>
void about_the_map(const char* name, Read read) {
    try {
        read();
    } catch (const Error& error) {
        ErrorDetails details = error.details();
        if (details.kind != ErrorKind::invalid_frame) throw;
        details.kind = ErrorKind::invalid_config;
        details.summary = std::string(name) + " cannot be read. " + details.summary;
        details.advice = wanted_map;
        throw Error(std::move(details));
    }
}

// Whether the type is uint8. Throws unless it is int8 or uint8.
bool is_unsigned(std::string_view type) {
    if (!type.empty() && (type[0] == '|' || type[0] == '<')) type.remove_prefix(1);
    if (type != "i1" && type != "u1") invalid_frame("Expected type int8 or uint8, got '" + std::string(type) + "'.");
    return type == "u1";
}

void set_shape(const Extents& shape, MapArray& array) {
    if (shape.count != 2) invalid_frame("Expected two dimensions, got shape " + tuple_text(shape) + ".");
    array.rows = shape[0];
    array.columns = shape[1];
}

class Buffer {
   public:
    explicit Buffer(PyObject* object) {
        if (PyObject_GetBuffer(object, &view, PyBUF_STRIDES | PyBUF_FORMAT) != 0) {
            invalid_frame("Its memory cannot be read: " + pending_python_error());
        }
    }
    ~Buffer() { PyBuffer_Release(&view); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    Py_buffer view{};
};

const char* type_of_format(const char* format) {
    const std::string_view given = format != nullptr ? format : "B";
    return given == "b" ? "i1" : given == "B" ? "u1" : format;
}

// A larger array, and one of no values, fits no picture, which the session says.
constexpr int64_t most_blocks = int64_t{1} << 20;

BlockValues gather(const void* data, const MapArray& array, const Extents& strides) {
    BlockValues values;
    int64_t count = 0;
    const bool overflows = __builtin_mul_overflow(array.rows, array.columns, &count);
    if (overflows || count <= 0 || count > most_blocks) return values;
    const int64_t down = strides.count == 2 ? strides[0] : array.columns, across = strides.count == 2 ? strides[1] : 1;
    values.reserve(static_cast<size_t>(count));
    const auto* row = static_cast<const int8_t*>(data);
    for (int64_t y = 0; y < array.rows; ++y, row += down) {
        for (int64_t x = 0; x < array.columns; ++x) values.push_back(row[x * across]);
    }
    return values;
}

void read_buffer(PyObject* object, MapArray& array) {
    const Buffer buffer(object);
    set_shape(extents_of(buffer.view.shape, buffer.view.ndim), array);
    array.unsigned_bytes = is_unsigned(type_of_format(buffer.view.format));
    const Extents strides = buffer.view.strides != nullptr ? extents_of(buffer.view.strides, 2) : Extents{};
    array.values = gather(buffer.view.buf, array, strides);
}

DeviceMap on_device(const ArrayLayout& layout, MapArray& array) {
    set_shape(layout.shape, array);
    array.unsigned_bytes = is_unsigned(layout.type);
    DeviceMap map;
    const bool packed = layout.strides.count == 0;
    const int64_t pitch = packed ? array.columns : layout.strides[0];
    if (!packed && (layout.strides.count != 2 || layout.strides[1] != 1 || pitch < array.columns)) {
        invalid_frame("Expected the values of a row side by side, got strides " + tuple_text(layout.strides) + ".");
    }
    if (layout.data == nullptr) invalid_frame("Expected an array, got a null pointer.");
    map.pointer = reinterpret_cast<CUdeviceptr>(layout.data);
    map.pitch = static_cast<size_t>(pitch);
    return map;
}

std::vector<MapRegion> regions_from_python(const py::object& rectangles) {
    std::vector<MapRegion> regions;
    for (const auto& [x, y, width, height, value] :
         rectangles.cast<std::vector<std::tuple<int64_t, int64_t, int64_t, int64_t, int>>>()) {
        regions.push_back({x, y, width, height, static_cast<int8_t>(value)});
    }
    return regions;
}

py::object mode_to_python(std::optional<MapMode> mode) {
    if (!mode) return py::none();
    return py::str(*mode == MapMode::delta ? "delta" : "emphasis");
}

}  // namespace

BorrowedMap::BorrowedMap(const py::object& picture, const char* codec, std::optional<MapMode> mode,
                         const std::shared_ptr<Session>& session)
    : session_(session) {
    if (picture.is_none()) return;
    const py::object given = picture.attr("_native_map")(codec, mode_to_python(mode));
    if (given.is_none()) return;
    const auto [name, value] = given.cast<std::pair<std::string, py::object>>();
    if (name == "regions") {
        map_ = regions_from_python(value);
        return;
    }
    MapArray array;
    array.name = name == "qp_map" ? "qp_map" : "emphasis_map";
    const py::object& object = value;
    about_the_map(array.name, [&] { read_array(object.ptr(), array); });
    map_ = std::move(array);
}

void BorrowedMap::read_array(PyObject* object, MapArray& array) {
    if (PyObject_CheckBuffer(object) != 0 && !has_cuda_array_interface(Py_TYPE(object))) {
        read_buffer(object, array);
    } else if (!read_cuda_array(object, array) && !read_dlpack(object, array)) {
        invalid_frame(std::string("Expected an array, got an object of type '") + Py_TYPE(object)->tp_name + "'.");
    }
}

bool BorrowedMap::read_cuda_array(PyObject* object, MapArray& array) {
    memory_ = cuda_array_interface_of(object);
    if (memory_ == nullptr) return false;
    DeviceMap map = on_device(layout_of_interface(memory_.get()), array);
    map.produced_on = stream_of_interface(memory_.get(), object);
    array.values = map;
    return true;
}

bool BorrowedMap::read_dlpack(PyObject* object, MapArray& array) {
    const py::handle frame(object);
    if (!py::hasattr(frame, "__dlpack__") || !py::hasattr(frame, "__dlpack_device__")) return false;
    stream_.emplace(session_->input_stream());
    memory_ = asked("Its tensor cannot be taken", [&] {
        const auto device = frame.attr("__dlpack_device__")().cast<py::tuple>()[0].cast<int32_t>();
        return PyRef(dlpack_capsule(frame, device, stream_->handle()).release().ptr());
    });
    const dlpack::Tensor& tensor = tensor_of(memory_.get());
    const ArrayLayout layout = layout_of_tensor(tensor);
    const int32_t device = tensor.device.type;
    if (device == dlpack::device_cuda || device == dlpack::device_cuda_managed) {
        DeviceMap map = on_device(layout, array);
        map.produced_on = stream_->handle();
        array.values = map;
        return true;
    }
    if (device != dlpack::device_cpu && device != dlpack::device_cuda_host) {
        invalid_frame("Expected the host or a CUDA device, got DLPack device " + std::to_string(device) + ".");
    }
    set_shape(layout.shape, array);
    array.unsigned_bytes = is_unsigned(layout.type);
    if (layout.data == nullptr) invalid_frame("Expected an array, got a null pointer.");
    array.values = gather(layout.data, array, layout.strides);
    return true;
}

}  // namespace pdum::nvenc
