// The work that a session gives to its engine.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "encode/session.hpp"

namespace nvsim {

// Runs the session's coder on the engine's thread and hands over what comes out.
class SessionJob : public Job {
   public:
    SessionJob(std::shared_ptr<Session> session, bool is_picture);
    void finish() override;
    void lost() override;

   protected:
    // Runs `code` with the coder to itself; a coder that throws fails every picture that is waiting.
    template <typename Code>
    void with_coder(Code code);

    std::shared_ptr<Session> session_;
    std::vector<AccessUnit> units_;
    std::string failure_;
};

class PictureJob : public SessionJob {
   public:
    PictureJob(std::shared_ptr<Session> session, Record& record);
    void work() override;
    void scheduled(Clock::time_point begin, Clock::time_point end) override;

   private:
    Record& record_;
};

class FlushJob : public SessionJob {
   public:
    FlushJob(std::shared_ptr<Session> session, uint64_t outputs)
        : SessionJob(std::move(session), false), outputs_(outputs) {}
    void work() override;
    void finish() override;

   private:
    const uint64_t outputs_;  // submitted before this end
};

class SettingsJob : public SessionJob {
   public:
    SettingsJob(std::shared_ptr<Session> session, SessionSettings settings)
        : SessionJob(std::move(session), false), settings_(std::move(settings)) {}
    void work() override;

   private:
    SessionSettings settings_;
};

class RestoreJob : public SessionJob {
   public:
    RestoreJob(std::shared_ptr<Session> session, uint64_t serial)
        : SessionJob(std::move(session), false), serial_(serial) {}
    void work() override;

   private:
    const uint64_t serial_;  // of the trial that is kept
};

}  // namespace nvsim
