// The buffers and resources of a session.
#include "common/text.hpp"
#include "encode/breach.hpp"
#include "encode/session.hpp"
#include "recordings/statuses.hpp"

namespace nvsim {

namespace {

// Describes a handle that is not of the wanted kind.
std::string what_is(const void* handle, uint32_t session, const char* wanted) {
    const Handle decoded = Handle::decode(handle);
    const bool known = decoded.kind >= Kind::bitstream && decoded.kind <= Kind::mapped;
    if (handle == nullptr) return text("a null pointer was given for ", wanted);
    if (!known) return text(hex(handle), " never was a handle of ", wanted);
    if (decoded.session != (session & 0xffff))
        return text(hex(handle), " belongs to session ", decoded.session, ", not to session ", session);
    return text(hex(handle), " is no longer, or never was, a handle of ", wanted);
}

}  // namespace

Bitstream& Session::bitstream(void* handle) {
    Bitstream* out = bitstreams_.find(handle, number_);
    if (out == nullptr)
        violate(handle == nullptr ? recorded::unlock_null_bitstream : Status::invalid_param,
                what_is(handle, number_, "a bitstream buffer"));
    return *out;
}

void* Session::create_bitstream() {
    require_initialized();
    const auto [out, handle] = bitstreams_.add(number_);
    out->handle = handle;
    reserve_staging();
    return handle;
}

void Session::destroy_bitstream(void* handle) {
    Bitstream& out = bitstream(handle);
    if (out.is_locked())
        violate(Status::invalid_call, text("output ", hex(handle), " is destroyed while it is locked"));
    if (out.state == Bitstream::pending && !ended_ && !device_.lost)
        violate(Status::invalid_call, text("output ", hex(handle), " is destroyed while its picture is in flight"));
    for (Bitstream*& waiting : waiting_outputs_)
        if (waiting == &out) waiting = nullptr;
    bitstreams_.remove(handle);
    if (lockers_ > 0) cell_.changed.notify_all();
}

void* Session::create_input(uint32_t width, uint32_t height, uint32_t format) {
    require_initialized();
    const auto pixel_format = static_cast<PixelFormat>(format);
    if (name_of(pixel_format) == nullptr)
        refuse(recorded::input_unknown_format, text("unknown buffer format ", format));
    if (!device_.takes(codec(), pixel_format))
        refuse(recorded::input_foreign_format, text(name_of(pixel_format), " is no input format of this codec"));
    if (width == 0 || height == 0) refuse(recorded::input_no_size, "an input buffer of no size");
    const auto [input, handle] = inputs_.add(number_);
    input->width = width;
    input->height = height;
    input->format = pixel_format;
    input->pitch = static_cast<uint32_t>(system_pitch(pixel_format, width));
    const Planes planes = planes_of(pixel_format, width, height, input->pitch, height);
    const Plane& last = planes.plane[planes.count - 1];
    input->memory = std::make_unique<uint8_t[]>(last.offset + last.pitch * last.rows);
    return handle;
}

void Session::destroy_input(void* handle) {
    InputBuffer* input = inputs_.find(handle, number_);
    if (input == nullptr) violate(Status::invalid_param, what_is(handle, number_, "an input buffer"));
    if (input->locked) violate(Status::invalid_call, text("input ", hex(handle), " is destroyed while it is locked"));
    if (input->in_flight > 0) abandon(&input->in_flight, text("input ", hex(handle), " is destroyed"));
    inputs_.remove(handle);
}

LockedInput Session::lock_input(void* handle, bool wait) {
    InputBuffer* input = inputs_.find(handle, number_);
    if (input == nullptr) violate(Status::invalid_param, what_is(handle, number_, "an input buffer"));
    if (input->locked) violate(Status::invalid_call, text("input ", hex(handle), " is locked already"));
    if (input->in_flight > 0) {
        if (!wait) refuse(Status::lock_busy, "the picture in it is not coded yet");
        violate(Status::encoder_busy, text("input ", hex(handle), " is locked while its picture is in flight"));
    }
    input->locked = true;
    return {input->memory.get(), input->pitch};
}

void Session::unlock_input(void* handle) {
    InputBuffer* input = inputs_.find(handle, number_);
    if (input == nullptr) violate(Status::invalid_param, what_is(handle, number_, "an input buffer"));
    if (!input->locked) violate(Status::invalid_call, text("unlock of input ", hex(handle), ", which is not locked"));
    input->locked = false;
}

void* Session::register_resource(const Registration& wanted) {
    require_initialized();
    const auto format = static_cast<PixelFormat>(wanted.format);
    if (wanted.type != Registration::device_pointer && wanted.type != Registration::cuda_array)
        refuse(Status::unsupported_param, "only CUDA device pointers and arrays can be registered");
    if (wanted.resource == nullptr) forbid(recorded::register_null, Status::invalid_ptr, "resourceToRegister is null");
    if (wanted.usage == Registration::reconstruction)
        check_reconstruction_buffer(wanted, format);
    else if (wanted.usage != Registration::input)
        refuse(Status::unimplemented, "only input images and reconstructions can be registered");
    const bool known = name_of(format) != nullptr;
    if (!known)
        forbid(recorded::register_no_format, Status::invalid_param, text("unknown buffer format ", wanted.format));
    if (wanted.width == 0 || wanted.height == 0)
        forbid(recorded::register_no_width, Status::invalid_param, "a resource of no size");
    if (known && wanted.type == Registration::device_pointer && wanted.pitch < row_bytes(format, wanted.width))
        refuse(Status::invalid_param,
               text("pitch ", wanted.pitch, " is less than the ", row_bytes(format, wanted.width), " bytes of a row"));
    check_kind_of_memory(wanted);
    if (known && wanted.height > 0) check_memory(wanted, format);
    const auto [registered, handle] = registered_.add(number_);
    registered->wanted = wanted;
    registered->format = format;
    reserve_staging();
    return handle;
}

namespace {

// The numbers are those of CUpointer_attribute. The value of one that CUDA does not tell is 0.
uint64_t attribute(int number, cu::DevicePtr pointer) {
    uint64_t value = 0;
    return cu::calls()->attribute(&value, number, pointer) == 0 ? value : 0;
}

}  // namespace

// NVENC takes what cuMemAlloc gives. The status for memory of pools is that of a report to NVIDIA; for virtual memory,
// managed and host memory it is assumed.
void Session::check_kind_of_memory(const Registration& wanted) {
    constexpr int kContext = 1, kBufferId = 7, kManaged = 8, kLegacyIpc = 10;
    if (wanted.type != Registration::device_pointer || wanted.resource == nullptr) return;
    const auto pointer = reinterpret_cast<cu::DevicePtr>(wanted.resource);
    const cu::Current current(context_);
    if (!current.ok || attribute(kBufferId, pointer) == 0 || attribute(kLegacyIpc, pointer) != 0) return;
    const bool other = attribute(kManaged, pointer) != 0 || attribute(kContext, pointer) == 0;
    if (device_.gpu.legacy_ipc || other)
        refuse(Status::resource_register_failed,
               "the resource is no memory of cuMemAlloc: it is of a pool, virtual, managed or the host's");
}

// A resource must lie inside one allocation. A pointer that CUDA does not know passes.
void Session::check_memory(const Registration& wanted, PixelFormat format) {
    if (!reads_pixels_ || wanted.type != Registration::device_pointer) return;
    const auto pointer = reinterpret_cast<cu::DevicePtr>(wanted.resource);
    const cu::Current current(context_);
    cu::DevicePtr base = 0;
    size_t size = 0;
    if (!current.ok || cu::calls()->address_range(&base, &size, pointer) != 0) return;
    const Planes planes = planes_of(format, wanted.width, wanted.height, wanted.pitch, wanted.height);
    const Plane& last = planes.plane[planes.count - 1];
    const size_t needed = last.offset + last.pitch * (last.rows - 1) + last.row_bytes;
    if (pointer + needed > base + size)
        violate(Status::resource_register_failed,
                text("the resource needs ", needed, " bytes, and its allocation ends ", pointer + needed - base - size,
                     " bytes before that"));
}

void Session::unregister_resource(void* handle) {
    Registered* registered = registered_.find(handle, number_);
    if (registered == nullptr)
        violate(Status::resource_not_registered, what_is(handle, number_, "a registered resource"));
    if (registered->maps > 0)
        violate(Status::invalid_call, text("resource ", hex(handle), " is unregistered while it is mapped"));
    registered_.remove(handle);
}

void* Session::map(void* handle, uint32_t& format) {
    Registered* registered = registered_.find(handle, number_);
    if (registered == nullptr)
        violate(Status::resource_not_registered, what_is(handle, number_, "a registered resource"));
    if (registered->maps > 0)
        forbid(recorded::map_again, Status::map_failed, text("resource ", hex(handle), " is mapped already"));
    const auto [mapped, mapped_handle] = mapped_.add(number_);
    mapped->registered = registered;
    ++registered->maps;
    format = registered->wanted.format;
    return mapped_handle;
}

void Session::unmap(void* handle) {
    Mapped* mapped = mapped_.find(handle, number_);
    if (mapped == nullptr) violate(recorded::unmap_again, what_is(handle, number_, "a mapped resource"));
    if (mapped->registered->wanted.usage == Registration::reconstruction)
        write_reconstruction(*mapped);
    else if (mapped->in_flight > 0)
        abandon(&mapped->in_flight, text("resource ", hex(handle), " is unmapped"));
    --mapped->registered->maps;
    mapped_.remove(handle);
}

// An input goes away while a picture still needs it: a violation, unless the end of the stream was sent or the device
// is gone. Its pixels have been read already.
void Session::abandon(const int* in_flight, const std::string& what) {
    if (!ended_ && !device_.lost) violate(Status::invalid_call, what + " while its picture is in flight");
    std::unique_lock<std::mutex> mutex(cell_.mutex, std::adopt_lock);
    for (size_t i = 0; i < window_.size();) {
        Record* record = window_[i];
        if (record->alpha_in_flight == in_flight) record->alpha_in_flight = nullptr;
        if (record->in_flight != in_flight) {
            ++i;
        } else if (record->checking) {
            cell_.changed.wait(mutex);
            i = 0;
        } else {
            record->in_flight = nullptr;
            record->checked = true;
        }
    }
    mutex.release();
}

size_t Session::bytes_of_one_picture() const {
    const PictureFormat& format = setup_.settings.stream.format;
    size_t bytes = packed_size(PixelFormat::nv12, format.width, format.height);
    if (name_of(setup_.format) != nullptr)
        bytes = std::max(bytes, packed_size(setup_.format, format.width, format.height));
    for (PixelFormat wider : {PixelFormat::p010, PixelFormat::argb, PixelFormat::yuv444_10})
        if (bit_depth_of(wider) <= format.bit_depth && chroma_of(wider) <= format.chroma)
            bytes = std::max(bytes, packed_size(wider, format.width, format.height));
    return bytes;
}

void Session::reserve_staging() {
    if (!reads_pixels_) return;
    size_t bytes = bytes_of_one_picture();
    const PictureFormat& format = setup_.settings.stream.format;
    registered_.for_each([&](Registered& registered) {
        if (name_of(registered.format) == nullptr) return;
        bytes = std::max(bytes, packed_size(registered.format, format.width, format.height));
    });
    if (staging_.size() > bitstreams_.live() && bytes <= staged_bytes_) return;
    const cu::Current current(context_);
    if (current.ok) staging_.reserve(bitstreams_.live() + 1, bytes);
    staged_bytes_ = bytes;
}

}  // namespace nvsim
