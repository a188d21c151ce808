// A client's parser: calls it back for sequences, pictures to decode and pictures to show.
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "decode/api.hpp"
#include "decode/reader.hpp"

namespace nvsim::decode {

class Parser final : private ReaderSink {
   public:
    // Throws Refusal.
    Parser(int number, const CUVIDPARSERPARAMS& params);
    void parse(const CUVIDSOURCEDATAPACKET& packet);

    // A number of the parser whose picture the calling thread hands over now. 0: none, as for clients with their own.
    static uint64_t stream_at_hand();

   private:
    static uint64_t next_stream();

    struct Waiting {
        long long order;
        CUVIDPARSERDISPINFO info;
        Timestamp timestamp;
    };
    long long estimated_timestamp() const;

    void sequence(const Sequence& sequence) override;
    int picture(Unit& unit) override;
    void show(int index, const Timestamp& timestamp) override;
    void operating_point(const std::vector<unsigned>& points) override;
    void drain() override;

    void check(const CUVIDSOURCEDATAPACKET& packet) const;
    int choose_surface();
    bool free_surface(int index) const;
    bool make_room();
    void line_up(const Waiting& waiting);
    void end_first_field();
    void give_smallest_timestamp(Waiting& shown);
    void bump(size_t most);
    void show_queued(size_t most);
    void show_all();
    void tell_messages(const Unit& unit, int index);

    const std::string name_;
    const CUVIDPARSERPARAMS params_;
    const std::unique_ptr<StreamReader> reader_;
    const uint64_t stream_ = next_stream();
    bool parsing_ = false;
    bool told_ = false;
    Sequence sequence_;
    std::vector<uint64_t> used_;  // by surface: when it was last given out
    std::vector<int> waits_;      // by surface: how often it waits to be shown
    uint64_t uses_ = 0;
    int last_ = -1;
    std::vector<Waiting> first_field_;  // none or one
    std::vector<Waiting> reordering_;
    std::deque<Waiting> queue_;  // in order of display
    Timestamp shown_;            // of the picture that was shown last
};

}  // namespace nvsim::decode
