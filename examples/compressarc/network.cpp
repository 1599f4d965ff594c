#include "examples/compressarc/network.h"

#include <cmath>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"

namespace hrm::compressarc {
namespace {

constexpr double kEps = 1e-8;
constexpr int64_t kShareUp = 16, kSoftmax = 2, kDirectional = 4, kNonlinear = 16, kShareDown = 8;

Dims rows_of(const Tensor& x) {
  Dims dims;
  for (int i = 0; i + 1 < x.ndim(); ++i) dims.push_back(i);
  return dims;
}

// Of each channel, over everything else, cells outside of grids included.
Tensor normalized(const Tensor& x) { return standardize(x, rows_of(x), kEps); }

// x W for every cell.
Tensor times(const Tensor& x, const Parameter& weight) {
  const int last = x.ndim() - 1;
  const Tensor y = matmul(reshape(x, {-1, x.size(last)}), weight.value);
  return reshape(y, x.shape().with(last, weight.value.size(1)));
}

// x, which depends on `from`, with a dimension of size 1 for each further axis of `to`.
Tensor spread(const Tensor& x, Subset from, Subset to) {
  Shape shape;
  for (int axis = 0; axis < kAxes; ++axis) {
    const Axis a = static_cast<Axis>(axis);
    if (to.has(a)) shape = shape.inserted(shape.ndim(), from.has(a) ? x.size(from.dim(a)) : 1);
  }
  return reshape(x, shape.inserted(shape.ndim(), x.size(-1)));
}

bool walks_the_canvas(Subset s) { return s.has(kDirection) && s.has(kRow) && s.has(kCol); }

// The sets of dimensions that a softmax runs over: of the axes but the example, by their number
// and then in order.
std::vector<Dims> softmax_dims(Subset s) {
  std::vector<int> dims;
  for (const Axis axis : {kColour, kDirection, kRow, kCol})
    if (s.has(axis)) dims.push_back(s.dim(axis));
  const unsigned sets = 1u << dims.size();
  std::vector<Dims> all;
  for (unsigned set = 1; set < sets; ++set) {
    all.emplace_back();
    for (size_t i = 0; i < dims.size(); ++i)
      if (set >> i & 1) all.back().push_back(dims[i]);
  }
  std::sort(all.begin(), all.end(), [](const Dims& a, const Dims& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  });
  return all;
}

// [8 * channels, 8 * channels], from (source, channel) to (target, channel), of the maps [n, 8, 8].
Tensor direction_matrix(const Tensor& maps, const DirectionMaps& which) {
  constexpr std::array<double, kDirections> kNear = {1, 0.2, 0.4, 0.2, 1, 0.2, 0.4, 0.2};
  constexpr int64_t kPairs = kDirections * kDirections;
  std::vector<int32_t> ids;
  std::vector<double> near;
  for (int64_t source = 0; source < kDirections; ++source)
    for (int64_t target = 0; target < kDirections; ++target) {
      ids.push_back(which.map[target][source]);
      near.push_back(kNear[(source - target + kDirections) % kDirections]);
    }
  const int64_t channels = maps.size(1);
  const Tensor of_pairs = embedding(reshape(maps, {maps.size(0), channels * channels}),
                                    from_vector(ids, {kPairs}).to(maps.device()));
  const Tensor factors = from_values(near, {kPairs, 1}, maps.dtype()).to(maps.device());
  const Tensor blocks = reshape(of_pairs * factors, {kDirections, kDirections, channels, channels});
  return reshape(permute(blocks, {0, 2, 1, 3}), {kDirections * channels, kDirections * channels});
}

// [examples, rows, cols]: 1 where the input or the output of an example has a cell.
Tensor inside_grids(const CodedTask& task, DType dtype) {
  std::vector<double> inside;
  for (const auto& sizes : task.sizes)
    for (int row = 0; row < task.rows; ++row)
      for (int col = 0; col < task.cols; ++col) {
        bool in = false;
        for (const GridSize& size : sizes) in |= row < size.height && col < size.width;
        inside.push_back(in);
      }
  return from_values(inside, {task.examples(), task.rows, task.cols}, dtype);
}

// [examples, length, 1]: -1000 from the end of the larger of both grids on.
Tensor beyond_grids(const CodedTask& task, int GridSize::*extent, int64_t length, DType dtype) {
  std::vector<double> values;
  for (const auto& sizes : task.sizes)
    for (int64_t i = 0; i < length; ++i)
      values.push_back(i < std::max(sizes[kInput].*extent, sizes[kOutput].*extent) ? 0 : -1000);
  return from_values(values, {task.examples(), length, 1}, dtype);
}

}  // namespace

Tensor TaskOutputs::total_kl() const {
  Tensor total;
  for (const Subset s : subsets()) total = total.defined() ? total + sum(kl[s]) : sum(kl[s]);
  return total;
}

Network::Network(const CodedTask& task, Random& random, DType dtype)
    : dtype_(dtype),
      sizes_{task.examples(), task.other_colours(), kDirections, task.rows, task.cols},
      masked_means_(task.answer_size_is_sure()),
      inside_(inside_grids(task, dtype)),
      beyond_(beyond_grids(task, &GridSize::height, task.rows, dtype)),
      beside_(beyond_grids(task, &GridSize::width, task.cols, dtype)) {
  draw_latents(random);
  for (int i = 0; i < kLayers; ++i) draw_layer(i, random);
  draw_heads(random);
}

void Network::draw_latents(Random& random) {
  const auto add = [&](const std::string& name, Parameter& parameter, const Tensor& initial) {
    parameter = Parameter::make(initial, dtype_);
    add_parameter(name, &parameter);
  };
  for (const Subset s : subsets()) {
    const Shape shape = s.shape(sizes_, kLatentChannels);
    add("posterior." + s.name() + ".mean", mean_[s], random.normal(shape, 0.01, dtype_));
    add("posterior." + s.name() + ".capacity", capacity_[s], zeros(shape, dtype_));
    add("target_capacity." + s.name(), target_capacity_[s], zeros({kLatentChannels}, dtype_));
  }
  const double std = 1 / std::sqrt(static_cast<double>(kLatentChannels));
  for (const Subset s : subsets()) {
    if (!(s.owner() == s)) continue;
    const Shape shape = {kLatentChannels, s.channels()};
    add("decode." + s.name() + ".weight", decode_weight_[s], random.normal(shape, std, dtype_));
    add("decode." + s.name() + ".bias", decode_bias_[s],
        random.normal({s.channels()}, std, dtype_));
  }
}

// Each matrix is drawn with a variance of 1 / (the width of what it reads).
void Network::add_projection(const std::string& name, Projection& p, int64_t in, int64_t inside,
                             int64_t back, Random& random) {
  const auto draw = [&](int64_t from, int64_t to) {
    return Parameter::make(
        random.normal({from, to}, 1 / std::sqrt(static_cast<double>(from)), dtype_), dtype_);
  };
  p.down = draw(in, inside);
  p.up = draw(back, in);
  add_parameter(name + ".down", &p.down);
  add_parameter(name + ".up", &p.up);
}

void Network::draw_layer(int number, Random& random) {
  Layer& layer = layers_[number];
  const std::string prefix = "layer" + std::to_string(number) + ".";
  for (const Subset s : subsets()) {
    if (!(s.owner() == s)) continue;
    const auto add = [&](const char* part, Multitensor<Projection>& projections, int64_t inside,
                         int64_t back) {
      add_projection(prefix + part + "." + s.name(), projections[s], s.channels(), inside, back,
                     random);
    };
    add("share_up", layer.share_up, kShareUp, kShareUp);
    add("softmax", layer.softmax, kSoftmax,
        kSoftmax * static_cast<int64_t>(softmax_dims(s).size()));
    if (walks_the_canvas(s)) {
      add("cummax", layer.cummax, kDirectional, kDirectional);
      add("shift", layer.shift, kDirectional, kDirectional);
    }
    if (s.has(kDirection)) {
      const int64_t channels = s.channels();
      const Shape shape = {direction_maps(s).count, channels, channels};
      const double std = 1 / std::sqrt(static_cast<double>(channels));
      layer.direction_share[s] = Parameter::make(random.normal(shape, std, dtype_), dtype_);
      add_parameter(prefix + "direction_share." + s.name(), &layer.direction_share[s]);
    }
    add("nonlinear", layer.nonlinear, kNonlinear, kNonlinear);
    add("share_down", layer.share_down, kShareDown, kShareDown);
  }
}

// Both sides of an example begin with the same weights for colours.
void Network::draw_heads(Random& random) {
  const double std = 1 / std::sqrt(static_cast<double>(kCells.channels()));
  const Tensor column = random.normal({kCells.channels(), 1}, std, dtype_);
  head_weight_ = Parameter::make(concat({column, column}, 1), dtype_);
  head_bias_ = Parameter::make(random.normal({2}, std, dtype_), dtype_);
  mask_weight_ = Parameter::make(random.normal({kCells.channels(), 2}, std, dtype_), dtype_);
  mask_bias_ = Parameter::make(random.normal({2}, std, dtype_), dtype_);
  add_parameter("head.weight", &head_weight_);
  add_parameter("head.bias", &head_bias_);
  add_parameter("mask.weight", &mask_weight_);
  add_parameter("mask.bias", &mask_bias_);
}

Multitensor<Tensor> Network::draw_noise(Random& random) const {
  Multitensor<Tensor> noise;
  for (const Subset s : subsets())
    noise[s] = random.normal(s.shape(sizes_, kLatentChannels), 1, dtype_);
  return noise;
}

Decoded decode_latent(const Tensor& mean, const Tensor& capacity, const Tensor& target_capacity,
                      const Tensor& noise) {
  const auto elements = static_cast<double>(mean.numel());
  const auto nats = [](const Tensor& x) { return 10000 * exp(x) + 0.5; };
  const Tensor target = 10 * target_capacity;
  const Dims rows = rows_of(capacity);
  // What each element may tell, and what all of them should.
  const Tensor own = nats(target + capacity - hrm::mean(capacity, rows, true));
  const Tensor wanted = nats(target);
  const Tensor output_scale = 1 - exp(wanted * (-2 / elements));
  const Tensor noise_std = exp(own * (-1 / elements));
  const Tensor noise_variance = square(noise_std), signal_variance = 1 - noise_variance;
  const Tensor doubled = own * (2 / elements);
  const Tensor clear = compare(CompareOp::gt, doubled, 20);
  const Tensor signal_scale =
      where(clear, ones({}, own.dtype(), own.device()), sqrt(1 - exp(-doubled)));

  const Tensor m = normalized(mean);
  Decoded result;
  result.z = output_scale * (signal_scale * m + noise_std * noise);
  result.kl = 0.5 * (noise_variance + signal_variance * square(m) - 1) + own * (1 / elements);
  return result;
}

void Network::decode(Multitensor<Tensor>& x, Multitensor<Tensor>& kl,
                     const Multitensor<Tensor>& noise) const {
  for (const Subset s : subsets()) {
    const Decoded latent =
        decode_latent(mean_[s].value, capacity_[s].value, target_capacity_[s].value, noise[s]);
    x[s] = times(latent.z, decode_weight_[s.owner()]) + decode_bias_[s.owner()].value;
    kl[s] = sum(latent.kl, rows_of(latent.kl));
  }
}

// Every tensor receives what those say that depend on less.
void Network::share_up(const Layer& layer, Multitensor<Tensor>& x) const {
  Multitensor<Tensor> said;
  for (const Subset s : subsets()) said[s] = times(x[s], layer.share_up[s.owner()].down);
  for (const Subset to : subsets()) {
    Tensor heard = said[to];
    for (const Subset from : subsets())
      if (to.contains(from) && !(from == to)) heard = heard + spread(said[from], from, to);
    x[to] = x[to] + times(normalized(heard), layer.share_up[to.owner()].up);
  }
}

void Network::softmaxes(const Layer& layer, Multitensor<Tensor>& x) const {
  for (const Subset s : subsets()) {
    const Projection& weights = layer.softmax[s.owner()];
    const Tensor p = times(x[s], weights.down);
    Tensors shares;
    for (const Dims& dims : softmax_dims(s)) shares.push_back(softmax(p, dims));
    x[s] = x[s] + times(concat(shares, -1), weights.up);
  }
}

void Network::directional(const Multitensor<Projection>& weights, bool cummax,
                          Multitensor<Tensor>& x) const {
  for (const Subset s : subsets()) {
    if (!walks_the_canvas(s)) continue;
    Shape shape = {sizes_[kExample], sizes_[kRow], sizes_[kCol], 1};
    if (s.has(kColour)) shape = shape.inserted(1, 1);
    const Tensor inside = reshape(inside_, shape);
    const Tensor p = times(x[s], weights[s.owner()].down);
    const Tensor z = cummax ? directional_cummax(p, inside) : directional_shift(p, inside);
    x[s] = x[s] + times(normalized(z), weights[s.owner()].up);
  }
}

void Network::share_directions(const Layer& layer, Multitensor<Tensor>& x) const {
  for (const Subset s : subsets()) {
    if (!s.has(kDirection)) continue;
    const Tensor matrix =
        direction_matrix(layer.direction_share[s.owner()].value, direction_maps(s));
    // Directions beside their channels, there and back.
    std::vector<int> there, back(x[s].ndim());
    for (int i = 0; i < x[s].ndim(); ++i)
      if (i != s.dim(kDirection)) there.push_back(i);
    there.insert(there.end() - 1, s.dim(kDirection));
    for (int i = 0; i < x[s].ndim(); ++i) back[there[i]] = i;
    const Tensor z = permute(normalized(x[s]), there);
    const Tensor mixed = matmul(reshape(z, {-1, matrix.size(0)}), matrix);
    x[s] = x[s] + permute(reshape(mixed, z.shape()), back);
  }
}

void Network::nonlinear(const Layer& layer, Multitensor<Tensor>& x) const {
  for (const Subset s : subsets()) {
    const Projection& weights = layer.nonlinear[s.owner()];
    x[s] = x[s] + times(silu(times(x[s], weights.down)), weights.up);
  }
}

// p, which depends on `from`, averaged over the axes that `to` lacks, columns first. Where the
// sizes of the answers are known, cells outside of grids do not count.
Tensor Network::reduced(Tensor p, Subset from, Subset to) const {
  for (const Axis axis : {kCol, kRow, kDirection, kColour, kExample}) {
    if (!from.has(axis) || to.has(axis)) continue;
    const int dim = from.dim(axis);
    if (masked_means_ && (axis == kRow || axis == kCol)) {
      // What lies in the first row (or column) stands for an axis that is gone.
      Tensor mask = inside_;
      Subset masked = {1u << kExample | 1u << kRow | 1u << kCol};
      for (const Axis other : {kRow, kCol})
        if (!from.has(other)) {
          mask = select(mask, masked.dim(other), 0);
          masked = masked.without(other);
        }
      mask = spread(reshape(mask, mask.shape().inserted(mask.ndim(), 1)), masked, from);
      p = masked_mean(p, mask, {dim}, false, 1e-4);
    } else {
      p = mean(p, dim);
    }
    from = from.without(axis);
  }
  return p;
}

// Every tensor receives the means of those that depend on more.
void Network::share_down(const Layer& layer, Multitensor<Tensor>& x) const {
  Multitensor<Tensor> said;
  for (const Subset s : subsets()) said[s] = times(x[s], layer.share_down[s.owner()].down);
  for (const Subset to : subsets()) {
    Tensor heard = said[to];
    for (const Subset from : subsets())
      if (from.contains(to) && !(from == to)) heard = heard + reduced(said[from], from, to);
    x[to] = x[to] + times(normalized(heard), layer.share_down[to.owner()].up);
  }
}

TaskOutputs Network::read(const Multitensor<Tensor>& x) const {
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

TaskOutputs Network::forward(const Multitensor<Tensor>& noise) const {
  Multitensor<Tensor> x, kl;
  const auto after = [&](int layer, const char* part) {
    if (watch) watch(layer, part, x);
  };
  decode(x, kl, noise);
  after(0, "decode");
  for (int i = 0; i < kLayers; ++i) {
    const Layer& layer = layers_[i];
    share_up(layer, x);
    after(i, "share_up");
    softmaxes(layer, x);
    after(i, "softmax");
    directional(layer.cummax, true, x);
    after(i, "cummax");
    directional(layer.shift, false, x);
    after(i, "shift");
    share_directions(layer, x);
    after(i, "direction_share");
    nonlinear(layer, x);
    after(i, "nonlinear");
    share_down(layer, x);
    after(i, "share_down");
    for (const Subset s : subsets()) x[s] = normalized(x[s]);
    after(i, "normalize");
  }
  TaskOutputs out = read(x);
  out.kl = kl;
  return out;
}

}  // namespace hrm::compressarc
