// The memory into which the driver writes the statistics of blocks or rows. Included inside the namespace of each
// version.

static_assert(sizeof(NV_ENC_OUTPUT_STATS_BLOCK) == sizeof(NV_ENC_OUTPUT_STATS_ROW));

class StatisticsBuffer {
   public:
    void set(const Settings& settings) {
        level_ = settings.statistics;
        const BlockGrid grid = block_grid(settings.codec, settings.width, settings.height);
        const bool has_units = level_ >= StatisticsLevel::rows;
        rows_ = has_units ? grid.rows : 0;
        columns_ = level_ == StatisticsLevel::blocks ? grid.columns : 0;
        const size_t count = level_ == StatisticsLevel::blocks ? grid.count() : rows_;
        units_.assign(count, zeroed<NV_ENC_OUTPUT_STATS_BLOCK>());
    }

    // Asks for the statistics with the next access unit.
    void ask(NV_ENC_LOCK_BITSTREAM& lock) {
        lock.getRCStats = level_ != StatisticsLevel::off;
        if (units_.empty()) return;
        const bool of_rows = level_ == StatisticsLevel::rows;
        for (NV_ENC_OUTPUT_STATS_BLOCK& unit : units_)
            unit.version = of_rows ? NV_ENC_OUTPUT_STATS_ROW_VER : NV_ENC_OUTPUT_STATS_BLOCK_VER;
        lock.outputStatsPtr = units_.data();
        lock.outputStatsPtrSize = static_cast<uint32_t>(units_.size() * sizeof units_.front());
    }

    // Null if none are wanted.
    std::shared_ptr<const PictureStatistics> read(const NV_ENC_LOCK_BITSTREAM& lock) const {
        if (level_ == StatisticsLevel::off) return nullptr;
        auto found = std::make_shared<PictureStatistics>();
        found->average_qp = lock.frameAvgQP;
        found->satd = lock.frameSatd;
        found->intra_blocks = lock.intraMBCount;
        found->inter_blocks = lock.interMBCount;
        found->motion_x = lock.averageMVX;
        found->motion_y = lock.averageMVY;
        found->slices = lock.numSlices;
        found->rows = rows_;
        found->columns = columns_;
        found->units.reserve(units_.size());
        for (const NV_ENC_OUTPUT_STATS_BLOCK& unit : units_)
            found->units.push_back({unit.QP, unit.bitcount, satd_of(unit)});
        return found;
    }

   private:
    StatisticsLevel level_ = StatisticsLevel::off;
    size_t rows_ = 0;
    size_t columns_ = 0;
    // The structs of rows and blocks have the same fields.
    std::vector<NV_ENC_OUTPUT_STATS_BLOCK> units_;
};
