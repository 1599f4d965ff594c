#include "tests/compressarc/composed.h"

#include <algorithm>
#include <cmath>

#include "autograd/custom_function.h"
#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"

namespace hrm::compressarc::composed {
namespace {

Dims rows_of(const Tensor& x) {
  Dims dims;
  for (int i = 0; i + 1 < x.ndim(); ++i) dims.push_back(i);
  return dims;
}

// Of each channel, over everything else, cells outside of grids included.
Tensor normalized(const Tensor& x) { return standardize(x, rows_of(x), kNormEps); }

// x W for every cell.
Tensor times(const Tensor& x, const Tensor& weight) {
  const int last = x.ndim() - 1;
  const Tensor y = matmul(reshape(x, {-1, x.size(last)}), weight);
  return reshape(y, x.shape().with(last, weight.size(1)));
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

// Far below and above all values, for cells that are outside of their grid.
constexpr double kFar = 1000;

Direction along(int step) { return step > 0 ? Direction::forward : Direction::backward; }

// Along rows or columns: where each value stands between the smallest (-1) and the largest (1) of
// its line. Cells outside are carried along.
Tensor straight_cummax(const Tensor& p, const Tensor& outside, int dim, Direction direction) {
  const Tensor low = p - outside, high = p + outside;
  const Tensor most = max(low, dim, true) + outside + 1e-3;
  const Tensor least = min(high, dim, true) - outside - 1e-3;
  const Tensor sofar = cummax(low, dim, direction) + outside;
  return 2 * (sofar - least) / (most - least) - 1;
}

// The same along diagonals. Cells outside are 0.
Tensor diagonal_cummax(const Tensor& p, const Tensor& inside, const Tensor& outside, int rows_dim,
                       Direction rows, Direction cols) {
  const auto opposite = [](Direction d) {
    return d == Direction::forward ? Direction::backward : Direction::forward;
  };
  const auto sofar = [&](const Tensor& x) { return cummax_diagonal(x, rows_dim, rows, cols); };
  const auto most = [&](const Tensor& x) {
    return maximum(sofar(x), cummax_diagonal(x, rows_dim, opposite(rows), opposite(cols)));
  };
  const Tensor low = p - outside;
  const Tensor reached = sofar(low) + outside, largest = most(low) + outside;
  const Tensor smallest = -most(-(p + outside)) - outside;
  return inside * (2 * (reached - smallest) / (largest - smallest + 1e-5) - 1);
}

// f(two channels, direction) for each direction k and its pairs of channels, 0 and 2 along k, 1
// and 3 along the opposite one. They come out in the order 0, 2, 1, 3.
template <class F>
Tensor for_directions(const Tensor& p, const Tensor& inside, const F& f) {
  const int dim = p.ndim() - 4;  // of the directions
  Tensors all;
  for (int64_t k = 0; k < kDirections; ++k) {
    const Tensor slice_k = select(p, dim, k) * inside;
    const auto channels = [&](int64_t first) {
      return concat(
          {slice(slice_k, -1, first, first + 1), slice(slice_k, -1, first + 2, first + 3)}, -1);
    };
    all.push_back(concat({f(channels(0), kSteps[k]), f(channels(1), kSteps[(k + 4) % 8])}, -1));
  }
  return stack(all, dim);
}

// f(place, cell of the canvas, code) for every cell of a grid at every place.
template <class F>
void for_placed_cells(const Shape& log_p, const std::vector<uint8_t>& codes, GridSize size,
                      const F& f) {
  const int64_t rows = log_p[1], cols = log_p[2];
  const int64_t tops = rows - size.height + 1, lefts = cols - size.width + 1;
  for (int64_t top = 0; top < tops; ++top)
    for (int64_t left = 0; left < lefts; ++left)
      for (int64_t row = 0; row < size.height; ++row)
        for (int64_t col = 0; col < size.width; ++col) {
          const int64_t code = codes[row * size.width + col];
          f(top * lefts + left, (code * rows + top + row) * cols + left + col);
        }
}

// [lengths' places, n]: of a vector what lies in the `length` elements from each place on, minus
// what lies outside.
void append_slices(std::vector<double>& rows, int64_t n, int64_t length) {
  for (int64_t first = 0; first + length <= n; ++first)
    for (int64_t i = 0; i < n; ++i) rows.push_back(i >= first && i < first + length ? 1.0 : -1.0);
}

Tensor slice_scores(const Tensor& mask, std::vector<double> rows) {
  const int64_t n = mask.size(0);
  const Tensor matrix = from_values(rows, {std::ssize(rows) / n, n}, mask.dtype());
  return reshape(matmul(matrix.to(mask.device()), reshape(mask, {n, 1})), {-1});
}

// Log-probabilities of the places of a slice of this length.
Tensor log_places(const Tensor& mask, int64_t length, bool sure) {
  const int64_t n = mask.size(0);
  std::vector<double> own, all;
  append_slices(own, n, length);
  if (sure)
    all = own;
  else
    for (int64_t any = 1; any <= n; ++any) append_slices(all, n, any);
  return slice_scores(mask, own) - logsumexp(slice_scores(mask, all), {0}, true);
}

std::vector<uint8_t> grid_codes(const CodedTask& task, int64_t example, Side side) {
  const GridSize& size = task.size(example, side);
  std::vector<uint8_t> codes;
  for (int row = 0; row < size.height; ++row)
    for (int col = 0; col < size.width; ++col) codes.push_back(task.code(example, row, col, side));
  return codes;
}

// [rows - height + 1, cols - width + 1]: what the grid costs with its corner at each place, of
// log_p [colours, rows, cols]. codes: height * width, row by row.
Tensor placed_costs(const Tensor& log_p, const std::vector<uint8_t>& codes, GridSize size) {
  const Shape shape = {log_p.size(1) - size.height + 1, log_p.size(2) - size.width + 1};
  return custom_function(
      "placed_costs", {log_p},
      [&](CustomContext&, const Tensors& in) {
        const Tensor x = in[0].contiguous();
        Tensor costs = zeros(shape, x.dtype());
        visit_float(x.dtype(), [&]<class T>() {
          const T* from = x.data<T>();
          T* to = costs.data<T>();
          for_placed_cells(x.shape(), codes, size, [&](int64_t place, int64_t cell) {
            to[place] = to[place] - from[cell];
          });
        });
        return Tensors{costs};
      },
      [codes, size, from = log_p.shape()](const Saved&, const Tensors& grads) {
        const Tensor dy = grads[0].contiguous();
        Tensor dx = zeros(from, dy.dtype());
        visit_float(dy.dtype(), [&]<class T>() {
          const T* g = dy.data<T>();
          T* to = dx.data<T>();
          for_placed_cells(from, codes, size,
                           [&](int64_t place, int64_t cell) { to[cell] = to[cell] - g[place]; });
        });
        return Tensors{dx};
      })[0];
}

// p, which depends on `from`, averaged over the axes that `to` lacks, columns first. Where the
// sizes of the answers are known, cells outside of grids do not count.
Tensor reduced(const CodedTask& task, Tensor p, Subset from, Subset to) {
  const Tensor inside = inside_grids(task, p.dtype());
  for (const Axis axis : {kCol, kRow, kDirection, kColour, kExample}) {
    if (!from.has(axis) || to.has(axis)) continue;
    const int dim = from.dim(axis);
    if (task.answer_size_is_sure() && (axis == kRow || axis == kCol)) {
      // What lies in the first row (or column) stands for an axis that is gone.
      Tensor mask = inside;
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

}  // namespace

// Every tensor receives what those say that depend on less.
Stream share_up(const Stream& x, const Weights& weights) {
  Stream y;
  Multitensor<Tensor> said;
  for (const Subset s : subsets()) said[s] = times(x[s], weights.down[s.owner()]);
  for (const Subset to : subsets()) {
    Tensor heard = said[to];
    for (const Subset from : subsets())
      if (to.contains(from) && !(from == to)) heard = heard + spread(said[from], from, to);
    y[to] = x[to] + times(normalized(heard), weights.up[to.owner()]);
  }
  return y;
}

Stream softmax_over_sets(const Stream& x, const Weights& weights) {
  Stream y;
  for (const Subset s : subsets()) {
    const Tensor p = times(x[s], weights.down[s.owner()]);
    Tensors shares;
    for (const Dims& dims : softmax_dims(s)) shares.push_back(softmax(p, dims));
    y[s] = x[s] + times(concat(shares, -1), weights.up[s.owner()]);
  }
  return y;
}

Stream directional(const CodedTask& task, const Stream& x, const Weights& weights, bool cummax) {
  Stream y = x;
  for (const Subset s : walking_subsets()) {
    Shape shape = {task.examples(), task.rows, task.cols, 1};
    if (s.has(kColour)) shape = shape.inserted(1, 1);
    const Tensor inside = reshape(inside_grids(task, x[s].dtype()), shape);
    const Tensor p = times(x[s], weights.down[s.owner()]);
    const Tensor z = cummax ? directional_cummax(p, inside) : directional_shift(p, inside);
    y[s] = x[s] + times(normalized(z), weights.up[s.owner()]);
  }
  return y;
}

Stream share_directions(const Stream& x, const Weights& weights) {
  Stream y = x;
  for (const Subset s : subsets()) {
    if (!s.has(kDirection)) continue;
    const Tensor matrix = direction_matrix(weights.down[s.owner()], direction_maps(s));
    // Directions beside their channels, there and back.
    std::vector<int> there, back(x[s].ndim());
    for (int i = 0; i < x[s].ndim(); ++i)
      if (i != s.dim(kDirection)) there.push_back(i);
    there.insert(there.end() - 1, s.dim(kDirection));
    for (int i = 0; i < x[s].ndim(); ++i) back[there[i]] = i;
    const Tensor z = permute(normalized(x[s]), there);
    const Tensor mixed = matmul(reshape(z, {-1, matrix.size(0)}), matrix);
    y[s] = x[s] + permute(reshape(mixed, z.shape()), back);
  }
  return y;
}

Stream nonlinear(const Stream& x, const Weights& weights) {
  Stream y;
  for (const Subset s : subsets())
    y[s] = x[s] + times(silu(times(x[s], weights.down[s.owner()])), weights.up[s.owner()]);
  return y;
}

// Every tensor receives the means of those that depend on more.
Stream share_down(const CodedTask& task, const Stream& x, const Weights& weights) {
  Stream y;
  Multitensor<Tensor> said;
  for (const Subset s : subsets()) said[s] = times(x[s], weights.down[s.owner()]);
  for (const Subset to : subsets()) {
    Tensor heard = said[to];
    for (const Subset from : subsets())
      if (from.contains(to) && !(from == to)) heard = heard + reduced(task, said[from], from, to);
    y[to] = x[to] + times(normalized(heard), weights.up[to.owner()]);
  }
  return y;
}

Stream normalize(const Stream& x) {
  Stream y;
  for (const Subset s : subsets()) y[s] = normalized(x[s]);
  return y;
}

Tensor directional_cummax(const Tensor& p, const Tensor& inside) {
  const Tensor outside = kFar * (1 - inside);
  const int rows_dim = p.ndim() - 4;  // of the slice of a direction
  return for_directions(p, inside, [&](const Tensor& x, const std::array<int, 2>& step) {
    if (step[1] == 0) return straight_cummax(x, outside, rows_dim, along(step[0]));
    if (step[0] == 0) return straight_cummax(x, outside, rows_dim + 1, along(step[1]));
    return diagonal_cummax(x, inside, outside, rows_dim, along(step[0]), along(step[1]));
  });
}

Tensor directional_shift(const Tensor& p, const Tensor& inside) {
  const int rows_dim = p.ndim() - 4;
  return for_directions(p, inside, [&](const Tensor& x, const std::array<int, 2>& step) {
    return shift(shift(x, rows_dim, step[0]), rows_dim + 1, step[1]);
  });
}

Latent decode_latent(const Tensor& mean, const Tensor& capacity, const Tensor& target_capacity,
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
  Latent result;
  result.z = output_scale * (signal_scale * m + noise_std * noise);
  result.kl = 0.5 * (noise_variance + signal_variance * square(m) - 1) + own * (1 / elements);
  return result;
}

Decoded decode(const Latents& latents, const Decoder& decoder, const Multitensor<Tensor>& noise) {
  Decoded decoded;
  for (const Subset s : subsets()) {
    const Latent latent =
        decode_latent(latents.mean[s], latents.capacity[s], latents.target[s], noise[s]);
    decoded.x[s] = times(latent.z, decoder.weight[s.owner()]) + decoder.bias[s.owner()];
    decoded.kl[s] = sum(latent.kl, rows_of(latent.kl));
  }
  return decoded;
}

Tensor code_lengths(const CodedTask& task, const TaskOutputs& out, int64_t step) {
  const double fade = std::max(0.0, 1 - static_cast<double>(step) / 100);
  const Tensor log_p = log_softmax(out.logits, 1);
  Tensors lengths;
  for (int64_t example = 0; example < task.examples(); ++example)
    for (const Side side : {kInput, kOutput}) {
      if (!task.known(example, side)) {
        lengths.push_back(zeros({}, log_p.dtype(), log_p.device()));
        continue;
      }
      const GridSize size = task.size(example, side);
      const bool sure = task.size_is_sure(side);
      const double soft_masks = sure ? 1 : std::pow(0.01, fade);
      const double soft_places = sure ? 1 : std::pow(0.1, fade);
      const auto places = [&](const Tensor& mask, int64_t length) {
        return log_places(soft_masks * select(select(mask, 0, example), 1, side), length, sure);
      };
      const Tensor tops = places(out.row_mask, size.height);
      const Tensor lefts = places(out.col_mask, size.width);
      const Tensor costs = placed_costs(select(select(log_p, 0, example), 3, side),
                                        grid_codes(task, example, side), size);
      const Tensor log_q = reshape(tops, {-1, 1}) + lefts - costs;
      lengths.push_back((-1 / soft_places) * logsumexp(soft_places * log_q, {0, 1}));
    }
  return stack(lengths, 0);
}

}  // namespace hrm::compressarc::composed
