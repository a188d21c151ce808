#include "encode/machine.hpp"

#include <algorithm>
#include <stdexcept>

#include "common/catalogue.hpp"
#include "common/cuda_calls.hpp"
#include "common/text.hpp"
#include "encode/handles.hpp"
#include "encode/session.hpp"

namespace nvsim {

namespace {

std::unique_ptr<Device> make_device(const Config& config, int index) {
    auto device = std::make_unique<Device>();
    device->gpu = config.gpus[index];
    device->index = index;
    for (int codec = 0; codec < 3; ++codec) device->caps[codec] = capabilities(device->gpu, codec_names[codec]);
    for (int engine = 0; engine < device->gpu.engines; ++engine) {
        std::optional<uint64_t> stall_after;
        std::atomic<bool>* lost = nullptr;
        for (const Stall& stall : config.stalls) {
            if (stall.decoder >= 0 || stall.gpu != index || stall.engine != engine) continue;
            stall_after = stall.after_frames;
            lost = stall.device_lost ? &device->lost : nullptr;
        }
        device->engines.push_back(std::make_unique<Engine>(device->gpu.fps_1080p, stall_after, lost));
    }
    return device;
}

bool same_gpu(const Gpu& a, const Gpu& b) {
    return a.name == b.name && a.engines == b.engines && a.fps_1080p == b.fps_1080p &&
           a.session_limit == b.session_limit && a.geforce == b.geforce && a.codecs == b.codecs && a.caps == b.caps;
}

bool same_stall(const Stall& a, const Stall& b) {
    return a.gpu == b.gpu && a.engine == b.engine && a.after_frames == b.after_frames && a.device_lost == b.device_lost;
}

bool same_machine(const Config& a, const Config& b) {
    return a.backend == b.backend && a.state == b.state && a.null_bytes == b.null_bytes &&
           a.slices_per_lock == b.slices_per_lock && a.average_motion_x == b.average_motion_x &&
           a.average_motion_y == b.average_motion_y &&
           std::equal(a.gpus.begin(), a.gpus.end(), b.gpus.begin(), b.gpus.end(), same_gpu) &&
           std::equal(a.stalls.begin(), a.stalls.end(), b.stalls.begin(), b.stalls.end(), same_stall);
}

}  // namespace

int Device::cap(Codec codec, const std::string& name) const {
    const auto& table = caps[static_cast<int>(codec)];
    const auto found = table.find(name);
    return found == table.end() ? 0 : found->second;
}

// 10 bits of RGB are for every codec: the chip converts them.
bool Device::takes(Codec codec, PixelFormat format) const {
    if (is_rgb(format)) return true;
    return (bit_depth_of(format) == 8 || cap(codec, "SUPPORT_10BIT_ENCODE") != 0) &&
           (chroma_of(format) != 3 || cap(codec, "SUPPORT_YUV444_ENCODE") != 0) &&
           (chroma_of(format) != 2 || cap(codec, "SUPPORT_YUV422_ENCODE") != 0);
}

Engine* Device::least_loaded(int& chosen) {
    const std::lock_guard<std::mutex> guard(assigning);
    chosen = 0;
    for (int i = 1; i < static_cast<int>(engines.size()); ++i)
        if (engines[i]->sessions < engines[chosen]->sessions) chosen = i;
    ++engines[chosen]->sessions;
    return engines[chosen].get();
}

Machine::Machine() : config_(settings()), cells_(std::make_unique<std::atomic<Cell*>[]>(max_cells)) {}

size_t Machine::open_sessions() {
    size_t open = 0;
    for (uint32_t slot = 0; slot < cell_count_; ++slot) {
        Cell& cell = *cells_[slot].load();
        const std::lock_guard<std::mutex> guard(cell.mutex);
        open += cell.session != nullptr;
    }
    return open;
}

std::string Machine::obstacle(const Config& next) {
    const std::lock_guard<std::mutex> guard(mutex_);
    const size_t open = open_sessions();
    if (open == 0 || same_machine(*config_, next)) return "";
    return text(open, " encode session(s) are open");
}

void Machine::apply(const Config& config) {
    const std::lock_guard<std::mutex> guard(mutex_);
    auto copy = std::make_shared<const Config>(config);
    if (open_sessions() == 0) {
        std::vector<std::unique_ptr<Device>> devices;
        for (int index = 0; index < static_cast<int>(config.gpus.size()); ++index)
            devices.push_back(make_device(config, index));
        auto registry = std::make_unique<SessionRegistry>(config.state);
        devices_.swap(devices);
        registry_.swap(registry);
    }
    config_ = copy;
}

LiveCounts Machine::live() {
    SessionCounts counts;
    const std::lock_guard<std::mutex> guard(mutex_);
    for (uint32_t slot = 0; slot < cell_count_; ++slot) {
        Cell& cell = *cells_[slot].load();
        const std::lock_guard<std::mutex> cell_guard(cell.mutex);
        if (cell.session != nullptr) cell.session->count(counts);
    }
    const auto number = [](size_t value) { return static_cast<int64_t>(value); };
    return {{"sessions", number(counts.sessions)},
            {"bitstream_buffers", number(counts.bitstream_buffers)},
            {"input_buffers", number(counts.input_buffers)},
            {"registered", number(counts.registered)},
            {"mapped", number(counts.mapped)},
            {"locked", number(counts.locked)}};
}

void* Machine::open(void* context, const char* api) {
    int ordinal = 0;
    {
        if (cu::calls() == nullptr) refuse(Status::no_encode_device, "libcuda.so.1 is not there");
        const cu::Current made_current(context);
        if (!made_current.ok || cu::calls()->context_device(&ordinal) != 0)
            refuse(Status::invalid_encoder_device, "the device is no CUDA context that can be made current");
    }
    const std::lock_guard<std::mutex> guard(mutex_);
    if (devices_.empty()) refuse(Status::no_encode_device, "there is no GPU");
    Device& device = *devices_[std::min<size_t>(static_cast<size_t>(ordinal), devices_.size() - 1)];
    if (device.lost) refuse(Status::device_not_exist, "the device is lost");
    if (device.engines.empty())
        refuse(Status::unsupported_device, "the " + device.gpu.name + " has no hardware encoder");
    auto ticket = registry_->open({0, device.index, device.gpu.geforce, 0, 0, 0, 0, 0}, device.gpu.session_limit);
    if (ticket == nullptr)
        refuse(static_cast<Status>(config_->session_limit_status),
               text("no more than ", device.gpu.session_limit, " encode sessions can be open at a time"));
    uint32_t slot = 0;
    Cell& cell = free_cell(slot);
    const std::lock_guard<std::mutex> cell_guard(cell.mutex);
    const uint32_t number = next_session_++;
    cell.session = std::make_shared<Session>(cell, device, number, context, api, config_->null_bytes);
    cell.session->ticket = std::move(ticket);
    cell.last_destroy_faulted = false;
    return Handle{Kind::session, number, slot, cell.generation}.encode();
}

Cell& Machine::free_cell(uint32_t& slot) {
    for (slot = 0; slot < cell_count_; ++slot) {
        Cell& cell = *cells_[slot].load();
        const std::lock_guard<std::mutex> guard(cell.mutex);
        if (cell.session == nullptr) return cell;
    }
    if (slot == max_cells) refuse(Status::out_of_memory, "too many sessions");
    cells_[slot] = new Cell;
    cell_count_ = slot + 1;
    return *cells_[slot].load();
}

Cell* Machine::find(const void* handle) {
    const Handle decoded = Handle::decode(handle);
    if (decoded.kind != Kind::session || decoded.slot >= cell_count_.load(std::memory_order_acquire)) return nullptr;
    return cells_[decoded.slot].load(std::memory_order_acquire);
}

void Machine::close(Cell& cell) {
    cell.session.reset();
    ++cell.generation;
}

void Machine::lose(int64_t gpu) {
    {
        const std::lock_guard<std::mutex> guard(mutex_);
        if (gpu < 0 || gpu >= static_cast<int64_t>(devices_.size()))
            throw std::runtime_error(text("there is no GPU ", gpu, ": this machine has ", devices_.size()));
        devices_[static_cast<size_t>(gpu)]->lost = true;
    }
    wake_all();
}

void Machine::wake_all() {
    for (uint32_t slot = 0; slot < cell_count_; ++slot) {
        Cell& cell = *cells_[slot].load();
        const std::lock_guard<std::mutex> guard(cell.mutex);
        cell.changed.notify_all();
    }
}

}  // namespace nvsim
