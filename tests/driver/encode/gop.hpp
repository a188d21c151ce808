// Decides the type of every picture and the order in which pictures are coded.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "encode/coder.hpp"

namespace nvsim {

struct GopStructure {
    uint32_t length = 30;             // pictures from one intra picture to the next; 0xffffffff: infinite
    uint32_t idr_period = 30;         // the same for IDR pictures
    int interval = 1;                 // frameIntervalP: 0 intra only, 1 no B pictures, 2 one between anchors, …
    int lookahead = 0;                // pictures held back before their type is decided
    bool decide = true;               // false: the client gives the types, in coding order (enablePTD = 0)
    bool middle_first = false;        // the middle B picture is a reference, so it is coded before its neighbours
    bool forced_idr_restarts = true;  // the period counts from it

    bool operator==(const GopStructure& other) const {
        return length == other.length && idr_period == other.idr_period && interval == other.interval &&
               lookahead == other.lookahead && decide == other.decide && middle_first == other.middle_first;
    }
};

struct PictureRequest {
    uint64_t serial = 0;
    bool force_idr = false;
    bool force_intra = false;
    PictureType client_type = PictureType::p;
};

struct PlannedPicture {
    uint64_t serial;
    PictureType type;
    bool operator<(const PlannedPicture& other) const { return serial < other.serial; }
};

class GopPlanner {
   public:
    explicit GopPlanner(const GopStructure& structure = {}) : structure_(structure) {}

    // Appends what can be coded now, in coding order. A picture that stays here is one that the client is told to wait
    // for.
    void push(const PictureRequest& picture, std::vector<PlannedPicture>& out);
    void drain(std::vector<PlannedPicture>& out);

    void restart_at_next_picture() {
        since_idr_ = since_intra_ = 0;
        started_ = false;
    }
    void replace_lengths(const GopStructure& structure) {
        structure_.length = structure.length;
        structure_.idr_period = structure.idr_period;
    }
    bool is_started() const { return started_; }
    size_t held() const { return waiting_.size() + held_.size(); }

   private:
    PictureType decide(const PictureRequest& picture);
    void place(const PictureRequest& picture, std::vector<PlannedPicture>& out);
    void release_held(std::vector<PlannedPicture>& out);
    void end_group(std::vector<PlannedPicture>& out);

    GopStructure structure_;
    std::deque<PictureRequest> waiting_;  // the lookahead, in display order
    std::vector<uint64_t> held_;          // B pictures whose anchor has not come yet
    uint32_t since_idr_ = 0;
    uint32_t since_intra_ = 0;
    bool started_ = false;
};

}  // namespace nvsim
