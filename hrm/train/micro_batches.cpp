#include "hrm/train/micro_batches.h"

namespace hrm {

GradientSumSettings gradient_sum_of(const TrainConfig& config) {
  return {config.micro_batches, config.bf16_gradients, config.fast_sum};
}

MicroBatches::MicroBatches(const TrainConfig& config, const Communicator& ranks)
    : ranks_(ranks), count_(config.micro_batches), batch_size_(config.batch_size) {
  HRM_CHECK(ranks.size() <= count_, "[train] ", ranks.size(),
            " processes share out the micro-batches of a step, and there are ", count_,
            ". HINT: --set micro_batches=", ranks.size(), " for a new run, or fewer processes");
  own_ = share_of(count_, ranks.rank(), ranks.size());
}

}  // namespace hrm
