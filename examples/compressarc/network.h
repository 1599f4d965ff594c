// CompressARC's network: latents with a price, four layers that keep all symmetries of a grid, and
// two heads. Written with the operations of the library; Liao & Gu 2025, and where the paper and
// the authors' program differ, as the program does it.
//
//     Network network(task, random, DType::f32);
//     const TaskOutputs out = network.forward(network.draw_noise(random));
//     backward(out.total_kl() + 10 * reconstruction(task, out, step));
#pragma once

#include <array>
#include <functional>
#include <string>

#include "examples/compressarc/coded_task.h"
#include "examples/compressarc/multitensor.h"
#include "nn/module.h"
#include "tensor/random.h"

namespace hrm::compressarc {

inline constexpr int kLayers = 4;
inline constexpr int64_t kLatentChannels = 4;

// What the network says of all grids of the task.
struct TaskOutputs {
  Tensor logits;              // [examples, colours with black, rows, cols, 2]
  Tensor row_mask, col_mask;  // [examples, rows or cols, 2]: whether grids reach there
  Multitensor<Tensor> kl;     // of each latent, in nats, by its channel: [4]

  Tensor total_kl() const;
};

// Of a residual stream the two matrices around what happens in fewer (or other) channels.
struct Projection {
  Parameter down, up;  // [in, out] each
};

class Network : public Module {
 public:
  // The initial values are drawn from `random`. dtype: f32 or f64.
  Network(const CodedTask& task, Random& random, DType dtype);

  // Standard normal numbers for the latents.
  Multitensor<Tensor> draw_noise(Random& random) const;
  TaskOutputs forward(const Multitensor<Tensor>& noise) const;

  // Is told of the residual stream after each part of each layer ("decode" is in layer 0).
  using Watch =
      std::function<void(int layer, const std::string& part, const Multitensor<Tensor>& x)>;
  Watch watch;

  const AxisSizes& sizes() const { return sizes_; }

 private:
  struct Layer {
    Multitensor<Projection> share_up, softmax, cummax, shift, nonlinear, share_down;
    Multitensor<Parameter> direction_share;  // [maps, 8, 8]
  };

  void draw_latents(Random& random);
  void draw_layer(int number, Random& random);
  void draw_heads(Random& random);
  void add_projection(const std::string& name, Projection& p, int64_t in, int64_t inside,
                      int64_t back, Random& random);

  void decode(Multitensor<Tensor>& x, Multitensor<Tensor>& kl,
              const Multitensor<Tensor>& noise) const;
  void share_up(const Layer& layer, Multitensor<Tensor>& x) const;
  void softmaxes(const Layer& layer, Multitensor<Tensor>& x) const;
  void directional(const Multitensor<Projection>& weights, bool cummax,
                   Multitensor<Tensor>& x) const;
  void share_directions(const Layer& layer, Multitensor<Tensor>& x) const;
  void nonlinear(const Layer& layer, Multitensor<Tensor>& x) const;
  void share_down(const Layer& layer, Multitensor<Tensor>& x) const;
  Tensor reduced(Tensor p, Subset from, Subset to) const;
  TaskOutputs read(const Multitensor<Tensor>& x) const;

  DType dtype_;
  AxisSizes sizes_;
  bool masked_means_;
  Tensor inside_;           // [examples, rows, cols]: in the input or in the output
  Tensor beyond_, beside_;  // [examples, rows or cols, 1]: -1000 where no grid of it reaches
  Multitensor<Parameter> mean_, capacity_, target_capacity_, decode_weight_, decode_bias_;
  std::array<Layer, kLayers> layers_;
  Parameter head_weight_, head_bias_, mask_weight_, mask_bias_;
};

// Which of its maps serves from direction `source` to direction `target`, and how many a subset
// has: directions that a symmetry of the square turns into each other share theirs.
struct DirectionMaps {
  std::array<std::array<int32_t, kDirections>, kDirections> map;  // [target][source]
  int64_t count;
};
const DirectionMaps& direction_maps(Subset s);

// The largest values so far (or shifted by one cell) along all directions: p [..., 8, rows, cols,
// 4] with a direction for each pair of channels, `inside` the cells that count, which broadcasts to
// a direction of p, [..., rows, cols, 1].
Tensor directional_cummax(const Tensor& p, const Tensor& inside);
Tensor directional_shift(const Tensor& p, const Tensor& inside);

// What a latent costs, and what of it arrives (noise of its shape): mean and capacity
// [..., channels], target_capacity [channels].
struct Decoded {
  Tensor z, kl;  // of the shape of mean
};
Decoded decode_latent(const Tensor& mean, const Tensor& capacity, const Tensor& target_capacity,
                      const Tensor& noise);

}  // namespace hrm::compressarc
