#include "examples/compressarc/network.h"

#include <cmath>

#include "autograd/checkpoint.h"
#include "autograd/ops/ops.h"

namespace hrm::compressarc {
namespace {

// x W for every cell.
Tensor times(const Tensor& x, const Parameter& weight) {
  const int last = x.ndim() - 1;
  const Tensor y = matmul(reshape(x, {-1, x.size(last)}), weight.value);
  return reshape(y, x.shape().with(last, weight.value.size(1)));
}

// [examples, length, 1]: -1000 from the end of the larger of both grids on.
Tensor beyond_grids(const CodedTask& task, int GridSize::*extent, int64_t length, DType dtype) {
  std::vector<double> values;
  for (const auto& sizes : task.sizes)
    for (int64_t i = 0; i < length; ++i)
      values.push_back(i < std::max(sizes[kInput].*extent, sizes[kOutput].*extent) ? 0 : -1000);
  return from_values(values, {task.examples(), length, 1}, dtype);
}

Multitensor<Tensor> values_of(const Multitensor<Parameter>& parameters) {
  Multitensor<Tensor> values;
  for (const Subset s : subsets()) values[s] = parameters[s].value;
  return values;
}

}  // namespace

Tensor TaskOutputs::total_kl() const {
  Tensors all;
  for (const Subset s : subsets()) all.push_back(kl[s]);
  return sum(concat(all, 0));
}

Weights Network::Projections::weights() const { return {values_of(down), values_of(up)}; }

Network::Network(const CodedTask& task, Random& random, DType dtype)
    : canvas_(task, dtype),
      beyond_(beyond_grids(task, &GridSize::height, task.rows, dtype)),
      beside_(beyond_grids(task, &GridSize::width, task.cols, dtype)),
      share_up_(canvas_, Share::Kind::up),
      share_down_(canvas_, Share::Kind::down),
      softmax_(canvas_),
      cummax_(canvas_, Directional::Kind::cummax),
      shift_(canvas_, Directional::Kind::shift),
      share_directions_(canvas_),
      nonlinear_(canvas_),
      normalize_(canvas_) {
  run_layers_twice = canvas_.cells >= kCellsToRunTwice;
  draw_latents(random);
  for (int i = 0; i < kLayers; ++i) draw_layer(i, random);
  draw_heads(random);
}

void Network::draw_latents(Random& random) {
  const DType dtype = canvas_.dtype;
  const auto add = [&](const std::string& name, Parameter& parameter, const Tensor& initial) {
    parameter = Parameter::make(initial, dtype);
    add_parameter(name, &parameter);
  };
  for (const Subset s : subsets()) {
    const Shape shape = s.shape(canvas_.sizes, kLatentChannels);
    add("posterior." + s.name() + ".mean", mean_[s], random.normal(shape, 0.01, dtype));
    add("posterior." + s.name() + ".capacity", capacity_[s], zeros(shape, dtype));
    add("target_capacity." + s.name(), target_capacity_[s], zeros({kLatentChannels}, dtype));
  }
  const double std = 1 / std::sqrt(static_cast<double>(kLatentChannels));
  for (const Subset s : subsets()) {
    if (!(s.owner() == s)) continue;
    const Shape shape = {kLatentChannels, s.channels()};
    add("decode." + s.name() + ".weight", decode_weight_[s], random.normal(shape, std, dtype));
    add("decode." + s.name() + ".bias", decode_bias_[s], random.normal({s.channels()}, std, dtype));
  }
}

// Each matrix is drawn with a variance of 1 / (the width of what it reads).
void Network::add_projection(const std::string& name, Projections& p, Subset s, int64_t inside,
                             int64_t back, Random& random) {
  const auto draw = [&](int64_t from, int64_t to) {
    return Parameter::make(
        random.normal({from, to}, 1 / std::sqrt(static_cast<double>(from)), canvas_.dtype),
        canvas_.dtype);
  };
  p.down[s] = draw(s.channels(), inside);
  p.up[s] = draw(back, s.channels());
  add_parameter(name + "." + s.name() + ".down", &p.down[s]);
  add_parameter(name + "." + s.name() + ".up", &p.up[s]);
}

void Network::draw_layer(int number, Random& random) {
  LayerParameters& layer = layers_[number];
  const std::string prefix = "layer" + std::to_string(number) + ".";
  for (const Subset s : subsets()) {
    if (!(s.owner() == s)) continue;
    const auto add = [&](const char* part, Projections& p, int64_t inside, int64_t back) {
      add_projection(prefix + part, p, s, inside, back, random);
    };
    add("share_up", layer.share_up, Share::kInsideUp, Share::kInsideUp);
    add("softmax", layer.softmax, Softmax::kInside, Softmax::kInside * std::ssize(softmax_sets(s)));
    if (contains(walking_subsets(), s)) {
      add("cummax", layer.cummax, Directional::kInside, Directional::kInside);
      add("shift", layer.shift, Directional::kInside, Directional::kInside);
    }
    if (s.has(kDirection)) {
      const int64_t channels = s.channels();
      const Shape shape = {direction_maps(s).count, channels, channels};
      const double std = 1 / std::sqrt(static_cast<double>(channels));
      Parameter& maps = layer.direction_share.down[s];
      maps = Parameter::make(random.normal(shape, std, canvas_.dtype), canvas_.dtype);
      add_parameter(prefix + "direction_share." + s.name(), &maps);
    }
    add("nonlinear", layer.nonlinear, Nonlinear::kInside, Nonlinear::kInside);
    add("share_down", layer.share_down, Share::kInsideDown, Share::kInsideDown);
  }
}

// Both sides of an example begin with the same weights for colours.
void Network::draw_heads(Random& random) {
  const DType dtype = canvas_.dtype;
  const double std = 1 / std::sqrt(static_cast<double>(kCells.channels()));
  const Tensor column = random.normal({kCells.channels(), 1}, std, dtype);
  head_weight_ = Parameter::make(concat({column, column}, 1), dtype);
  head_bias_ = Parameter::make(random.normal({2}, std, dtype), dtype);
  mask_weight_ = Parameter::make(random.normal({kCells.channels(), 2}, std, dtype), dtype);
  mask_bias_ = Parameter::make(random.normal({2}, std, dtype), dtype);
  add_parameter("head.weight", &head_weight_);
  add_parameter("head.bias", &head_bias_);
  add_parameter("mask.weight", &mask_weight_);
  add_parameter("mask.bias", &mask_bias_);
}

Multitensor<Tensor> Network::draw_noise(Random& random) const {
  Multitensor<Tensor> noise;
  for (const Subset s : subsets())
    noise[s] = random.normal(s.shape(canvas_.sizes, kLatentChannels), 1, canvas_.dtype);
  return noise;
}

TaskOutputs Network::read(const Stream& x) const {
  TaskOutputs out;
  const Tensor colours = times(x[kCells], head_weight_) + 100 * head_bias_.value;
  out.logits = pad(colours, 1, 1, 0);  // black is 0
  const auto mask = [&](Subset s, const Tensor& beyond) {
    return times(x[s], mask_weight_) + mask_bias_.value + beyond;
  };
  out.row_mask = mask(kRowsOnly, beyond_);
  out.col_mask = mask(kColsOnly, beside_);
  return out;
}

void Network::run_layer(int number, Stream& x) const {
  const auto part = [&](const char* name, const Layer& layer, const Projections& p) {
    layer.apply(x, p.weights());
    if (watch) watch(number, name, x);
  };
  const LayerParameters& p = layers_[number];
  part("share_up", share_up_, p.share_up);
  part("softmax", softmax_, p.softmax);
  part("cummax", cummax_, p.cummax);
  part("shift", shift_, p.shift);
  part("direction_share", share_directions_, p.direction_share);
  part("nonlinear", nonlinear_, p.nonlinear);
  part("share_down", share_down_, p.share_down);
  part("normalize", normalize_, {});
}

// Only what goes into the layer is kept; backward runs it again.
void Network::run_layer_twice(int number, Stream& x) const {
  Tensors inputs;
  for (const Subset s : subsets()) inputs.push_back(x[s]);
  const LayerParameters& p = layers_[number];
  for (const Projections* part : {&p.share_up, &p.softmax, &p.cummax, &p.shift, &p.direction_share,
                                  &p.nonlinear, &p.share_down})
    for (const Multitensor<Parameter>* matrices : {&part->down, &part->up})
      for (const Parameter& matrix : matrices->all)
        if (matrix.value.defined()) inputs.push_back(matrix.value);
  const auto stream_of = [](const Tensors& list) {
    Stream stream;
    for (size_t i = 0; i < subsets().size(); ++i) stream[subsets()[i]] = list[i];
    return stream;
  };
  x = stream_of(checkpoint(
      [this, number, stream_of](const Tensors& in) {
        Stream stream = stream_of(in);
        run_layer(number, stream);
        Tensors out;
        for (const Subset s : subsets()) out.push_back(stream[s]);
        return out;
      },
      inputs));
}

TaskOutputs Network::forward(const Multitensor<Tensor>& noise) const {
  Decoded decoded =
      decode(canvas_, {values_of(mean_), values_of(capacity_), values_of(target_capacity_)},
             {values_of(decode_weight_), values_of(decode_bias_)}, noise);
  Stream x = decoded.x;
  if (watch) watch(0, "decode", x);
  for (int i = 0; i < kLayers; ++i) {
    if (run_layers_twice)
      run_layer_twice(i, x);
    else
      run_layer(i, x);
  }
  TaskOutputs out = read(x);
  out.kl = std::move(decoded.kl);
  return out;
}

}  // namespace hrm::compressarc
