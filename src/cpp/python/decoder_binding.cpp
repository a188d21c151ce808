#include "python/decoder_binding.hpp"

#include <pybind11/stl.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/error.hpp"
#include "decoder/video.hpp"
#include "python/bound_object.hpp"
#include "python/decoded_frame.hpp"
#include "python/python_objects.hpp"
#include "python/stream_from_python.hpp"

namespace py = pybind11;

namespace pdum::nvenc {
namespace {

// Lives as long as Python refers to frames of one chip. Encoders that read these frames in place keep their memory
// registered as long as that.
class SurfaceMemory {
   public:
    explicit SurfaceMemory(std::shared_ptr<Chip> chip) : chip_(std::move(chip)) {}
    ~SurfaceMemory() {
        const WithoutGil unlocked;
        chip_.reset();
    }
    SurfaceMemory(const SurfaceMemory&) = delete;
    SurfaceMemory& operator=(const SurfaceMemory&) = delete;

    bool is_of(const std::shared_ptr<Chip>& chip) const noexcept { return chip_ == chip; }

   private:
    std::shared_ptr<Chip> chip_;
};

// The bytes of an object with the buffer protocol, such as bytes or a packet of PyAV.
class Bytes {
   public:
    explicit Bytes(const py::object& data) {
        if (PyObject_GetBuffer(data.ptr(), &view_, PyBUF_SIMPLE) != 0) throw py::error_already_set();
    }
    ~Bytes() { PyBuffer_Release(&view_); }
    Bytes(const Bytes&) = delete;
    Bytes& operator=(const Bytes&) = delete;

    const uint8_t* data() const noexcept { return static_cast<const uint8_t*>(view_.buf); }
    size_t size() const noexcept { return static_cast<size_t>(view_.len); }

   private:
    Py_buffer view_{};
};

class Decoder {
   public:
    Decoder(const VideoOptions& options, const py::object& stream)
        : reader_{stream.is_none() ? legacy_stream() : stream_from_python(stream), stream} {
        const WithoutGil unlocked;
        video_ = std::make_shared<Video>(options);
    }
    ~Decoder() {
        const WithoutGil unlocked;
        video_.reset();
    }
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    // As for encoders: zeroed memory reads as a decoder whose __init__ has not run.
    static void* operator new(size_t size) {
        void* memory = std::calloc(1, size);
        if (memory == nullptr) throw std::bad_alloc();
        return memory;
    }
    static void operator delete(void* memory) { std::free(memory); }

    py::list decode(const py::object& data, std::optional<int64_t> pts) {
        const std::shared_ptr<Video> video = video_of();
        const Bytes bytes(data);
        return frames_from([&] { return video->decode(bytes.data(), bytes.size(), pts); });
    }

    py::list flush(std::optional<size_t> most) {
        const std::shared_ptr<Video> video = video_of();
        return frames_from([&] { return video->flush(most.value_or(SIZE_MAX)); });
    }

    void begin_anew(const py::bytes& header) {
        const std::shared_ptr<Video> video = video_of();
        const auto bytes = static_cast<std::string_view>(header);
        std::vector<uint8_t> copy(bytes.begin(), bytes.end());
        const WithoutGil unlocked;
        video->begin_anew(std::move(copy));
    }

    void close() { end_of(video_of()); }

    // For the garbage collector.
    int traverse(visitproc visit, void* arg) const {
        Py_VISIT(reader_.object.ptr());
        Py_VISIT(memory_.ptr());
        return 0;
    }
    void clear() { reader_.object = py::object(); }
    void end() {
        if (video_ != nullptr) end_of(video_);
    }

    const char* codec() const { return name_of(video_of()->codec()); }
    int gpu() const { return video_of()->gpu(); }

   private:
    void end_of(const std::shared_ptr<Video>& video) {
        const py::object dropped = [this] {
            const std::lock_guard<std::mutex> lock(mutex_);
            is_closed_ = true;
            return std::exchange(memory_, py::object());
        }();
        const WithoutGil unlocked;
        video->close();
    }

    std::shared_ptr<Video> video_of() const {
        if (video_ == nullptr) fail(ErrorKind::decoder_closed, "This decoder was never made.", "Call __init__.");
        return video_;
    }

    template <typename Work>
    py::list frames_from(Work work) {
        std::vector<DecodedPicture> pictures;
        {
            const WithoutGil unlocked;
            pictures = work();
        }
        py::list frames;
        for (DecodedPicture& picture : pictures) {
            py::object memory = memory_of(picture.lease->chip());
            frames.append(py::cast(std::make_unique<DecodedFrame>(std::move(picture), reader_, std::move(memory))));
        }
        return frames;
    }

    // Only frames that are out keep the memory of a decoder that another thread has closed meanwhile.
    py::object memory_of(const std::shared_ptr<Chip>& chip) {
        const auto is_there = [&] { return memory_ && memory_.cast<const SurfaceMemory&>().is_of(chip); };
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (is_there()) return memory_;
        }
        py::object made = py::cast(std::make_unique<SurfaceMemory>(chip));
        py::object dropped;  // without the lock
        const std::lock_guard<std::mutex> lock(mutex_);
        if (is_there()) {
            dropped = std::move(made);
            return memory_;
        }
        if (!is_closed_) dropped = std::exchange(memory_, made);
        return made;
    }

    ReaderStream reader_;
    std::shared_ptr<Video> video_;

    std::mutex mutex_;   // held only to copy or exchange what follows
    py::object memory_;  // of the chip that is in use
    bool is_closed_ = false;
};

std::unique_ptr<Decoder> make_decoder(const std::string& codec, const py::bytes& header, int gpu_id,
                                      uintptr_t cuda_context, const py::object& stream, uint32_t lent_surfaces) {
    const std::optional<DecodeCodec> found = find_decode_codec(codec);
    if (!found) fail(ErrorKind::invalid_config, "Expected a codec that GPUs decode, got codec='" + codec + "'.");
    VideoOptions options;
    options.codec = *found;
    const auto bytes = static_cast<std::string_view>(header);
    options.header.assign(bytes.begin(), bytes.end());
    options.gpu = gpu_id;
    options.context = reinterpret_cast<CUcontext>(cuda_context);
    options.lent_surfaces = lent_surfaces;
    return std::make_unique<Decoder>(options, stream);
}

VideoChroma chroma_of(const std::string& name) {
    if (name == "4:0:0") return VideoChroma::monochrome;
    if (name == "4:2:0") return VideoChroma::c420;
    if (name == "4:2:2") return VideoChroma::c422;
    if (name == "4:4:4") return VideoChroma::c444;
    fail(ErrorKind::invalid_config, "Expected 4:0:0, 4:2:0, 4:2:2 or 4:4:4, got chroma='" + name + "'.");
}

py::dict limits_in_python(const std::string& codec, const std::string& chroma, int bit_depth, int gpu_id) {
    const std::optional<DecodeCodec> found = find_decode_codec(codec);
    if (!found) fail(ErrorKind::invalid_config, "Expected a codec that GPUs decode, got codec='" + codec + "'.");
    const VideoChroma format = chroma_of(chroma);
    DecodeLimits limits;
    {
        const WithoutGil unlocked;
        const std::shared_ptr<const Context> context = Context::primary(gpu_id);
        const ContextScope scope(*context);
        limits = decode_limits(*found, format, bit_depth);
    }
    py::dict answer;
    answer["supported"] = limits.is_supported;
    answer["engines"] = limits.engines;
    answer["min_width"] = limits.min_width;
    answer["min_height"] = limits.min_height;
    answer["max_width"] = limits.max_width;
    answer["max_height"] = limits.max_height;
    answer["max_macroblocks"] = limits.max_macroblocks;
    return answer;
}

}  // namespace

void add_decoder_type(py::module_& module) {
    add_decoded_frame_type(module);
    [[maybe_unused]] const py::class_<SurfaceMemory> memory(module, "_SurfaceMemory");
    // It refers to the stream on which its frames are read, and that may refer to it.
    py::class_<Decoder>(module, "Decoder", py::custom_type_setup(collect_in_cycles<Decoder, &Decoder::end>),
                        "Takes arguments that are checked already: use pdum.nvenc.Decoder.")
        .def(py::init(&make_decoder), py::kw_only(), py::arg("codec"), py::arg("header"), py::arg("gpu_id"),
             py::arg("cuda_context"), py::arg("stream"), py::arg("lent_surfaces"))
        .def("decode", &Decoder::decode, py::arg("data"), py::arg("pts") = py::none())
        .def("flush", &Decoder::flush, py::arg("most") = py::none())
        .def("begin_anew", &Decoder::begin_anew, py::arg("header"))
        .def("close", &Decoder::close)
        .def_property_readonly("codec", &Decoder::codec)
        .def_property_readonly("gpu_id", &Decoder::gpu);
    module.def("decode_limits", limits_in_python, py::kw_only(), py::arg("codec"), py::arg("chroma"),
               py::arg("bit_depth"), py::arg("gpu_id"));
}

}  // namespace pdum::nvenc
