#include "hrm/train/micro_batches.h"

namespace hrm {

MicroBatches::MicroBatches(const TrainConfig& config, const Communicator& ranks, Device device)
    : ranks_(ranks), count_(config.micro_batches), batch_size_(config.batch_size) {
  HRM_CHECK(ranks.size() == 1 || device == Device::cpu,
            "[train] several processes train together on the CPU alone so far. HINT: --device cpu, "
            "or one process");
  HRM_CHECK(ranks.size() <= count_, "[train] ", ranks.size(),
            " processes share out the micro-batches of a step, and there are ", count_,
            ". HINT: --set micro_batches=", ranks.size(), " for a new run, or fewer processes");
  own_ = share_of(count_, ranks.rank(), ranks.size());
}

}  // namespace hrm
