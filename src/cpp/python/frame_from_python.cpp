#include "python/frame_from_python.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.hpp"
#include "python/array_layout.hpp"
#include "python/dlpack.hpp"
#include "python/pyav_frame.hpp"
#include "python/rgb_frame.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

[[noreturn]] void invalid_frame(std::string summary, std::string advice = {}) {
    fail(ErrorKind::invalid_frame, std::move(summary), std::move(advice));
}

std::string shape_text(const FrameSpec& spec) {
    const FormatTraits& format = *spec.format;
    const std::string width = std::to_string(spec.width), height = std::to_string(spec.height);
    const std::string type = " and type uint" + std::to_string(format.sample_bytes * 8);
    if (format.packed && format.sample_bytes == 1) return "(" + height + ", " + width + ", 4)" + type;
    if (format.packed) return "(" + height + ", " + width + ")" + type;
    return "(" + std::to_string(surface_rows(format, spec.height)) + ", " + width + ")" + type;
}

std::string wanted(const FrameSpec& spec) {
    if (spec.rgb) return wanted_rgb(spec);
    return "A frame of format '" + std::string(spec.format->name) + "' and " + std::to_string(spec.width) + "x" +
           std::to_string(spec.height) + " is an array of shape " + shape_text(spec) + ": " +
           std::string(spec.format->layout) + ".";
}

// "|u1", "<u2" or "<u4"; signed ones hold the same bits where a library has no unsigned ones.
bool is_sample_type(std::string_view type, uint32_t bytes) {
    if (!type.empty() && (type[0] == '|' || type[0] == '<')) type.remove_prefix(1);
    if (type.size() != 2 || type[1] != static_cast<char>('0' + bytes)) return false;
    return type[0] == 'u' || (type[0] == 'i' && bytes > 1);
}

// For C arrays of `count` values.
template <typename Integer>
Extents extents_of(const Integer* values, int64_t count) {
    if (count < 0 || count > static_cast<int64_t>(Extents::most) || (values == nullptr && count > 0)) {
        invalid_frame("A frame of " + std::to_string(count) + " dimensions came; it has 2.");
    }
    Extents extents;
    extents.count = static_cast<size_t>(count);
    std::copy_n(values, count, extents.values.begin());
    return extents;
}

// Which array dimension holds the rows, where the shape is one that a whole frame has.
struct RowDimension {
    bool fits = false;
    size_t index = 0;
};

RowDimension row_dimension(const Extents& shape, const FrameSpec& spec) {
    const FormatTraits& format = *spec.format;
    const auto rows = static_cast<int64_t>(surface_rows(format, spec.height));
    if (format.packed && format.sample_bytes == 1) {
        return {shape.count == 3 && shape[0] == rows && shape[1] == spec.width && shape[2] == format.pixel_bytes, 0};
    }
    if (shape.count == 2) return {shape[0] == rows && shape[1] == spec.width, 0};
    const bool planes = format.chroma == Chroma::c444 && !format.packed;
    return {planes && shape.count == 3 && shape[0] == 3 && shape[1] == spec.height && shape[2] == spec.width, 1};
}

// The bytes from one row to the next, where the others lie as they have to; 0 where they do not.
int64_t usable_pitch(const ArrayLayout& array, const FrameSpec& spec, size_t row) {
    const FormatTraits& format = *spec.format;
    const int64_t row_bytes = int64_t{spec.width} * format.pixel_bytes;
    if (array.strides.count == 0) return row_bytes;
    if (array.strides.count != array.shape.count) return 0;
    const int64_t pitch = array.strides[row];
    if (array.strides[row + 1] != format.pixel_bytes || pitch < row_bytes) return 0;
    if (row == 1 && array.strides[0] != pitch * spec.height) return 0;
    if (array.strides.count == 3 && row == 0 && array.strides[2] != 1) return 0;
    return format.format == PixelFormat::yuv420 && pitch != row_bytes ? 0 : pitch;
}

// Fills the view's geometry from an array that holds a whole frame, or says why it is none.
void accept_layout(const ArrayLayout& array, const FrameSpec& spec, FrameView& view) {
    if (spec.rgb) return accept_rgb(array, spec, view);
    const FormatTraits& format = *spec.format;
    const RowDimension row = row_dimension(array.shape, spec);
    if (!row.fits || !is_sample_type(array.type, format.sample_bytes)) {
        invalid_frame("A frame of shape " + tuple_text(array.shape) + " and type '" + array.type + "' came.",
                      wanted(spec));
    }
    const int64_t pitch = usable_pitch(array, spec, row.index);
    if (pitch == 0) {
        invalid_frame("A frame of strides " + tuple_text(array.strides) + " came.",
                      "The pixels of a row have to lie side by side, each row behind the one before" +
                          std::string(format.format == PixelFormat::yuv420 ? " without padding" : "") +
                          ". Make a contiguous copy first. " + wanted(spec));
    }
    if (array.data == nullptr) invalid_frame("A frame with a null pointer came.", "Is its array still allocated?");
    view.data = array.data;
    view.pitch = static_cast<size_t>(pitch);
    view.row_bytes = size_t{spec.width} * format.pixel_bytes;
    view.rows = surface_rows(format, spec.height);
    view.chroma_offset = view.pitch * spec.height;
}

// What Python raised, to be added to our own words. Ctrl-C and the like are no fault of a frame's and go on.
std::string python_error(py::error_already_set& raised) {
    if (!raised.matches(PyExc_Exception)) throw raised;
    return raised.what();
}

std::string pending_python_error() {
    py::error_already_set raised;
    return python_error(raised);
}

// Runs what asks Python's objects, which may raise anything: `failure` begins the message of the error.
template <typename Ask>
auto asked(const char* failure, Ask ask) {
    try {
        return ask();
    } catch (py::error_already_set& raised) {
        invalid_frame(failure + (": " + python_error(raised)));
    } catch (const py::cast_error& wrong_type) {
        invalid_frame(failure + (": " + std::string(wrong_type.what())));
    }
}

// Interned once: looking a name up by a C string makes a new object each time.
struct Names {
    PyObject* cuda_array_interface = PyUnicode_InternFromString("__cuda_array_interface__");
    PyObject* shape = PyUnicode_InternFromString("shape");
    PyObject* typestr = PyUnicode_InternFromString("typestr");
    PyObject* data = PyUnicode_InternFromString("data");
    PyObject* strides = PyUnicode_InternFromString("strides");
    PyObject* stream = PyUnicode_InternFromString("stream");
    PyObject* mask = PyUnicode_InternFromString("mask");
};

const Names& names() {
    static const Names interned;
    return interned;
}

// CPython's functions for long are several times as fast as those for long long.
static_assert(sizeof(long) == sizeof(int64_t));

int64_t integer(PyObject* value, const char* what) {
    const int64_t number = PyLong_AsLong(value);
    if (number == -1 && PyErr_Occurred() != nullptr) {
        invalid_frame(std::string("The frame's ") + what + " is no integer: " + pending_python_error());
    }
    return number;
}

uint64_t address(PyObject* value, const char* what) {
    const uint64_t number = PyLong_AsUnsignedLong(value);
    if (number == static_cast<uint64_t>(-1) && PyErr_Occurred() != nullptr) {
        invalid_frame(std::string("The frame's ") + what + " is no address: " + pending_python_error());
    }
    return number;
}

// The dict's value is held: asking for it, or for what is in it, may run Python code that takes it out of the dict.
PyRef item(PyObject* dict, PyObject* key) {
    PyRef value(Py_XNewRef(PyDict_GetItemWithError(dict, key)));
    if (value == nullptr && PyErr_Occurred() != nullptr) {
        invalid_frame("The frame's array interface cannot be read: " + pending_python_error());
    }
    return value;
}

bool is_given(const PyRef& value) { return value != nullptr && value.get() != Py_None; }

Extents integers(PyObject* tuple, const char* what) {
    if (tuple == nullptr || PyTuple_Check(tuple) == 0) {
        invalid_frame(std::string("The frame's array interface has no tuple '") + what + "'.");
    }
    Extents extents;
    extents.count = static_cast<size_t>(PyTuple_GET_SIZE(tuple));
    if (extents.count > Extents::most) {
        invalid_frame("A frame of " + std::to_string(extents.count) + " dimensions came; it has 2.");
    }
    for (size_t i = 0; i < extents.count; ++i) {
        extents.values[i] = integer(PyTuple_GET_ITEM(tuple, static_cast<Py_ssize_t>(i)), what);
    }
    return extents;
}

std::string text(PyObject* value, const char* what) {
    const char* utf8 = value != nullptr && PyUnicode_Check(value) != 0 ? PyUnicode_AsUTF8(value) : nullptr;
    if (utf8 == nullptr) {
        PyErr_Clear();
        invalid_frame(std::string("The frame's array interface has no text '") + what + "'.");
    }
    return utf8;
}

ArrayLayout layout_of_interface(PyObject* interface) {
    if (PyDict_Check(interface) == 0) invalid_frame("The frame's __cuda_array_interface__ is no dict.");
    const Names& name = names();
    ArrayLayout array;
    array.shape = integers(item(interface, name.shape).get(), "shape");
    array.type = text(item(interface, name.typestr).get(), "typestr");
    const PyRef strides = item(interface, name.strides);
    if (is_given(strides)) array.strides = integers(strides.get(), "strides");
    const PyRef data = item(interface, name.data);
    if (data == nullptr || PyTuple_Check(data.get()) == 0 || PyTuple_GET_SIZE(data.get()) != 2) {
        invalid_frame("The frame's array interface has no 'data' of an address and a flag.");
    }
    array.data = reinterpret_cast<const void*>(address(PyTuple_GET_ITEM(data.get(), 0), "data"));
    if (is_given(item(interface, name.mask))) invalid_frame("A masked array came.", "Pass the plain array.");
    return array;
}

// A buffer's format in struct's letters, as NumPy's typestr would say it; the letters themselves where there is none.
std::string type_of_buffer(const Py_buffer& buffer) {
    std::string_view format = buffer.format != nullptr ? buffer.format : "B";
    if (format.size() == 2 && (format[0] == '@' || format[0] == '=' || format[0] == '<')) format.remove_prefix(1);
    const auto is_one_of = [&](std::string_view letters) { return letters.find(format[0]) != std::string_view::npos; };
    if (format.size() != 1 || !is_one_of("BHILQbhilqefd")) return std::string(format);
    return (is_one_of("efd") ? "f" : is_one_of("BHILQ") ? "u" : "i") + std::to_string(buffer.itemsize);
}

// A flat array of all bytes of a packed frame, as bytes and memoryview are, gets the frame's shape.
void accept_flat(ArrayLayout& array, int64_t item_bytes, const FrameSpec& spec) {
    const bool side_by_side = array.strides.count == 0 || array.strides[0] == item_bytes;
    if (array.shape.count != 1 || !side_by_side || item_bytes != 1) return;
    const FormatTraits& format = *spec.format;
    const auto rows = static_cast<int64_t>(surface_rows(format, spec.height));
    if (spec.rgb) {
        if (!is_flat_rgb(array.shape[0], spec, array.shape)) return;
        array.type = "u1";
    } else {
        if (array.shape[0] != rows * spec.width * format.pixel_bytes) return;
        const bool components = format.packed && format.sample_bytes == 1;
        array.shape = {{rows, spec.width, 4}, components ? size_t{3} : size_t{2}};
        array.type = "u" + std::to_string(format.sample_bytes);
    }
    array.strides = {};
}

// CuPy's arrays have both: a buffer that refuses what lies on the device, and the array interface that is meant.
bool offers_host_memory(PyObject* frame) {
    if (PyObject_CheckBuffer(frame) == 0) return false;
    return PyObject_HasAttr(reinterpret_cast<PyObject*>(Py_TYPE(frame)), names().cuda_array_interface) == 0;
}

// PyTorch's array interface tells no stream: its work is on the stream that is current for the device.
bool torch_stream(PyObject* frame, CUstream& stream) {
    const py::handle type(reinterpret_cast<PyObject*>(Py_TYPE(frame)));
    if (!py::hasattr(type, "__torch_function__")) return false;
    const py::object current =
        py::module_::import("torch.cuda").attr("current_stream")(py::handle(frame).attr("device"));
    const auto handle = current.attr("cuda_stream").cast<uintptr_t>();
    stream = handle == 0 ? legacy_stream() : reinterpret_cast<CUstream>(handle);
    return true;
}

// A number, or an object of CUDA Python's, CuPy's or PyTorch's that holds one.
CUstream stream_of_caller(PyObject* object) {
    py::object value = py::reinterpret_borrow<py::object>(object);
    if (py::hasattr(value, "__cuda_stream__")) {
        value = value.attr("__cuda_stream__")().cast<py::sequence>()[1];
    } else if (py::hasattr(value, "cuda_stream")) {
        value = value.attr("cuda_stream");
    } else if (py::hasattr(value, "ptr")) {
        value = value.attr("ptr");
    }
    if (PyLong_Check(value.ptr()) == 0) {
        invalid_frame("stream=" + py::repr(object).cast<std::string>() + " came.",
                      "Pass a stream's handle as an int, or a stream of CuPy, PyTorch or CUDA Python.");
    }
    const uint64_t handle = address(value.ptr(), "stream");
    return handle == 0 ? legacy_stream() : reinterpret_cast<CUstream>(handle);
}

// Strides may be anything, and only those that fit are used: too large a one just has to stay wrong.
int64_t bytes_of(int64_t elements, int64_t element_bytes) {
    int64_t bytes = 0;
    return __builtin_mul_overflow(elements, element_bytes, &bytes) ? -1 : bytes;
}

ArrayLayout layout_of_tensor(const dlpack::Tensor& tensor) {
    ArrayLayout array;
    array.shape = extents_of(tensor.shape, tensor.dimensions);
    if (tensor.strides != nullptr) {
        array.strides = extents_of(tensor.strides, tensor.dimensions);
        for (size_t i = 0; i < array.strides.count; ++i) {
            array.strides.values[i] = bytes_of(array.strides[i], tensor.type.bits / 8);
        }
    }
    const bool whole = tensor.type.lanes == 1 && tensor.type.bits % 8 == 0 && tensor.type.code <= dlpack::type_float;
    const char kind = tensor.type.code == dlpack::type_float      ? 'f'
                      : tensor.type.code == dlpack::type_unsigned ? 'u'
                                                                  : 'i';
    array.type =
        whole ? kind + std::to_string(tensor.type.bits / 8)
              : "DLPack type " + std::to_string(tensor.type.code) + " of " + std::to_string(tensor.type.bits) + " bits";
    const auto begin = reinterpret_cast<uintptr_t>(tensor.data);
    if (begin != 0) array.data = reinterpret_cast<const void*>(begin + tensor.byte_offset);
    return array;
}

const dlpack::Tensor& tensor_of(PyObject* capsule) {
    if (PyCapsule_IsValid(capsule, "dltensor_versioned") != 0) {
        const auto* managed =
            static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(capsule, "dltensor_versioned"));
        if (managed->major > 1) {
            invalid_frame("A frame of DLPack version " + std::to_string(managed->major) + " came; version 1 is known.");
        }
        return managed->tensor;
    }
    if (PyCapsule_IsValid(capsule, "dltensor") != 0) {
        return static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule, "dltensor"))->tensor;
    }
    invalid_frame("The frame's __dlpack__ gave no DLPack capsule, or one that was used already.");
}

// Older producers do not know max_version, and say so by a TypeError.
py::object dlpack_capsule(py::handle frame, int32_t device, CUstream our_stream) {
    py::dict arguments;
    if (device == dlpack::device_cuda || device == dlpack::device_cuda_managed) {
        arguments["stream"] = py::int_(reinterpret_cast<uintptr_t>(our_stream));
    }
    const py::object method = frame.attr("__dlpack__");
    try {
        return method(**arguments, py::arg("max_version") = py::make_tuple(1, 0));
    } catch (py::error_already_set& error) {
        if (!error.matches(PyExc_TypeError)) throw;
    }
    return method(**arguments);
}

}  // namespace

CUstream stream_from_python(const py::object& stream) {
    return asked("The stream cannot be taken", [&] { return stream_of_caller(stream.ptr()); });
}

BorrowedFrame::BorrowedFrame(PyObject* frame, PyObject* stream, const FrameSpec& spec, CUstream our_stream) {
    if (offers_host_memory(frame)) {
        read_buffer(frame, spec);
    } else if (!read_cuda_array(frame, spec) && !read_dlpack(frame, spec, our_stream) && !read_pyav(frame, spec)) {
        invalid_frame(std::string("A frame of type '") + Py_TYPE(frame)->tp_name + "' came.",
                      "A frame has __cuda_array_interface__, __dlpack__ or Python's buffer protocol. " + wanted(spec));
    }
    if (stream != Py_None && view_.memory == FrameMemory::device) {
        set_producer(stream_from_python(py::reinterpret_borrow<py::object>(stream)));
    }
}

void BorrowedFrame::set_producer(CUstream stream) {
    view_.order = ProducerOrder::on_stream;
    view_.stream = stream;
}

void BorrowedFrame::read_buffer(PyObject* frame, const FrameSpec& spec) {
    Py_buffer& buffer = buffer_.view;
    if (PyObject_GetBuffer(frame, &buffer, PyBUF_STRIDES | PyBUF_FORMAT) != 0) {
        invalid_frame("The frame's memory cannot be read: " + pending_python_error());
    }
    ArrayLayout array;
    array.shape = extents_of(buffer.shape, buffer.ndim);
    // ctypes gives none for its arrays, whatever is asked for: they are packed.
    if (buffer.strides != nullptr) array.strides = extents_of(buffer.strides, buffer.ndim);
    array.type = type_of_buffer(buffer);
    array.data = buffer.buf;
    accept_flat(array, buffer.itemsize, spec);
    accept_layout(array, spec, view_);
}

bool BorrowedFrame::read_cuda_array(PyObject* frame, const FrameSpec& spec) {
    kept_.reset(PyObject_GetAttr(frame, names().cuda_array_interface));
    if (kept_ == nullptr) {
        if (PyErr_ExceptionMatches(PyExc_AttributeError) == 0) {
            invalid_frame("The frame's __cuda_array_interface__ cannot be read: " + pending_python_error());
        }
        PyErr_Clear();
        return false;
    }
#ifdef Py_GIL_DISABLED
    // Another thread could change the dict while it is read here.
    if (PyDict_Check(kept_.get()) != 0) kept_.reset(PyDict_Copy(kept_.get()));
    if (kept_ == nullptr) throw py::error_already_set();
#endif
    accept_layout(layout_of_interface(kept_.get()), spec, view_);
    view_.memory = FrameMemory::device;
    const PyRef told = item(kept_.get(), names().stream);
    CUstream stream = legacy_stream();  // what interfaces before version 3 mean
    if (told == nullptr) {
        asked("PyTorch does not tell its stream", [&] { return torch_stream(frame, stream); });
        set_producer(stream);
    } else if (told.get() != Py_None) {
        const uint64_t handle = address(told.get(), "stream");
        if (handle == 0) {
            invalid_frame("The frame's array interface has the stream 0, which the interface forbids as ambiguous.",
                          "1 is the legacy default stream, 2 the thread's own.");
        }
        set_producer(reinterpret_cast<CUstream>(handle));
    }
    return true;
}

bool BorrowedFrame::read_pyav(PyObject* frame, const FrameSpec& spec) {
    return asked("The frame of PyAV cannot be read", [&] { return read_pyav_frame(frame, spec, view_); });
}

bool BorrowedFrame::read_dlpack(PyObject* object, const FrameSpec& spec, CUstream our_stream) {
    const py::handle frame(object);
    if (!py::hasattr(frame, "__dlpack__") || !py::hasattr(frame, "__dlpack_device__")) return false;
    kept_ = asked("The frame cannot be taken by DLPack", [&] {
        const auto device = frame.attr("__dlpack_device__")().cast<py::tuple>()[0].cast<int32_t>();
        return PyRef(dlpack_capsule(frame, device, our_stream).release().ptr());
    });
    const dlpack::Tensor& tensor = tensor_of(kept_.get());
    accept_layout(layout_of_tensor(tensor), spec, view_);
    switch (tensor.device.type) {
        case dlpack::device_cpu:
        case dlpack::device_cuda_host: view_.memory = FrameMemory::host; break;
        case dlpack::device_cuda:
        case dlpack::device_cuda_managed: view_.memory = FrameMemory::device; break;
        default:
            invalid_frame("A frame on DLPack device " + std::to_string(tensor.device.type) + " came.",
                          "Frames lie on a CUDA device or on the host.");
    }
    return true;
}

}  // namespace pdum::nvenc
