#include <numeric>
#include <optional>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "docs/course/8_training_loop/exercise.h"
#include "nn/loss.h"
#include "tests/course/mistake.h"

namespace hrm::course {

std::vector<double> train(Sequential& net, Optimizer& optimizer, DataLoader<TensorDataset>& data,
                          int64_t steps, double lr) {
  std::vector<double> losses;
  while (std::ssize(losses) < steps) {
    const auto batch = data.next();
    if (!batch && mistake("one_epoch")) break;
    if (!batch) continue;
    const Tensor loss = cross_entropy(net.forward((*batch)[0]), (*batch)[1]);
    if (!mistake("no_zero_grad")) optimizer.zero_grad();
    if (mistake("step_before_backward")) optimizer.step(lr);
    loss.backward();
    if (mistake("zero_grad_before_step")) optimizer.zero_grad();
    if (!mistake("step_before_backward")) optimizer.step(lr);
    losses.push_back(loss.item());
  }
  if (!mistake("leaves_a_gradient")) optimizer.zero_grad();
  return losses;
}

double accuracy(Sequential& net, const TensorDataset& data) {
  std::optional<NoGradGuard> no_grad;
  if (!mistake("records")) no_grad.emplace();
  std::vector<int64_t> rows(data.size());
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<Tensor> all = data.batch(rows);
  if (!mistake("with_dropout")) net.eval();
  const double right = (argmax(net.forward(all[0])) == all[1]).sum().item();
  if (!mistake("stays_in_evaluation")) net.train();
  return right / static_cast<double>(data.size());
}

}  // namespace hrm::course
