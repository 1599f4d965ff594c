// The building blocks of HRM's modules. Weights are [out, in], names those of the official code.
//
//     const Linear layer(128, 64);         // weights drawn from default_random()
//     const Tensor y = layer.forward(x);   // [..., 128] -> [..., 64]
//
//     LayerOptions options;
//     options.dtype = DType::bf16;
//     options.random = &random;            // or from a stream of your own
//     const Linear narrow(128, 64, true, options);
#pragma once

#include <memory>
#include <optional>

#include "autograd/ops/attention.h"
#include "autograd/ops/dropout.h"
#include "autograd/ops/matmul.h"
#include "nn/module.h"
#include "tensor/random.h"

namespace hrm {
inline namespace nn {

// Everything a layer needs to know about the numbers it creates.
struct LayerOptions {
  DType dtype = DType::f32;  // of activations; masters are accumulate_type(dtype)
  Device device = Device::cpu;
  // Draws the initial weights; at first the stream of the thread that makes the options. Null: they
  // are zeros, to be loaded.
  Random* random = &default_random();
};

// Truncated normal of this standard deviation (true std after truncation), or zeros.
Tensor initial_weight(const Shape& shape, double std, const LayerOptions& options);

// y = x W' (+ b). W: LeCun normal (truncated, std 1 / sqrt(in)); b: zeros.
class Linear : public Module {
 public:
  Linear(int64_t in, int64_t out, bool bias = true, const LayerOptions& options = {});
  // [..., in] -> [..., out]; a residual of that shape is added.
  Tensor forward(const Tensor& x, const Tensor& residual = {}) const;
  // forward(swiglu(gate_up)), without bias.
  Tensor forward_swiglu(const Tensor& gate_up, const Tensor& residual = {}) const;
  void prepare() const override;

  Parameter weight;  // [out, in]
  Parameter bias;    // [out], or undefined

 private:
  std::shared_ptr<PackedWeight> packed_ = std::make_shared<PackedWeight>();
};

// Layer normalisation over the last dimension. The weight starts as ones, the bias as zeros.
class LayerNorm : public Module {
 public:
  explicit LayerNorm(int64_t size, const LayerOptions& options = {}, double eps = 1e-5);
  Tensor forward(const Tensor& x) const;  // [..., size]

  Parameter weight, bias;  // [size]

 private:
  double eps_;
};

// A convolution over images [batch, in, height, width] -> [batch, out, down, across] (conv2d). W:
// [out, in, size, size], LeCun normal over its in * size^2 inputs; b: zeros.
class Conv2d : public Module {
 public:
  Conv2d(int64_t in, int64_t out, int64_t size, int64_t stride = 1, int64_t padding = 0,
         bool bias = true, const LayerOptions& options = {});
  Tensor forward(const Tensor& x) const;

  Parameter weight;  // [out, in, size, size]
  Parameter bias;    // [out], or undefined

 private:
  int64_t stride_, padding_;
};

// Drops elements with probability p while the module trains (Module::train) and multiplies the
// others by 1 / (1 - p); otherwise it does nothing. Each call draws a new mask from the seed and
// the number of calls so far, which no state_dict holds. One thread at a time.
class Dropout : public Module {
 public:
  explicit Dropout(double p = 0.5);  // the seed is drawn from default_random()
  Dropout(double p, uint64_t seed);
  Tensor forward(const Tensor& x) const;

 private:
  uint64_t seed_;
  mutable uint64_t calls_ = 0;
  double p_;
};

// Rows of a trainable table, multiplied by `scale`. Table: truncated normal, std as given.
class Embedding : public Module {
 public:
  Embedding(int64_t count, int64_t dim, double std = 1, const LayerOptions& options = {});
  Tensor forward(const Tensor& ids, double scale = 1) const;  // i32 [...] -> [..., dim] in dtype

  Parameter weight;  // [count, dim], registered as "embedding_weight"
};

// The puzzle table: a buffer of zeros, trained by sparse SignSGD on the rows a batch uses.
class SparseEmbedding : public Module {
 public:
  SparseEmbedding(int64_t count, int64_t dim, double std, const LayerOptions& options);
  // The rows of a batch, [batch, dim], in the master type: in training a fresh leaf, whose gradient
  // (one row per batch row) the optimizer reads; otherwise constants.
  Tensor rows(const Tensor& ids, bool training) const;

  Tensor weights;  // [count, dim]
};

// Multi-head self-attention without causal mask: qkv_proj, rotary embedding, o_proj. The two
// projections have a bias if that is asked for; HRM's have none.
class Attention : public Module {
 public:
  Attention(int64_t hidden, int64_t heads, const LayerOptions& options = {}, bool bias = false);
  // [batch, seq, hidden] and position 0 of it, [batch, 1, hidden]; a residual is added.
  Tensor forward(const Tensor& x, const RopeTables* tables, const Tensor& residual = {}) const;
  Tensor forward_first(const Tensor& x, const RopeTables* tables,
                       const Tensor& residual = {}) const;
  // What each position takes from which, [batch, heads, seq, seq] (attention_weights).
  Tensor weights(const Tensor& x, const RopeTables* tables) const;
  // What o_proj is applied to: [batch, seq, heads * head size]. Some of the probabilities are
  // dropped if that is asked for.
  Tensor mix(const Tensor& x, const RopeTables* tables, const DropoutStream& drop = {}) const;
  Linear qkv_proj, o_proj;

 private:
  Tensor project_first(const Tensor& x) const;
  int64_t heads_;
};

// down(silu(gate) * up); the inner size is swiglu_size(hidden, expansion).
class SwiGLU : public Module {
 public:
  explicit SwiGLU(int64_t hidden, double expansion = 4, const LayerOptions& options = {});
  Tensor forward(const Tensor& x, const Tensor& residual = {}) const;  // [..., hidden]

  Linear gate_up_proj, down_proj;
};
// round(expansion * hidden * 2 / 3), ties to even, rounded up to a multiple of 256.
int64_t swiglu_size(int64_t hidden, double expansion);

struct BlockOptions {
  int64_t hidden = 0, heads = 0, seq = 0;  // seq counts the puzzle prefix
  double expansion = 4, eps = 1e-5;
  bool mlp_over_positions = false;  // TRM's mlp_t: a SwiGLU over positions replaces attention
};
// Post-norm: h = rms(h + attn(h)); h = rms(h + mlp(h)). With mlp_over_positions the first half
// works on the transposed state, norm included: h = rms(h' + mlp_t(h'))'.
class Block : public Module {
 public:
  Block(const BlockOptions& block, const LayerOptions& options);
  Tensor forward(const Tensor& h, const RopeTables* tables) const;  // [batch, seq, hidden]
  // Position 0 of forward, [batch, 1, hidden]: of all the rest only attention reads other
  // positions.
  Tensor forward_first(const Tensor& h, const RopeTables* tables) const;

  std::optional<Attention> self_attn;
  std::optional<SwiGLU> mlp_t;
  SwiGLU mlp;

 private:
  double eps_;
};

}  // namespace nn
}  // namespace hrm
