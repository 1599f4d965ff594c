// Written out: the library's own loops train a whole run of HRM, with its data and its checkpoints.
#include <numeric>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "docs/course/8_training_loop/exercise.h"
#include "nn/loss.h"

namespace hrm::course {

std::vector<double> train(Sequential& net, Optimizer& optimizer, DataLoader<TensorDataset>& data,
                          int64_t steps, double lr) {
  std::vector<double> losses;
  optimizer.zero_grad();
  while (std::ssize(losses) < steps) {
    const auto batch = data.next();
    if (!batch) continue;  // the epoch is over
    const Tensor loss = cross_entropy(net.forward((*batch)[0]), (*batch)[1]);
    loss.backward();
    optimizer.step(lr);
    optimizer.zero_grad();
    losses.push_back(loss.item());
  }
  return losses;
}

double accuracy(Sequential& net, const TensorDataset& data) {
  const NoGradGuard no_grad;
  std::vector<int64_t> rows(data.size());
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<Tensor> all = data.batch(rows);
  net.eval();
  const double right = (argmax(net.forward(all[0])) == all[1]).sum().item();
  net.train();
  return right / static_cast<double>(data.size());
}

}  // namespace hrm::course
