// The GPUs of the configuration with their decoders.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/config.hpp"
#include "common/control.hpp"
#include "common/engine.hpp"
#include "common/machine_of_process.hpp"
#include "common/session_registry.hpp"
#include "decode/api.hpp"
#include "decode/handles.hpp"

namespace nvsim::decode {

class Decoder;
class Parser;
struct ContextLock;

struct Device {
    Gpu gpu;
    int index = 0;
    std::vector<std::unique_ptr<Engine>> engines;
    std::atomic<bool> lost{false};

    Engine& least_loaded();  // counts the decoder in

   private:
    std::mutex assigning_;
};

class Machine {
   public:
    static Machine& instance() { return MachineOfProcess<Machine>::get(); }

    std::string obstacle(const Config& next);
    void apply(const Config& config);
    LiveCounts live();

    // The GPU of the context that is current on this thread, and the context. Refuses if there is none.
    Device& current_device(void*& context);
    std::unique_ptr<SessionRegistry::Ticket> announce(const EncoderSession& session);
    // The status that the machine's next picture gets by the configuration's `damage`; 0: none.
    int next_damage();

    Handles<Decoder> decoders{"decoder", 0xDEC0000000};
    Handles<Parser> parsers{"parser", 0xDA45000000};
    Handles<ContextLock> locks{"lock", 0x10C0000000};

   private:
    friend class MachineOfProcess<Machine>;
    Machine();

    std::mutex mutex_;
    std::shared_ptr<const Config> config_;
    std::vector<std::unique_ptr<Device>> devices_;
    std::unique_ptr<SessionRegistry> registry_;
    std::atomic<uint64_t> pictures_{0};
};

}  // namespace nvsim::decode
