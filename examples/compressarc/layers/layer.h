// The parts of a layer of the network, each one operation on all tensors of the residual stream at
// once, with a gradient rule of its own: a step then runs a few hundred loops, and not a hundred
// thousand small operations. The tests hold the same parts composed of the library's operations.
//
//     const Canvas canvas(task, DType::f32);
//     const Nonlinear nonlinear(canvas);
//     nonlinear.apply(x, weights);
#pragma once

#include "autograd/node.h"
#include "examples/compressarc/layers/norms.h"

namespace hrm::compressarc {

// The residual stream: [axes of the subset, channels].
using Stream = Multitensor<Tensor>;

// Of a part of a layer, by owner: [in, out] each. Undefined where a part has none.
struct Weights {
  Multitensor<Tensor> down, up;
};

class Layer {
 public:
  Layer(const char* name, const Canvas& canvas, std::vector<Subset> changes)
      : canvas_(canvas), changes_(std::move(changes)), name_(name) {}
  virtual ~Layer() = default;
  // Replaces those tensors of the stream that it changes, and records itself. The layer and its
  // canvas must outlive what is computed from them.
  void apply(Stream& x, const Weights& weights) const;

 protected:
  // What backward needs of forward's work.
  struct Kept {
    Norms norms;
    Stream normalized;
  };
  // The tensors after it.
  virtual Stream forward(const Stream& x, const Weights& weights, Kept& kept) const = 0;
  // From the gradient of what it makes to that of what it was given, and of the weights.
  struct Gradients {
    Stream x;
    Weights weights;
  };
  virtual Gradients backward(const Stream& x, const Weights& weights, const Kept& kept,
                             const Stream& dy) const = 0;
  // Whether backward needs x, or is given it undefined.
  virtual bool keeps_input() const { return true; }

  const Canvas& canvas_;
  const std::vector<Subset> changes_;

 private:
  const char* name_;
};

// x + norm(what each tensor hears) up. Upwards a tensor hears x down of all those that depend on
// less, downwards the means of those that depend on more.
class Share : public Layer {
 public:
  enum class Kind { up, down };
  static constexpr int kInsideUp = 16, kInsideDown = 8;
  Share(const Canvas& canvas, Kind kind)
      : Layer(kind == Kind::up ? "share_up" : "share_down", canvas, subsets()), kind_(kind) {}

 protected:
  Stream forward(const Stream&, const Weights&, Kept&) const override;
  Gradients backward(const Stream&, const Weights&, const Kept&, const Stream&) const override;

 private:
  const Kind kind_;
};

// The sets of axes that a softmax runs over: all but the example, by their number and then in
// order.
std::vector<Subset> softmax_sets(Subset s);

struct SoftmaxTables;  // where the sums of each set are found

// x + [softmax(x down) over each set of axes] up: two channels for each set.
class Softmax : public Layer {
 public:
  static constexpr int kInside = 2;
  explicit Softmax(const Canvas& canvas);

 protected:
  Stream forward(const Stream&, const Weights&, Kept&) const override;
  Gradients backward(const Stream&, const Weights&, const Kept&, const Stream&) const override;

 private:
  std::shared_ptr<const SoftmaxTables> tables_;
};

// The subsets with a direction, rows and columns.
std::vector<Subset> walking_subsets();

// x + norm(what lies along each direction of x down) up: running maxima, or the next cell.
class Directional : public Layer {
 public:
  static constexpr int kInside = kInsideChannels;
  enum class Kind { cummax, shift };
  Directional(const Canvas& canvas, Kind kind)
      : Layer(kind == Kind::cummax ? "cummax" : "shift", canvas, walking_subsets()), kind_(kind) {}

 protected:
  Stream forward(const Stream&, const Weights&, Kept&) const override;
  Gradients backward(const Stream&, const Weights&, const Kept&, const Stream&) const override;

 private:
  const Kind kind_;
};

// x + norm(x) times a matrix for each pair of directions; weights.down: [maps, 8, 8].
class ShareDirections : public Layer {
 public:
  explicit ShareDirections(const Canvas& canvas);

 protected:
  Stream forward(const Stream&, const Weights&, Kept&) const override;
  Gradients backward(const Stream&, const Weights&, const Kept&, const Stream&) const override;
};

// x + silu(x down) up.
class Nonlinear : public Layer {
 public:
  static constexpr int kInside = 16;
  explicit Nonlinear(const Canvas& canvas) : Layer("nonlinear", canvas, subsets()) {}

 protected:
  Stream forward(const Stream&, const Weights&, Kept&) const override;
  Gradients backward(const Stream&, const Weights&, const Kept&, const Stream&) const override;
};

// norm(x). It has no weights.
class Normalize : public Layer {
 public:
  explicit Normalize(const Canvas& canvas) : Layer("normalize", canvas, subsets()) {}

 protected:
  Stream forward(const Stream&, const Weights&, Kept&) const override;
  Gradients backward(const Stream&, const Weights&, const Kept&, const Stream&) const override;
  bool keeps_input() const override { return false; }
};

// Which of its maps serves from direction `source` to direction `target`, and how many a subset
// has: directions that a symmetry of the square turns into each other share theirs.
struct DirectionMaps {
  std::array<std::array<int32_t, kDirections>, kDirections> map;  // [target][source]
  int64_t count;
};
const DirectionMaps& direction_maps(Subset s);

// Where direction k leads: rows down, columns to the right.
inline constexpr std::array<std::array<int, 2>, kDirections> kSteps = {
    {{1, 0}, {1, 1}, {0, 1}, {-1, 1}, {-1, 0}, {-1, -1}, {0, -1}, {1, -1}}};
// How much of a direction reaches another, by the eighths of a turn between them.
inline constexpr std::array<double, kDirections> kNear = {1, 0.2, 0.4, 0.2, 1, 0.2, 0.4, 0.2};

}  // namespace hrm::compressarc
