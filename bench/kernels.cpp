#include <memory>

#include "bench/entries.h"
#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/gemm.h"
#include "kernels/layer_norm.h"
#include "kernels/loss.h"
#include "kernels/optimizer.h"
#include "kernels/rms_norm.h"
#include "kernels/swiglu.h"
#include "tensor/random.h"

namespace hrm::bench {
namespace {

struct ProductShape {
  int64_t rows, in, out;
};
// Rows: batch 8 and 32 of 82 positions at hidden 512, batch 64 of 17 and 82 at hidden 128.
std::vector<ProductShape> product_shapes() {
  std::vector<ProductShape> shapes;
  for (const int64_t rows : {656, 2624})
    for (const auto& [in, out] : {std::pair{512, 1536}, {512, 3072}, {1536, 512}, {512, 512}})
      shapes.push_back({rows, in, out});
  for (const int64_t rows : {1088, 5248})
    for (const auto& [in, out] : {std::pair{128, 384}, {128, 1024}, {512, 128}, {128, 128}})
      shapes.push_back({rows, in, out});
  return shapes;
}
std::string name_of(const ProductShape& s) {
  return std::to_string(s.rows) + " x " + std::to_string(s.in) + " -> " + std::to_string(s.out);
}

Tensor normal(const Shape& shape, DType dtype) {
  static Random random(1);
  return random.normal(shape, 0.5).to(dtype);
}

// Work on tensors that the closure keeps alive.
Entry entry(const std::string& group, const std::string& name, Unit unit, double work,
            std::function<void()> run) {
  Entry e;
  e.group = group;
  e.name = name;
  e.unit = unit;
  e.work = work;
  e.run = std::move(run);
  return e;
}

// A product a b -> c. Its inner size and the strides of a and b are left to the caller.
Gemm product_of(const Tensor& a, const Tensor& b, const Tensor& c) {
  Gemm g;
  g.type = a.dtype();
  g.c_type = c.dtype();
  g.m = c.size(0);
  g.n = c.size(1);
  g.a = a.data();
  g.b = b.data();
  g.c = c.data();
  g.c_row = g.n;
  return g;
}

// y = x w'.
Gemm forward_product(const Tensor& x, const Tensor& w, const Tensor& y) {
  Gemm g = product_of(x, w, y);
  g.k = x.size(1);
  g.a_row = g.k;
  g.b_row = 1;
  g.b_col = g.k;
  return g;
}

// dx = dy w.
Gemm input_gradient(const Tensor& dy, const Tensor& w, const Tensor& dx) {
  Gemm g = product_of(dy, w, dx);
  g.k = dy.size(1);
  g.a_row = g.k;
  g.b_row = g.n;
  g.b_col = 1;
  return g;
}

// dw = dy' x.
Gemm weight_gradient(const Tensor& dy, const Tensor& x, const Tensor& dw) {
  Gemm g = product_of(dy, x, dw);
  g.k = dy.size(0);
  g.a_row = 1;
  g.a_col = g.m;
  g.b_row = g.n;
  g.b_col = 1;
  return g;
}

// The products of a linear layer.
void add_products(std::vector<Entry>& entries, const ProductShape& s, DType t) {
  const Tensor x = normal({s.rows, s.in}, t), w = normal({s.out, s.in}, t);
  const Tensor y = normal({s.rows, s.out}, t);
  const double flops = 2.0 * static_cast<double>(s.rows * s.in * s.out);
  const auto add = [&](const std::string& name, const Gemm& g, const std::vector<Tensor>& kept) {
    entries.push_back(entry(std::string("product ") + hrm::name_of(t), name_of(s) + " " + name,
                            Unit::flops, flops, [g, kept] { cpu::gemm(g, {}); }));
  };
  Gemm forward = forward_product(x, w, y);
  const Tensor packed({cpu::packed_b_bytes(forward)}, DType::u8);
  cpu::pack_b(forward, packed.data());
  forward.packed_b = packed.data();
  add("forward", forward, {x, w, y, packed});
  const Tensor dx = normal({s.rows, s.in}, t);
  add("input grad", input_gradient(y, w, dx), {y, w, dx});
  const Tensor dw = normal({s.out, s.in}, accumulate_type(t));
  add("weight grad", weight_gradient(y, x, dw), {y, x, dw});
}

// p: of a probability being dropped.
void add_attention(std::vector<Entry>& entries, int64_t hidden, int64_t heads, int64_t batch,
                   int64_t seq, DType t, double p = 0) {
  const AttentionShape shape{batch, seq, heads, hidden / heads, DropoutRule{p, 7}};
  const Tensor qkv = normal({batch, seq, 3 * hidden}, t), out = normal({batch, seq, hidden}, t);
  const Tensor cos = normal({seq, hidden / heads}, DType::f32), sin = cos.clone();
  const Tensor stats({batch, heads, seq, 2}, DType::f32), dqkv = empty_like(qkv);
  const double flops = 4.0 * static_cast<double>(batch * seq * seq * hidden);
  const std::string group = std::string("attention ") + hrm::name_of(t);
  const std::string name = std::string("S ") + std::to_string(seq) + ", hidden " +
                           std::to_string(hidden) + ", batch " + std::to_string(batch) +
                           (p > 0 ? ", dropout" : "");
  entries.push_back(entry(group, name + " forward", Unit::flops, flops, [=] {
    cpu::attention(t, out.data(), stats.data(), qkv.data(), cos.data(), sin.data(), shape, {});
  }));
  entries.push_back(entry(group, name + " backward", Unit::flops, 2.5 * flops, [=] {
    cpu::attention_backward(t, dqkv.data(), out.data(), stats.data(), qkv.data(), cos.data(),
                            sin.data(), shape, {});
  }));
}

void add_rowwise(std::vector<Entry>& entries, int64_t rows, int64_t hidden, DType t) {
  const int64_t inter = hidden == 512 ? 1536 : 512;
  const Tensor x = normal({rows, hidden}, t), r = normal({rows, hidden}, t);
  const Tensor y = empty_like(x), rstd({rows}, DType::f32), d = empty_like(x);
  const Tensor gate_up = normal({rows, 2 * inter}, t), z = normal({rows, inter}, t);
  const Tensor dgate_up = empty_like(gate_up);
  const auto size = static_cast<double>(size_of(t));
  const double state = size * static_cast<double>(rows * hidden);
  const double wide = size * static_cast<double>(rows * inter);
  const std::string group = std::string("row-wise ") + hrm::name_of(t);
  const std::string shape = std::to_string(rows) + " x " + std::to_string(hidden);
  entries.push_back(entry(group, "add + rms_norm " + shape, Unit::bytes, 3 * state, [=] {
    cpu::rms_norm(t, y.data(), rstd.data(), x.data(), r.data(), rows, hidden, 1e-5, {});
  }));
  entries.push_back(entry(group, "rms_norm backward " + shape, Unit::bytes, 3 * state, [=] {
    cpu::rms_norm_backward(t, d.data(), y.data(), rstd.data(), x.data(), rows, hidden, {});
  }));
  const Tensor weight = normal({hidden}, DType::f32), dweight = weight.clone();
  const Tensor mean = rstd.clone();
  entries.push_back(entry(group, "layer_norm " + shape, Unit::bytes, 2 * state, [=] {
    cpu::layer_norm(t, y.data(), mean.data(), rstd.data(), x.data(), weight.data(), weight.data(),
                    rows, hidden, 1e-5, {});
  }));
  entries.push_back(entry(group, "layer_norm backward " + shape, Unit::bytes, 3 * state, [=] {
    cpu::layer_norm_backward(t, d.data(), dweight.data(), dweight.data(), r.data(), x.data(),
                             mean.data(), rstd.data(), weight.data(), rows, hidden, {});
  }));
  entries.push_back(entry(group, "add + dropout " + shape, Unit::bytes, 3 * state, [=] {
    cpu::dropout(t, y.data(), x.data(), r.data(), rows * hidden, DropoutRule{0.1, 7}, {});
  }));
  entries.push_back(entry(group, "swiglu " + shape, Unit::bytes, 3 * wide,
                          [=] { cpu::swiglu(t, z.data(), gate_up.data(), rows, inter, {}); }));
  entries.push_back(entry(group, "swiglu backward " + shape, Unit::bytes, 5 * wide, [=] {
    cpu::swiglu_backward(t, dgate_up.data(), gate_up.data(), z.data(), rows, inter, {});
  }));
}

void add_step_ends(std::vector<Entry>& entries) {
  const int64_t rows = 656, vocab = 11, n = 3 << 20;
  const Tensor logits = normal({rows, vocab}, DType::f32), dlogits = empty_like(logits);
  const Tensor labels = Random(2).randint({rows}, 0, vocab - 1);
  const Tensor loss({rows}, DType::f64);
  const double bytes = 4.0 * rows * vocab;
  entries.push_back(entry("step ends", "stablemax cross entropy", Unit::bytes, bytes, [=] {
    cpu::cross_entropy(LossType::stablemax_cross_entropy, DType::f32, loss.data(), logits.data(),
                       labels.data<int32_t>(), rows, vocab, {});
  }));
  entries.push_back(entry("step ends", "its backward", Unit::bytes, 2 * bytes, [=] {
    cpu::cross_entropy_backward(LossType::stablemax_cross_entropy, DType::f32, dlogits.data(),
                                loss.data(), logits.data(), labels.data<int32_t>(), rows, vocab,
                                {});
  }));
  const Tensor p = normal({n}, DType::f32), m = p.clone(), g = p.clone();
  const Tensor v = full({n}, 0.1);
  entries.push_back(entry("step ends", "adam_atan2, 3.1M weights", Unit::bytes, 28.0 * n, [=] {
    const double rates[kAdamRates] = {1, 1e-4, 1};
    const AdamTensor weights{p.data(), m.data(), v.data(), nullptr, g.data(), n, rates};
    cpu::adam(DType::f32, &weights, 1, {}, nullptr, nullptr, {});
  }));
}

}  // namespace

std::vector<Entry> kernel_entries() {
  std::vector<Entry> entries;
  for (const DType t : {DType::f32, DType::bf16}) {
    for (const ProductShape& s : product_shapes()) add_products(entries, s, t);
    for (const int64_t seq : {17, 37, 82}) add_attention(entries, 128, 4, 64, seq, t);
    add_attention(entries, 128, 4, 64, 82, t, 0.1);
    for (const int64_t seq : {82, 901}) add_attention(entries, 512, 8, seq == 82 ? 8 : 1, seq, t);
    add_rowwise(entries, 656, 512, t);
    add_rowwise(entries, 5248, 128, t);
  }
  add_step_ends(entries);
  return entries;
}

}  // namespace hrm::bench
