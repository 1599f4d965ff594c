#include "autograd/ops/attention.h"

#include <cmath>

#include "autograd/grad_mode.h"
#include "autograd/ops/arithmetic.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/unary.h"
#include "autograd/ops/view.h"
#include "kernels/attention.h"

namespace hrm {

namespace {

// What the kernel is asked for, after a look at the operands.
AttentionShape shape_of(const Tensor& qkv, int64_t heads, const RopeTables* tables,
                        const DropoutStream& drop) {
  HRM_CHECK(qkv.ndim() == 3 && heads >= 1 && qkv.size(2) % (3 * heads) == 0,
            "[attention] needs qkv [batch, seq, 3 * heads * head_dim], got ", qkv.shape(), " for ",
            heads, " heads");
  const AttentionShape shape{qkv.size(0), qkv.size(1), heads, qkv.size(2) / (3 * heads),
                             drop.rule()};
  HRM_CHECK(!tables || tables->cos.shape() == Shape({shape.seq, shape.head_dim}),
            "[attention] rotary tables must be [seq, head_dim] = (", shape.seq, ", ",
            shape.head_dim, "), got ", tables->cos.shape());
  HRM_CHECK(!tables || tables->cos.dtype() == accumulate_type(qkv.dtype()),
            "[attention] rotary tables must be ", accumulate_type(qkv.dtype()), ", got ",
            tables->cos.dtype());
  return shape;
}

// Each product of a head's scores or of its values: backward computes the scores anew, and four
// gradients.
void count_flops(const AttentionShape& s, int products) {
  if (trace::on())
    trace::add_flops(2.0 * products * static_cast<double>(s.batch * s.heads) *
                     static_cast<double>(s.seq * s.seq) * static_cast<double>(s.head_dim));
}

struct AttentionResult {
  Tensor out, stats;
};
AttentionResult run(const Tensor& qkv, const Tensor& cos, const Tensor& sin,
                    const AttentionShape& shape) {
  check_same_device("attention", {&qkv, &cos, &sin});
  AttentionResult result{
      empty({shape.batch, shape.seq, shape.heads * shape.head_dim}, qkv.dtype(), qkv.device()),
      empty({shape.batch, shape.heads, shape.seq, 2}, accumulate_type(qkv.dtype()), qkv.device())};
  count_flops(shape, 2);
  HRM_DISPATCH(attention, qkv.context(), qkv.dtype(), result.out.data(), result.stats.data(),
               qkv.data(), cos.defined() ? cos.data() : nullptr,
               sin.defined() ? sin.data() : nullptr, shape);
  return result;
}

}  // namespace

Tensor attention(const Tensor& input, int64_t heads, const RopeTables* tables,
                 const DropoutStream& drop) {
  const AttentionShape shape = shape_of(input, heads, tables, drop);
  check_same_device("attention", {&input, &drop.step});
  if (!fusion_enabled()) return attention_reference(input, heads, tables, drop);
  const Tensor qkv = dense(input);
  const Tensor cos = tables ? tables->cos : Tensor(), sin = tables ? tables->sin : Tensor();
  const auto [out, stats] = run(qkv, cos, sin, shape);
  return record("attention", out, {input},
                {{"qkv", qkv}, {"stats", stats}, {"cos", cos}, {"sin", sin}, {"step", drop.step}},
                [shape](const Saved& saved, const Tensor& grad) {
                  const Tensor dout = grad.contiguous(), &qkv = saved["qkv"];
                  const Tensor &cos = saved["cos"], &sin = saved["sin"], &step = saved["step"];
                  AttentionShape again = shape;
                  again.dropout.step = step.defined() ? step.data<int32_t>() : nullptr;
                  Tensor dqkv = empty_like(qkv);
                  count_flops(shape, 5);
                  HRM_DISPATCH(attention_backward, qkv.context(), qkv.dtype(), dqkv.data(),
                               dout.data(), saved["stats"].data(), qkv.data(),
                               cos.defined() ? cos.data() : nullptr,
                               sin.defined() ? sin.data() : nullptr, again);
                  return Tensors{dqkv};
                });
}

Tensor attention_first(const Tensor& qkv, int64_t heads, const RopeTables* tables) {
  require_not_recording("attention_first", {qkv});
  AttentionShape shape = shape_of(qkv, heads, tables, {});
  HRM_CHECK(shape.seq >= 1, "[attention_first] needs a position, got ", qkv.shape());
  shape.queries = 1;
  const auto [out, stats] =
      run(dense(qkv), tables ? tables->cos : Tensor(), tables ? tables->sin : Tensor(), shape);
  return slice(out, 1, 0, 1);
}

namespace {
// [batch, heads, seq, head_dim]: queries (0), keys (1) or values (2) of qkv.
Tensor third(const Tensor& qkv, int which, int64_t heads, const RopeTables* tables) {
  const int64_t batch = qkv.size(0), seq = qkv.size(1), dim = qkv.size(2) / 3;
  const Tensor part = slice(qkv, 2, which * dim, (which + 1) * dim);
  const Tensor by_head = reshape(part, {batch, seq, heads, dim / heads});
  return transpose(tables ? rope_reference(by_head, *tables) : by_head, 1, 2);
}
}  // namespace

Tensor attention_weights(const Tensor& qkv, int64_t heads, const RopeTables* tables) {
  shape_of(qkv, heads, tables, {});  // checks them
  const DType wide = accumulate_type(qkv.dtype());
  const Tensor q = cast(third(qkv, 0, heads, tables), wide),
               k = cast(third(qkv, 1, heads, tables), wide);
  const auto head_dim = static_cast<double>(q.size(3));
  return softmax(affine(matmul(q, transpose(k, 2, 3)), 1 / std::sqrt(head_dim)));
}

Tensor attention_reference(const Tensor& qkv, int64_t heads, const RopeTables* tables,
                           const DropoutStream& drop) {
  const int64_t batch = qkv.size(0), seq = qkv.size(1), dim = qkv.size(2) / 3;
  const Tensor weights = attention_weights(qkv, heads, tables);
  // Each row of draws is a little longer than one of probabilities (kernels/attention.h).
  const int64_t draws = (seq + kDropoutDraws - 1) / kDropoutDraws * kDropoutDraws;
  const Tensor probabilities =
      drop.p == 0 ? weights : slice(dropout(pad(weights, 3, 0, draws - seq), drop), 3, 0, seq);
  const Tensor out = matmul(cast(probabilities, qkv.dtype()), third(qkv, 2, heads, nullptr));
  return reshape(transpose(out, 1, 2), {batch, seq, dim});
}

}  // namespace hrm
