#include "autograd/ops/rope.h"

#include <cmath>

#include "autograd/grad_mode.h"
#include "autograd/ops/arithmetic.h"
#include "autograd/ops/unary.h"
#include "autograd/ops/view.h"
#include "kernels/rope.h"

namespace hrm {
namespace {

// Tables of angle(s, i) for position s and pair i, computed in T.
template <class T, class Angle>
RopeTables tables_of(int64_t seq, int64_t head_dim, const Angle& angle) {
  const int64_t half = head_dim / 2;
  constexpr DType kType = sizeof(T) == 8 ? DType::f64 : DType::f32;
  const RopeTables tables{empty({seq, head_dim}, kType), empty({seq, head_dim}, kType)};
  T *cos = tables.cos.data<T>(), *sin = tables.sin.data<T>();
  for (int64_t i = 0; i < half; ++i)
    for (int64_t s = 0; s < seq; ++s) {
      const T at = angle(s, i);
      cos[s * head_dim + i] = cos[s * head_dim + half + i] = std::cos(at);
      sin[s * head_dim + i] = sin[s * head_dim + half + i] = std::sin(at);
    }
  return tables;
}
// Of pair i of a head of `size` numbers.
template <class T>
T frequency(T theta, int64_t i, int64_t size) {
  return T(1) / std::pow(theta, T(2 * i) / T(size));
}
// make.operator()<T>(theta as a T) in the type of the tables.
template <class Make>
RopeTables in_type(DType dtype, double theta, Device device, const Make& make) {
  const RopeTables tables = dtype == DType::f64
                                ? make.template operator()<double>(theta)
                                : make.template operator()<float>(static_cast<float>(theta));
  return {tables.cos.to(device), tables.sin.to(device)};
}

Tensor rotate(const Tensor& input, const RopeTables& tables, bool inverse) {
  check_same_device("rope", {&input, &tables.cos, &tables.sin});
  const Tensor x = dense(input);
  Tensor y = empty_like(x);
  HRM_DISPATCH(rope, x.context(), x.dtype(), y.data(), x.data(), tables.cos.data(),
               tables.sin.data(), x.size(0), x.size(1), x.size(2), x.size(3), inverse);
  return y;
}

}  // namespace

RopeTables rope_tables(int64_t seq, int64_t head_dim, double theta, DType dtype, Device device) {
  HRM_CHECK(head_dim % 2 == 0, "[rope] head_dim must be even, got ", head_dim);
  return in_type(dtype, theta, device, [&]<class T>(T base) {
    return tables_of<T>(seq, head_dim,
                        [&](int64_t s, int64_t i) { return T(s) * frequency(base, i, head_dim); });
  });
}

RopeTables grid_rope_tables(int64_t prefix, int64_t rows, int64_t cols, int64_t head_dim,
                            double theta, DType dtype, Device device) {
  HRM_CHECK(head_dim % 4 == 0, "[rope] head_dim must be a multiple of 4 for a grid, got ",
            head_dim);
  return in_type(dtype, theta, device, [&]<class T>(T base) {
    return tables_of<T>(prefix + rows * cols, head_dim, [&](int64_t s, int64_t i) {
      const int64_t cell = s - prefix, pairs = head_dim / 4;
      if (cell < 0) return T(0);
      const int64_t along = i < pairs ? cell / cols : cell % cols;
      return T(along) * frequency(base, i % pairs, head_dim / 2);
    });
  });
}

Tensor rope(const Tensor& x, const RopeTables& tables) {
  HRM_CHECK(
      x.ndim() == 4 && x.size(3) % 2 == 0 && tables.cos.shape() == Shape({x.size(1), x.size(3)}),
      "[rope] needs x [batch, seq, heads, head_dim] and tables [seq, head_dim], got ", x.shape(),
      " and ", tables.cos.shape());
  HRM_CHECK(tables.cos.dtype() == accumulate_type(x.dtype()), "[rope] tables of ", x.dtype(),
            " inputs must be ", accumulate_type(x.dtype()), ", got ", tables.cos.dtype());
  if (!fusion_enabled()) return rope_reference(x, tables);
  return record("rope", rotate(x, tables, false), {x}, {{"cos", tables.cos}, {"sin", tables.sin}},
                [](const Saved& saved, const Tensor& dy) {
                  return Tensors{rotate(dy, {saved["cos"], saved["sin"]}, true)};
                });
}

Tensor rope_reference(const Tensor& x, const RopeTables& tables) {
  const int64_t seq = x.size(1), dim = x.size(3), half = dim / 2;
  const Tensor wide = cast(x, accumulate_type(x.dtype()));
  const Tensor rotated = concat({-slice(wide, 3, half, dim), slice(wide, 3, 0, half)}, 3);
  const Tensor cos = tables.cos.view({seq, 1, dim}), sin = tables.sin.view({seq, 1, dim});
  return cast(wide * cos + rotated * sin, x.dtype());
}

}  // namespace hrm
