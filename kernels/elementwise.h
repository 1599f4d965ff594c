// Elementwise kernels, with broadcasting by strides. Outputs are contiguous and overwritten (=)
// unless a line says +=.
//
//     cpu::unary(UnaryOp::gelu, DType::f32, y, x, n, context);   // y[i] = gelu(x[i])
#pragma once

#include "kernels/dispatch.h"

namespace hrm {

inline constexpr int kMaxDims = 6;

// The index space of a broadcast operation: `shape` of the result and, for every operand, its
// strides in elements (0 where it is broadcast). ndim <= kMaxDims; ndim 0 is one element.
struct Layout {
  int ndim = 0;
  int64_t shape[kMaxDims] = {};
  int64_t strides[3][kMaxDims] = {};
  int64_t count() const {
    int64_t n = 1;
    for (int i = 0; i < ndim; ++i) n *= shape[i];
    return n;
  }
};

// The same with dimensions of size 1 dropped and neighbours merged where all operands allow it, so
// that most loops become one long row. ndim >= 1.
Layout simplified(const Layout& layout);

// The functions of one number: X(name in UnaryOp, struct in namespace unary_ops of formulas.h).
#define HRM_UNARY_OPS(X) \
  X(neg, Neg)            \
  X(exp, Exp)            \
  X(log, Log)            \
  X(sqrt, Sqrt)          \
  X(rsqrt, Rsqrt)        \
  X(sigmoid, Sigmoid)    \
  X(silu, Silu)          \
  X(gelu, Gelu)          \
  X(tanh, Tanh)          \
  X(abs, Abs)            \
  X(square, Square)      \
  X(relu, Relu)          \
  X(sin, Sin)            \
  X(cos, Cos)

enum class UnaryOp {
#define HRM_ENUMERATOR(name, Op) name,
  HRM_UNARY_OPS(HRM_ENUMERATOR)
#undef HRM_ENUMERATOR
};
// The names in BinaryOp and in CompareOp, for those who compile a loop for each.
#define HRM_BINARY_OPS(X) X(add) X(sub) X(mul) X(div) X(maximum) X(minimum) X(atan2) X(pow)
#define HRM_COMPARE_OPS(X) X(gt) X(ge) X(eq) X(ne)

#define HRM_ENUMERATOR(name) name,
enum class BinaryOp { HRM_BINARY_OPS(HRM_ENUMERATOR) };
enum class CompareOp { HRM_COMPARE_OPS(HRM_ENUMERATOR) };
#undef HRM_ENUMERATOR

// y[i] = op(x[i]), n contiguous elements. sigmoid is the one sigmoid of the library: targets and
// losses must agree to the last bit (see loss.h).
HRM_KERNEL(unary, (UnaryOp op, DType t, void* y, const void* x, int64_t n, const Context&))
// dx[i] = dy[i] * op'(x[i]). Of x and y = op(x) exactly one is read, the other one must be null: y
// is read by an op that uses its output (formulas.h), x by the rest.
HRM_KERNEL(unary_backward, (UnaryOp op, DType t, void* dx, const void* x, const void* y,
                            const void* dy, int64_t n, const Context&))
// y[i] = op(a[...], b[...]): operand 0 is a, operand 1 is b of `layout`; y is contiguous. May run
// in place (y == a) when a's strides are those of y. i32 supports all but atan2 and pow.
HRM_KERNEL(binary, (BinaryOp op, DType t, void* y, const void* a, const void* b,
                    const Layout& layout, const Context&))
// y[i] = op(a[...], b[...]) ? 1 : 0 in u8, for every dtype; NaN compares false, unless the op is
// ne.
HRM_KERNEL(compare, (CompareOp op, DType t, uint8_t* y, const void* a, const void* b,
                     const Layout& layout, const Context&))
// y[i] = condition[...] ? a[...] : b[...]; operands of `layout` in the order condition (u8), a, b.
HRM_KERNEL(where, (DType t, void* y, const uint8_t* condition, const void* a, const void* b,
                   const Layout& layout, const Context&))
// y[i] = scale * x[i] + shift (n contiguous elements; y may be x).
HRM_KERNEL(affine,
           (DType t, void* y, const void* x, int64_t n, double scale, double shift, const Context&))
// y[i] = a[i] + (b[i] + c[i]), n contiguous elements, both sums rounded to t.
HRM_KERNEL(add3, (DType t, void* y, const void* a, const void* b, const void* c, int64_t n,
                  const Context&))
// y[i] += alpha * x[i] (n contiguous elements).
HRM_KERNEL(axpy, (DType t, void* y, const void* x, int64_t n, double alpha, const Context&))
// y[i] = value.
HRM_KERNEL(fill, (DType t, void* y, int64_t n, double value, const Context&))
// y[...] = x[...] between two strided places of the same dtype: operand 0 is y, operand 1 is x.
HRM_KERNEL(copy_strided, (DType t, void* y, const void* x, const Layout& layout, const Context&))

}  // namespace hrm
