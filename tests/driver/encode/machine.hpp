// The GPUs of the configuration with their engines, and every open session of this process.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/control.hpp"
#include "common/engine.hpp"
#include "common/machine_of_process.hpp"
#include "common/session_registry.hpp"
#include "encode/coder.hpp"
#include "encode/surface.hpp"

namespace nvsim {

class Session;

struct Device {
    Gpu gpu;
    int index = 0;
    std::map<std::string, int> caps[3];  // by Codec
    std::vector<std::unique_ptr<Engine>> engines;
    std::atomic<bool> lost{false};
    std::mutex assigning;

    bool supports(Codec codec) const { return !caps[static_cast<int>(codec)].empty(); }
    int cap(Codec codec, const std::string& name) const;
    bool takes(Codec codec, PixelFormat format) const;  // as an input
    Engine* least_loaded(int& chosen);                  // counts the session in
};

// Where a session handle leads. Cells are never freed, so that a stale handle can always be looked at.
struct Cell {
    std::mutex mutex;
    std::condition_variable changed;  // an output is ready, or the session is closing
    std::shared_ptr<Session> session;
    uint32_t generation = 1;
    bool last_destroy_faulted = false;
};

constexpr const char* codec_names[] = {"h264", "hevc", "av1"};

class Machine {
   public:
    static Machine& instance() { return MachineOfProcess<Machine>::get(); }

    // While sessions are open only what is watched may change: faults, trace, counting, strictness.
    std::string obstacle(const Config& next);
    void apply(const Config& config);
    LiveCounts live();

    // Throws Refusal. The handle leads to the new session until `close`.
    void* open(void* context, const char* api);
    Cell* find(const void* handle);  // null for anything that never was a session handle
    void close(Cell& cell);          // with its mutex held
    void lose(int64_t gpu);          // forever; throws std::runtime_error if there is no such GPU
    void wake_all();                 // every call that waits looks again whether its device is lost

   private:
    friend class MachineOfProcess<Machine>;
    Machine();
    size_t open_sessions();
    Cell& free_cell(uint32_t& slot);

    std::mutex mutex_;
    std::shared_ptr<const Config> config_;
    std::vector<std::unique_ptr<Device>> devices_;
    std::unique_ptr<SessionRegistry> registry_;
    static constexpr uint32_t max_cells = 1 << 16;
    std::unique_ptr<std::atomic<Cell*>[]> cells_;
    std::atomic<uint32_t> cell_count_{0};
    uint32_t next_session_ = 1;
};

}  // namespace nvsim
