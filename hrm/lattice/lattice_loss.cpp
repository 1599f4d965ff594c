#include "hrm/lattice/lattice_loss.h"

#include "autograd/ops/ops.h"

namespace hrm {

LatticeTargets LatticeTargets::rows(int64_t begin, int64_t end) const {
  const auto part = [&](const Tensor& t) { return t.slice(0, begin, end); };
  return {part(alive), part(keep), part(symbol), part(conflict)};
}

LatticeTargets LatticeTargets::to(Device device) const {
  return {alive.to(device), keep.to(device), symbol.to(device), conflict.to(device)};
}

LatticeLoss lattice_loss(const LatticeHeads& heads, const LatticeTargets& targets,
                         const LatticeShares& step, const LatticeConfig& config) {
  const int64_t loops = heads.conflict.size(0) / targets.conflict.size(0);
  const auto repeated = [&](const Tensor& t) { return concat(Tensors(loops, t), 0); };
  const auto like = [&](const Tensor& t, const Tensor& logits) { return cast(t, logits.dtype()); };
  const int64_t candidates = targets.keep.numel() / targets.keep.size(0);
  const auto states = static_cast<double>(step.states * loops);

  const Tensor keep = like(targets.keep, heads.keep);
  const Tensor weight = affine(keep, config.alive_weight - config.dead_weight, config.dead_weight);
  LatticeLoss loss;
  loss.keep = affine(sum(bce_with_logits(heads.keep, repeated(keep), repeated(weight))),
                     1 / (states * static_cast<double>(candidates)));
  loss.conflict =
      affine(sum(bce_with_logits(heads.conflict, repeated(like(targets.conflict, heads.conflict)))),
             1 / states);
  const auto symbols = static_cast<double>(std::max<int64_t>(1, step.symbols * loops));
  loss.symbol = affine(
      sum(cross_entropy(LossType::softmax_cross_entropy, heads.symbol, repeated(targets.symbol))),
      1 / symbols);
  loss.total = loss.keep + affine(loss.symbol, config.symbol_loss) +
               affine(loss.conflict, config.conflict_loss);
  return loss;
}

}  // namespace hrm
