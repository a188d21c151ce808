// One decoder of a client: its decode surfaces, its output surfaces, and the engine that works for it.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/cuda_calls.hpp"
#include "common/session_registry.hpp"
#include "decode/api.hpp"
#include "decode/machine.hpp"
#include "decode/surface.hpp"
#include "decode/video_codec.hpp"

namespace nvsim::decode {

class UnitMaker;

class Decoder : public std::enable_shared_from_this<Decoder> {
   public:
    // Throws Refusal.
    Decoder(Device& device, int number, void* context, const CUVIDDECODECREATEINFO& info);
    ~Decoder();
    Decoder(const Decoder&) = delete;
    Decoder& operator=(const Decoder&) = delete;

    void decode(const CUVIDPICPARAMS& picture);
    void map(int index, unsigned long long* address, unsigned* pitch, const CUVIDPROCPARAMS& wanted);
    void unmap(unsigned long long address);
    cuvidDecodeStatus status(int index);
    void reconfigure(const CUVIDRECONFIGUREDECODERINFO& info);
    void close();  // before the last reference goes

    int64_t mapped_frames();

   private:
    friend class DecodeJob;

    struct Surface {
        std::shared_ptr<const Pixels> pixels;
        cuvidDecodeStatus status = cuvidDecodeStatus_Invalid;
        int queued = 0;  // decode jobs on their way to it
        int mapped = 0;
    };
    struct Output {
        cu::DevicePtr memory = 0;
        bool mapped = false;
        int index = 0;  // of the surface that is mapped to it
    };
    // The work on streams that still reads surfaces or writes outputs. Pictures are laid out in pinned host memory,
    // which serves again, and copied to the output from there: only libcuda reaches device memory.
    struct Pending {
        std::mutex mutex;
        std::condition_variable done;
        int count = 0;
        std::vector<void*> free_memory;
        std::vector<void*> all_memory;
    };
    struct PostProcess;

    void require_context();
    void require_device();
    void check_index(int index) const;
    void check_picture(const CUVIDPICPARAMS& picture);
    void allocate();
    void release();
    void wait_for_streams();
    void* staging();
    void post_process(const std::shared_ptr<const Pixels>& pixels, Field field, cu::DevicePtr output,
                      cu::Stream stream);
    void take(int index, Decoded decoded, int damage);
    void lost();
    void count_rate();
    Output& free_output(const std::string& what);

    Device& device_;
    const std::string name_;
    void* const context_;
    CUVIDDECODECREATEINFO info_;
    unsigned long max_width_, max_height_;
    Layout layout_;
    Engine& engine_;
    const std::unique_ptr<VideoCodec> codec_;
    const std::unique_ptr<UnitMaker> units_;
    std::unique_ptr<SessionRegistry::Ticket> ticket_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Surface> surfaces_;
    std::vector<Output> outputs_;
    std::vector<cu::DevicePtr> memory_;  // of the decode surfaces, which clients never see
    int queued_ = 0;
    uint64_t stream_ = 0;  // whose pictures it decodes
    bool stopped_ = false;
    uint64_t measured_ = 0;
    Clock::time_point measured_since_ = Clock::now();
    const std::shared_ptr<Pending> pending_ = std::make_shared<Pending>();
};

}  // namespace nvsim::decode
