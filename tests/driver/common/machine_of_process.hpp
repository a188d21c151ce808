// The machine that a library simulates: one for each process.
#pragma once

#include <pthread.h>

#include <atomic>
#include <mutex>

#include "common/control.hpp"

namespace nvsim {

// Never destroyed: what clients have made may be alive, and threads at work, when the process ends. A forked child
// starts with a machine of its own, since it has none of its parent's threads. What the parent had stays where it is.
template <typename Machine>
class MachineOfProcess {
   public:
    static Machine& get() {
        if (Machine* machine = current_.load(std::memory_order_acquire)) return *machine;
        const std::lock_guard<std::mutex> lock(making_);
        if (current_.load() == nullptr) {
            static std::once_flag once;
            std::call_once(once, [] { pthread_atfork(nullptr, nullptr, [] { current_ = nullptr; }); });
            auto* machine = new Machine;
            machine->apply(*settings());
            current_.store(machine, std::memory_order_release);
        }
        return *current_.load();
    }

   private:
    static inline std::atomic<Machine*> current_{nullptr};
    static inline std::mutex making_;
};

}  // namespace nvsim
