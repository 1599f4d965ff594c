// One table of operations with odd sizes. The tests of gradients, of fused against composed code,
// of dtypes and of thread counts all run over it.
#pragma once

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "autograd/engine.h"
#include "autograd/ops/ops.h"
#include "tensor/random.h"

namespace hrm {

struct OpCase {
  std::string name;
  // Fresh f64 inputs; those that require a gradient are marked.
  std::function<Tensors(Random&)> inputs;
  std::function<Tensors(const Tensors&)> run;
  bool has_fused_form = false;  // set_fusion(false) takes another path
  bool any_dtype = true;        // also runs in f32 and bf16
};

// A variable of normal numbers.
inline Tensor variable(Random& random, const Shape& shape, double std = 1) {
  return random.normal(shape, std, DType::f64).set_requires_grad();
}
// A variable away from 0, where abs and the stablemax bend.
inline Tensor away_from_zero(Random& random, const Shape& shape) {
  Tensor t = random.uniform(shape, 0.2, 2, DType::f64);
  for (int64_t i = 0; i < t.numel(); i += 2) t.data<double>()[i] *= -1;
  return t.set_requires_grad();
}
// A constant of an operation, where its inputs are.
inline Tensor on_device_of(const Tensors& in, const Tensor& constant) {
  return constant.to(in[0].device());
}
inline Tensor positive(Random& random, const Shape& shape) {
  return random.uniform(shape, 0.3, 2, DType::f64).set_requires_grad();
}

struct OpResult {
  Tensors outputs, grads;
};
// Outputs, and gradients against fixed cotangents, in `dtype` on `device`.
inline OpResult evaluate_case(const OpCase& op, DType dtype, Device device = Device::cpu) {
  Random random(7);
  Tensors inputs;
  for (const Tensor& t : op.inputs(random)) {
    inputs.push_back(t.detach().to(dtype).clone().to(device));
    inputs.back().set_requires_grad(t.requires_grad());
  }
  OpResult result;
  result.outputs = op.run(inputs);
  Tensors cotangents;
  Random seeds(8);
  for (const Tensor& y : result.outputs)
    cotangents.push_back(seeds.normal(y.shape(), 1, DType::f64).to(y.dtype()).to(device));
  result.grads = grad(result.outputs, inputs, cotangents);
  return result;
}
// The largest difference, relative to numbers above 1.
inline double largest_difference(const Tensors& a, const Tensors& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const auto x = a[i].to_vector(), y = b[i].to_vector();
    if (a.size() != b.size() || a[i].shape() != b[i].shape()) return INFINITY;
    for (size_t k = 0; k < x.size(); ++k) {
      const double difference = std::abs(x[k] - y[k]) / std::max(1.0, std::abs(y[k]));
      worst = std::isnan(difference) ? INFINITY : std::max(worst, difference);
    }
  }
  return worst;
}
inline bool same_bits(const Tensors& a, const Tensors& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    const Tensor x = a[i].contiguous().to(Device::cpu), y = b[i].contiguous().to(Device::cpu);
    if (std::memcmp(x.data(), y.data(), x.nbytes()) != 0) return false;
  }
  return true;
}

inline const std::vector<OpCase>& op_cases() {
  using R = Random&;
  static const std::vector<OpCase> cases = [] {
    std::vector<OpCase> all;
    const auto unary_case = [&](const char* name, UnaryOp op, bool needs_positive) {
      all.push_back(
          {name,
           [needs_positive](R r) {
             return Tensors{needs_positive ? positive(r, {3, 33}) : away_from_zero(r, {3, 33})};
           },
           [op](const Tensors& in) { return Tensors{unary(op, in[0])}; }});
    };
    unary_case("neg", UnaryOp::neg, false);
    unary_case("exp", UnaryOp::exp, false);
    unary_case("log", UnaryOp::log, true);
    unary_case("sqrt", UnaryOp::sqrt, true);
    unary_case("rsqrt", UnaryOp::rsqrt, true);
    unary_case("sigmoid", UnaryOp::sigmoid, false);
    unary_case("silu", UnaryOp::silu, false);
    unary_case("gelu", UnaryOp::gelu, false);
    unary_case("tanh", UnaryOp::tanh, false);
    unary_case("abs", UnaryOp::abs, false);
    unary_case("square", UnaryOp::square, false);
    unary_case("relu", UnaryOp::relu, false);
    unary_case("sin", UnaryOp::sin, false);
    unary_case("cos", UnaryOp::cos, false);

    const auto binary_case = [&](const char* name, const Shape& a, const Shape& b,
                                 Tensor (*op)(const Tensor&, const Tensor&)) {
      all.push_back({name,
                     [a, b](R r) {
                       return Tensors{variable(r, a), away_from_zero(r, b)};
                     },
                     [op](const Tensors& in) { return Tensors{op(in[0], in[1])}; }});
    };
    binary_case("add broadcast last", {2, 5, 33}, {33}, add);
    binary_case("sub broadcast middle", {2, 5, 7}, {2, 1, 7}, sub);
    binary_case("mul both broadcast", {5, 1, 7}, {3, 1}, mul);
    binary_case("div scalar", {3, 5}, {}, div);
    binary_case("maximum", {4, 9}, {9}, maximum);
    binary_case("minimum", {4, 9}, {9}, minimum);
    all.push_back({"pow",
                   [](R r) {
                     return Tensors{positive(r, {5, 7}), variable(r, {7})};
                   },
                   [](const Tensors& in) {
                     return Tensors{pow(in[0], in[1]), pow(in[0], -1.5), pow(in[1], 2)};
                   }});
    all.push_back({"clamp",
                   [](R r) {
                     return Tensors{variable(r, {5, 7})};
                   },
                   [](const Tensors& in) { return Tensors{clamp(in[0], -0.5, 0.75)}; }});
    all.push_back({"scalars on either side",
                   [](R r) {
                     return Tensors{away_from_zero(r, {5, 7})};
                   },
                   [](const Tensors& in) {
                     return Tensors{2 / in[0], in[0] / 3, 1 + in[0], 2 - in[0]};
                   }});
    all.push_back(
        {"add3",
         [](R r) {
           return Tensors{variable(r, {5, 33}), variable(r, {5, 33}), variable(r, {5, 33})};
         },
         [](const Tensors& in) { return Tensors{add3(in[0], in[1], in[2])}; }, true});
    all.push_back({"affine",
                   [](R r) {
                     return Tensors{variable(r, {7, 3})};
                   },
                   [](const Tensors& in) { return Tensors{affine(in[0], -1.5, 0.25)}; }});
    all.push_back({"where",
                   [](R r) {
                     return Tensors{variable(r, {7}), variable(r, {3, 7})};
                   },
                   [](const Tensors& in) {
                     const Tensor mask = on_device_of(in, from_vector<uint8_t>({1, 0, 1}, {3, 1}));
                     return Tensors{where(mask, in[0], in[1])};
                   }});
    all.push_back({"sum all",
                   [](R r) {
                     return Tensors{variable(r, {3, 82})};
                   },
                   [](const Tensors& in) { return Tensors{sum(in[0])}; }});
    all.push_back({"sum middle",
                   [](R r) {
                     return Tensors{variable(r, {3, 5, 7})};
                   },
                   [](const Tensors& in) { return Tensors{sum(in[0], 1)}; }});
    all.push_back({"mean keepdim",
                   [](R r) {
                     return Tensors{variable(r, {3, 5, 7})};
                   },
                   [](const Tensors& in) { return Tensors{mean(in[0], -1, true)}; }});
    all.push_back({"max",
                   [](R r) {
                     return Tensors{variable(r, {3, 5, 7})};
                   },
                   [](const Tensors& in) { return Tensors{max(in[0], 1)}; }});
    all.push_back({"softmax",
                   [](R r) {
                     return Tensors{variable(r, {3, 33})};
                   },
                   [](const Tensors& in) { return Tensors{softmax(in[0])}; }});
    all.push_back({"log_softmax",
                   [](R r) {
                     return Tensors{variable(r, {3, 33})};
                   },
                   [](const Tensors& in) { return Tensors{log_softmax(in[0])}; }});
    const auto reduction_case = [&](const char* name,
                                    Tensor (*op)(const Tensor&, const Dims&, bool)) {
      all.push_back({name,
                     [](R r) {
                       return Tensors{variable(r, {3, 5, 2, 7})};
                     },
                     [op](const Tensors& in) {
                       return Tensors{op(in[0], {3, 1}, false), op(in[0], {2, 1}, true)};
                     }});
    };
    reduction_case("sum over dimensions", sum);
    reduction_case("mean over dimensions", mean);
    reduction_case("max over dimensions", max);
    reduction_case("min over dimensions", min);
    reduction_case("logsumexp", logsumexp);
    const auto in_place_case = [&](const char* name, Tensor (*op)(const Tensor&, const Dims&)) {
      all.push_back({name,
                     [](R r) {
                       return Tensors{variable(r, {3, 5, 2, 7})};
                     },
                     [op](const Tensors& in) {
                       return Tensors{op(in[0], {0, 2}), op(in[0], {3})};
                     }});
    };
    in_place_case("softmax over dimensions", softmax);
    in_place_case("log_softmax over dimensions", log_softmax);
    all.push_back({"masked_mean",
                   [](R r) {
                     return Tensors{variable(r, {3, 5, 7}), positive(r, {5, 1})};
                   },
                   [](const Tensors& in) {
                     return Tensors{masked_mean(in[0], in[1], {0, 1}, true, 1e-4)};
                   }});
    all.push_back({"standardize",
                   [](R r) {
                     return Tensors{variable(r, {3, 5, 7})};
                   },
                   [](const Tensors& in) {
                     return Tensors{standardize(in[0], {0, 1}, 1e-8)};
                   }});
    all.push_back({"cummax",
                   [](R r) {
                     return Tensors{variable(r, {3, 5, 7})};
                   },
                   [](const Tensors& in) {
                     return Tensors{cummax(in[0], 1), cummax(in[0], -1, Direction::backward)};
                   }});
    all.push_back({"cumsum",
                   [](R r) {
                     return Tensors{variable(r, {3, 5, 7})};
                   },
                   [](const Tensors& in) {
                     return Tensors{cumsum(in[0], 1), cumsum(in[0], -1, Direction::backward)};
                   }});
    all.push_back({"topk",
                   [](R r) {
                     return Tensors{variable(r, {3, 11})};
                   },
                   [](const Tensors& in) { return Tensors{topk(in[0], 4).first}; }});
    all.push_back({"mean, var, max and min of all",
                   [](R r) {
                     return Tensors{variable(r, {3, 11})};
                   },
                   [](const Tensors& in) {
                     return Tensors{mean(in[0]),          var(in[0]), var(in[0], 0, true, 0),
                                    max(in[0]),           min(in[0]), softmax(in[0], 0),
                                    log_softmax(in[0], 0)};
                   }});
    all.push_back({"tril and triu",
                   [](R r) {
                     return Tensors{variable(r, {2, 4, 5})};
                   },
                   [](const Tensors& in) {
                     return Tensors{tril(in[0], 1), triu(in[0], -1)};
                   }});
    all.push_back({"index and select",
                   [](R r) {
                     return Tensors{variable(r, {4, 6, 3})};
                   },
                   [](const Tensors& in) {
                     return Tensors{in[0][-1], in[0].index({Slice(1), Slice(0, -1, 2), 2}),
                                    in[0][Slice(0, 3, 2)], squeeze(unsqueeze(in[0], 1)),
                                    flatten(in[0], 1)};
                   }});
    all.push_back({"im2col",
                   [](R r) {
                     return Tensors{variable(r, {2, 3, 5, 6})};
                   },
                   [](const Tensors& in) {
                     return Tensors{im2col(in[0], 3), im2col(in[0], 2, 2, 1)};
                   }});
    all.push_back({"max_pool2d",
                   [](R r) {
                     return Tensors{variable(r, {2, 3, 4, 6})};
                   },
                   [](const Tensors& in) { return Tensors{max_pool2d(in[0], 2)}; }});
    // The weight stays in the accumulation type, as in linear().
    all.push_back(
        {"conv2d",
         [](R r) {
           return Tensors{variable(r, {2, 3, 5, 6}), variable(r, {4, 3, 3, 3}), variable(r, {4})};
         },
         [](const Tensors& in) {
           return Tensors{conv2d(in[0], in[1], in[2], 2, 1), conv2d(in[0], in[1])};
         },
         false, false});
    all.push_back(
        {"einsum",
         [](R r) {
           return Tensors{variable(r, {3, 4, 5}), variable(r, {3, 5, 2}), variable(r, {2, 4})};
         },
         [](const Tensors& in) {
           return Tensors{einsum("bij,bjk->kbi", {in[0], in[1]}), einsum("bij,bjk,ki->b", in),
                          einsum("bij->j", {in[0]}), einsum("bij,bkl", {in[0], in[1]})};
         }});
    all.push_back(
        {"vectors in matmul",
         [](R r) {
           return Tensors{variable(r, {3, 4, 5}), variable(r, {5}), variable(r, {4})};
         },
         [](const Tensors& in) {
           return Tensors{matmul(in[0], in[1]), matmul(in[1], in[1]), matmul(in[2], in[0][0])};
         }});
    all.push_back({"cummax_diagonal",
                   [](R r) {
                     return Tensors{variable(r, {2, 4, 6, 3})};
                   },
                   [](const Tensors& in) {
                     Tensors all;
                     for (const auto rows : {Direction::forward, Direction::backward})
                       for (const auto cols : {Direction::forward, Direction::backward})
                         all.push_back(cummax_diagonal(in[0], 1, rows, cols));
                     return all;
                   }});
    all.push_back({"permute, flip, shift and stack",
                   [](R r) {
                     return Tensors{variable(r, {4, 3, 5}), variable(r, {5, 4, 3})};
                   },
                   [](const Tensors& in) {
                     const Tensor turned = permute(in[0], {2, 0, 1});
                     return Tensors{stack({flip(turned, 1), in[1]}, 2), shift(turned, 0, 2),
                                    shift(flip(in[0], -1), 1, -1)};
                   }});
    all.push_back({"reshape of a transposed view",
                   [](R r) {
                     return Tensors{variable(r, {3, 5, 4})};
                   },
                   [](const Tensors& in) {
                     return Tensors{reshape(transpose(in[0], 0, 2), {2, 30})};
                   }});
    all.push_back({"slice and select",
                   [](R r) {
                     return Tensors{variable(r, {4, 6})};
                   },
                   [](const Tensors& in) {
                     return Tensors{slice(in[0], 1, 1, 4) * 2, select(in[0], 0, -1 + 3)};
                   }});
    all.push_back({"expand",
                   [](R r) {
                     return Tensors{variable(r, {3, 1})};
                   },
                   [](const Tensors& in) {
                     return Tensors{expand(in[0], {2, 3, 4}) * 3};
                   }});
    all.push_back({"concat and pad",
                   [](R r) {
                     return Tensors{variable(r, {2, 3}), variable(r, {2, 4})};
                   },
                   [](const Tensors& in) {
                     return Tensors{pad(concat({in[0], in[1]}, 1), 0, 1, 2)};
                   }});
    all.push_back(
        {"matmul batched transposed",
         [](R r) {
           return Tensors{variable(r, {3, 5, 7}), variable(r, {3, 9, 7})};
         },
         [](const Tensors& in) { return Tensors{matmul(in[0], transpose(in[1], 1, 2))}; }});
    all.push_back({"matmul one right side",
                   [](R r) {
                     return Tensors{variable(r, {2, 5, 7}), variable(r, {7, 3})};
                   },
                   [](const Tensors& in) { return Tensors{matmul(in[0], in[1])}; }});
    all.push_back(
        {"gather_last",
         [](R r) {
           return Tensors{variable(r, {2, 5})};
         },
         [](const Tensors& in) {
           return Tensors{gather_last(
               in[0], on_device_of(in, from_vector<int32_t>({4, 0, 4, 1, 1, 1}, {2, 3})))};
         }});
    all.push_back({"scatter_add",
                   [](R r) {
                     return Tensors{variable(r, {5, 3})};
                   },
                   [](const Tensors& in) {
                     return Tensors{scatter_add(
                         in[0], on_device_of(in, from_vector<int32_t>({2, 0, 2, 2, 1}, {5})), 4)};
                   }});
    all.push_back({"rms_norm",
                   [](R r) {
                     return Tensors{variable(r, {5, 33})};
                   },
                   [](const Tensors& in) { return Tensors{rms_norm(in[0])}; }, true});
    all.push_back({"add_rms_norm",
                   [](R r) {
                     return Tensors{variable(r, {2, 3, 17}), variable(r, {2, 3, 17})};
                   },
                   [](const Tensors& in) { return Tensors{add_rms_norm(in[0], in[1])}; }, true});
    all.push_back({"layer_norm",
                   [](R r) {
                     return Tensors{variable(r, {5, 33}), variable(r, {33}), variable(r, {33})};
                   },
                   [](const Tensors& in) {
                     const DType wide = accumulate_type(in[0].dtype());
                     return Tensors{layer_norm(in[0], cast(in[1], wide), cast(in[2], wide))};
                   },
                   true});
    all.push_back({"swiglu",
                   [](R r) {
                     return Tensors{variable(r, {3, 34})};
                   },
                   [](const Tensors& in) { return Tensors{swiglu(in[0])}; }, true});
    all.push_back({"swiglu_linear",
                   [](R r) {
                     return Tensors{variable(r, {2, 3, 34}), variable(r, {9, 17})};
                   },
                   [](const Tensors& in) { return Tensors{swiglu_linear(in[0], in[1])}; }, true,
                   false});
    all.push_back({"rope",
                   [](R r) {
                     return Tensors{variable(r, {2, 5, 3, 6})};
                   },
                   [](const Tensors& in) {
                     const RopeTables t =
                         rope_tables(5, 6, 10000, accumulate_type(in[0].dtype()), in[0].device());
                     return Tensors{rope(in[0], t)};
                   },
                   true});
    all.push_back({"attention",
                   [](R r) {
                     return Tensors{variable(r, {2, 9, 3 * 3 * 10})};
                   },
                   [](const Tensors& in) {
                     const RopeTables t =
                         rope_tables(9, 10, 10000, accumulate_type(in[0].dtype()), in[0].device());
                     return Tensors{attention(in[0], 3, &t)};
                   },
                   true});
    all.push_back({"attention_weights",
                   [](R r) {
                     return Tensors{variable(r, {2, 5, 3 * 2 * 6})};
                   },
                   [](const Tensors& in) {
                     const RopeTables t =
                         rope_tables(5, 6, 10000, accumulate_type(in[0].dtype()), in[0].device());
                     return Tensors{attention_weights(in[0], 2, &t)};
                   },
                   true});
    all.push_back({"attention without rope, odd head",
                   [](R r) {
                     return Tensors{variable(r, {1, 7, 3 * 2 * 5})};
                   },
                   [](const Tensors& in) { return Tensors{attention(in[0], 2, nullptr)}; }, true});
    all.push_back(
        {"dropout",
         [](R r) {
           return Tensors{variable(r, {5, 7}), variable(r, {5, 7})};
         },
         [](const Tensors& in) {
           const Tensor step = on_device_of(in, from_vector<int32_t>({9}, {1}));
           DropoutStream drop{0.3, 17, step};
           return Tensors{dropout(in[0], drop.next()), dropout(in[0], drop.next(), in[1])};
         }});
    all.push_back({"attention with dropout",
                   [](R r) {
                     return Tensors{variable(r, {2, 9, 3 * 3 * 10})};
                   },
                   [](const Tensors& in) {
                     const Tensor step = on_device_of(in, from_vector<int32_t>({3}, {1}));
                     return Tensors{attention(in[0], 3, nullptr, {0.3, 17, step, 5})};
                   },
                   true});
    // The weight stays in the accumulation type; its bf16 copy is made on the spot.
    all.push_back({"linear with bias",
                   [](R r) {
                     return Tensors{variable(r, {2, 3, 7}), variable(r, {5, 7}), variable(r, {5})};
                   },
                   [](const Tensors& in) { return Tensors{linear(in[0], in[1], {}, in[2])}; },
                   false, false});
    all.push_back({"embedding",
                   [](R r) {
                     return Tensors{variable(r, {6, 5})};
                   },
                   [](const Tensors& in) {
                     return Tensors{embedding(
                         in[0], on_device_of(in, from_vector<int32_t>({5, 0, 5, 2}, {2, 2})), 1.5)};
                   }});
    const auto loss_case = [&](const char* name, LossType kind) {
      all.push_back({name,
                     [](R r) {
                       return Tensors{away_from_zero(r, {5, 11})};
                     },
                     [kind](const Tensors& in) {
                       const Tensor labels =
                           on_device_of(in, from_vector<int32_t>({0, 10, kIgnoreLabel, 3, 3}, {5}));
                       return Tensors{cross_entropy(kind, in[0], labels)};
                     },
                     true});
    };
    loss_case("softmax cross entropy", LossType::softmax_cross_entropy);
    loss_case("stablemax cross entropy", LossType::stablemax_cross_entropy);
    all.push_back({"stablemax transform", [](R r) { return Tensors{away_from_zero(r, {33})}; },
                   [](const Tensors& in) { return Tensors{stablemax_transform(in[0])}; }});
    all.push_back({"bce_with_logits", [](R r) { return Tensors{variable(r, {17}, 3)}; },
                   [](const Tensors& in) {
                     Random targets(9);
                     const Tensor t = on_device_of(in, targets.uniform({17}, 0, 1, in[0].dtype()));
                     const Tensor w = on_device_of(in, targets.uniform({17}, 0, 4, in[0].dtype()));
                     return Tensors{bce_with_logits(in[0], t), bce_with_logits(in[0], t, w)};
                   }});
    all.push_back({"cast there and back", [](R r) { return Tensors{variable(r, {5})}; },
                   [](const Tensors& in) {
                     return Tensors{cast(cast(in[0], DType::f64), in[0].dtype()) * 2};
                   }});
    return all;
  }();
  return cases;
}

}  // namespace hrm
