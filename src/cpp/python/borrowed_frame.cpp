#include "python/borrowed_frame.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "python/array_layout.hpp"
#include "python/cuda_array_interface.hpp"
#include "python/decoded_frame.hpp"
#include "python/dlpack_frame.hpp"
#include "python/frame_answers.hpp"
#include "python/pyav_frame.hpp"
#include "python/rgb_frame.hpp"
#include "python/stream_from_python.hpp"
#include "python/yuv_frame.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

std::string wanted(const FrameSpec& spec) { return spec.rgb ? wanted_rgb(spec) : wanted_yuv(spec); }

void accept(const ArrayLayout& array, const FrameSpec& spec, FrameView& view) {
    spec.rgb ? accept_rgb(array, spec, view) : accept_yuv(array, spec, view);
}

// A flat array of all bytes of a packed frame, such as bytes or a memoryview, gets the frame's shape.
void shape_flat(ArrayLayout& array, int64_t item_bytes, const FrameSpec& spec) {
    const bool side_by_side = array.strides.count == 0 || array.strides[0] == item_bytes;
    if (array.shape.count != 1 || !side_by_side || item_bytes != 1) return;
    if (spec.rgb ? shape_flat_rgb(array, spec) : shape_flat_yuv(array, spec)) array.strides = {};
}

// NumPy's typestr for a buffer's format in the letters of struct; other formats stay as they are.
std::string type_of_buffer(const Py_buffer& buffer) {
    std::string_view format = buffer.format != nullptr ? buffer.format : "B";
    if (format.size() == 2 && (format[0] == '@' || format[0] == '=' || format[0] == '<')) format.remove_prefix(1);
    const auto is_one_of = [&](std::string_view letters) { return letters.find(format[0]) != std::string_view::npos; };
    if (format.size() != 1 || !is_one_of("BHILQbhilqefd")) return std::string(format);
    return (is_one_of("efd") ? "f" : is_one_of("BHILQ") ? "u" : "i") + std::to_string(buffer.itemsize);
}

// CuPy's arrays offer both: a buffer that fails for device memory, and the array interface, which works.
bool offers_host_memory(PyObject* frame) {
    if (PyObject_CheckBuffer(frame) == 0) return false;
    return !has_cuda_array_interface(Py_TYPE(frame));
}

constexpr const char* lease_name = "pdum.nvenc.frame_lease";

void delete_lease(PyObject* capsule) {
    using Lease = std::shared_ptr<FrameLease>;
    const std::unique_ptr<Lease> lease(static_cast<Lease*>(PyCapsule_GetPointer(capsule, lease_name)));
    const WithoutGil unlocked;
    lease->reset();
}

PyRef capsule_of(std::unique_ptr<std::shared_ptr<FrameLease>> lease) {
    PyRef capsule(PyCapsule_New(lease.get(), lease_name, delete_lease));
    if (capsule == nullptr) throw py::error_already_set();
    static_cast<void>(lease.release());  // the capsule owns it now
    return capsule;
}

}  // namespace

BorrowedFrame::BorrowedFrame(PyObject* frame, PyObject* stream, const FrameSpec& spec, CUstream our_stream) {
    const bool stream_is_given = stream != Py_None;
    if (read_decoded(frame, spec)) return;  // its stream is known, whatever the caller says
    if (offers_host_memory(frame)) {
        read_buffer(frame, spec);
    } else if (!read_cuda_array(frame, spec, stream_is_given) && !read_dlpack(frame, spec, our_stream) &&
               !read_pyav(frame, spec)) {
        invalid_frame(
            std::string("Got a frame of type '") + Py_TYPE(frame)->tp_name + "'.",
            "A frame needs __cuda_array_interface__, __dlpack__ or Python's buffer protocol. " + wanted(spec));
    }
    if (stream_is_given && view_.memory == FrameMemory::device) {
        set_producer(stream_from_python(py::reinterpret_borrow<py::object>(stream)));
    }
}

void BorrowedFrame::set_producer(CUstream stream) {
    view_.order = ProducerOrder::on_stream;
    view_.stream = stream;
}

// The lease is kept beside the frame, which its owner may give back at any time.
bool BorrowedFrame::read_decoded(PyObject* frame, const FrameSpec& spec) {
    const DecodedFrame* decoded = as_decoded_frame(frame);
    if (decoded == nullptr) return false;
    auto lease = std::make_unique<std::shared_ptr<FrameLease>>(decoded->share());
    const DeviceArray array = decoded->array(**lease);
    ArrayLayout layout;
    layout.data = reinterpret_cast<const void*>(array.address);
    layout.type = "u" + std::to_string(array.format->sample_bytes);
    layout.shape.count = layout.strides.count = 2;
    layout.shape.values = {array.shape[0].cast<int64_t>(), array.shape[1].cast<int64_t>()};
    layout.strides.values = {static_cast<int64_t>(array.pitch), array.format->pixel_bytes};
    accept(layout, spec, view_);
    view_.memory = FrameMemory::device;
    set_producer((*lease)->chip()->stream()->handle());
    memory_ = capsule_of(std::move(lease));
    return true;
}

void BorrowedFrame::read_buffer(PyObject* frame, const FrameSpec& spec) {
    Py_buffer& buffer = buffer_.view;
    if (PyObject_GetBuffer(frame, &buffer, PyBUF_STRIDES | PyBUF_FORMAT) != 0) {
        invalid_frame("The frame's memory cannot be read: " + pending_python_error());
    }
    ArrayLayout array;
    array.shape = extents_of(buffer.shape, buffer.ndim);
    // ctypes never gives strides for its arrays: they are packed.
    if (buffer.strides != nullptr) array.strides = extents_of(buffer.strides, buffer.ndim);
    array.type = type_of_buffer(buffer);
    array.data = buffer.buf;
    shape_flat(array, buffer.itemsize, spec);
    accept(array, spec, view_);
}

bool BorrowedFrame::read_cuda_array(PyObject* frame, const FrameSpec& spec, bool stream_is_given) {
    memory_ = cuda_array_interface_of(frame);
    if (memory_ == nullptr) return false;
    accept(layout_of_interface(memory_.get()), spec, view_);
    view_.memory = FrameMemory::device;
    if (stream_is_given) return true;
    if (const std::optional<CUstream> stream = stream_of_interface(memory_.get(), frame)) set_producer(*stream);
    return true;
}

bool BorrowedFrame::read_pyav(PyObject* frame, const FrameSpec& spec) {
    return asked("The frame of PyAV cannot be read", [&] { return read_pyav_frame(frame, spec, view_); });
}

bool BorrowedFrame::read_dlpack(PyObject* object, const FrameSpec& spec, CUstream our_stream) {
    const py::handle frame(object);
    if (!py::hasattr(frame, "__dlpack__") || !py::hasattr(frame, "__dlpack_device__")) return false;
    memory_ = asked("The frame cannot be taken by DLPack", [&] {
        const auto device = frame.attr("__dlpack_device__")().cast<py::tuple>()[0].cast<int32_t>();
        return PyRef(dlpack_capsule(frame, device, our_stream).release().ptr());
    });
    const dlpack::Tensor& tensor = tensor_of(memory_.get());
    accept(layout_of_tensor(tensor), spec, view_);
    switch (tensor.device.type) {
        case dlpack::device_cpu:
        case dlpack::device_cuda_host: view_.memory = FrameMemory::host; break;
        case dlpack::device_cuda:
        case dlpack::device_cuda_managed: view_.memory = FrameMemory::device; break;
        default:
            invalid_frame("Got a frame on DLPack device " + std::to_string(tensor.device.type) + ".",
                          "Expected a CUDA device (2), managed memory (13) or the host (1, 3).");
    }
    return true;
}

}  // namespace pdum::nvenc
