// CompressARC's network: latents with a price, four layers that keep all symmetries of a grid, and
// two heads. Liao & Gu 2025, and where the paper and the authors' program differ, as the program
// does it.
//
//     Network network(task, random, DType::f32);
//     const TaskOutputs out = network.forward(network.draw_noise(random));
//     backward(out.total_kl() + 10 * reconstruction(task, out, step));
#pragma once

#include <array>
#include <functional>
#include <string>

#include "examples/compressarc/layers/latents.h"
#include "examples/compressarc/layers/layer.h"
#include "nn/module.h"
#include "tensor/random.h"

namespace hrm::compressarc {

inline constexpr int kLayers = 4;
// From so many cells of all tensors on, layers are run again in backward.
inline constexpr int64_t kCellsToRunTwice = 200'000;

// What the network says of all grids of the task.
struct TaskOutputs {
  Tensor logits;              // [examples, colours with black, rows, cols, 2]
  Tensor row_mask, col_mask;  // [examples, rows or cols, 2]: whether grids reach there
  Multitensor<Tensor> kl;     // of each latent, in nats, by its channel: [4]

  Tensor total_kl() const;
};

class Network : public Module {
 public:
  // The initial values are drawn from `random`. dtype: f32 or f64.
  Network(const CodedTask& task, Random& random, DType dtype);

  // Standard normal numbers for the latents.
  Multitensor<Tensor> draw_noise(Random& random) const;
  // The network must outlive what is computed from its outputs.
  TaskOutputs forward(const Multitensor<Tensor>& noise) const;

  // Is told of the residual stream after each part of each layer ("decode" is in layer 0); once
  // more in backward where layers run twice.
  using Watch =
      std::function<void(int layer, const std::string& part, const Multitensor<Tensor>& x)>;
  Watch watch;

  // Whether backward runs every layer again, which takes a quarter longer and half of the memory.
  bool run_layers_twice = false;

  const Canvas& canvas() const { return canvas_; }

 private:
  struct Projections {
    Multitensor<Parameter> down, up;  // by owner
    Weights weights() const;
  };
  struct LayerParameters {
    Projections share_up, softmax, cummax, shift, direction_share, nonlinear, share_down;
  };

  void draw_latents(Random& random);
  void draw_layer(int number, Random& random);
  void draw_heads(Random& random);
  void add_projection(const std::string& name, Projections& p, Subset s, int64_t inside,
                      int64_t back, Random& random);
  void run_layer(int number, Stream& x) const;
  void run_layer_twice(int number, Stream& x) const;
  TaskOutputs read(const Stream& x) const;

  Canvas canvas_;
  Tensor beyond_, beside_;  // [examples, rows or cols, 1]: -1000 where no grid of it reaches
  Share share_up_, share_down_;
  Softmax softmax_;
  Directional cummax_, shift_;
  ShareDirections share_directions_;
  Nonlinear nonlinear_;
  Normalize normalize_;

  Multitensor<Parameter> mean_, capacity_, target_capacity_, decode_weight_, decode_bias_;
  std::array<LayerParameters, kLayers> layers_;
  Parameter head_weight_, head_bias_, mask_weight_, mask_bias_;
};

}  // namespace hrm::compressarc
