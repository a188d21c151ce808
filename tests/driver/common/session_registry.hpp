// Who encodes right now: sessions announce themselves here, so that limits hold and NVML can tell. With a state file
// (the configuration's `state`) all processes that name the same file see each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace nvsim {

struct EncoderSession {
    int pid = 0;  // 0: the calling process
    int gpu = 0;  // index in the configuration
    bool geforce = false;
    int codec = 0;  // as NVML counts them: 0 H.264, 1 HEVC, 2 AV1
    uint32_t width = 0;
    uint32_t height = 0;
    uint32_t fps = 0;         // average rate, frames a second
    uint32_t latency_us = 0;  // average, microseconds
};

class SessionRegistry {
    struct Table;

   public:
    // A session's place in the registry, given back by the destructor.
    class Ticket {
       public:
        Ticket(std::shared_ptr<Table> table, size_t slot);
        ~Ticket();
        Ticket(const Ticket&) = delete;
        Ticket& operator=(const Ticket&) = delete;
        void update(const EncoderSession& session);
        void rate(uint32_t fps, uint32_t latency_us);  // cheap: no lock

       private:
        std::shared_ptr<Table> table_;
        size_t slot_;
    };

    // An empty path: this process alone. Throws std::runtime_error if the file cannot be used.
    explicit SessionRegistry(const std::string& path);
    ~SessionRegistry();

    // Null if `limit` (0: none) sessions are there already: on all GeForce cards together for a GeForce session,
    // else on the session's own GPU. Also null if the table is full.
    std::unique_ptr<Ticket> open(const EncoderSession& session, int limit);

    // The sessions of living processes.
    std::vector<EncoderSession> sessions() const;

   private:
    std::shared_ptr<Table> table_;
};

}  // namespace nvsim
