// Products of bf16 matrices whose rows are not whole units of sixteen bytes, such as the eleven
// logits of a token. The tensor cores are fed sixteen bytes at a time; cuBLASLt takes such operands
// as well, but by far slower ways. Copies with zeros in between cost less. So do the sums, if they
// are small beside the operands.
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gpu.h"

namespace hrm::cuda {
namespace {

constexpr int kBlock = 256;
constexpr int64_t kUnit = 16 / sizeof(bfloat16);  // elements of an operand in sixteen bytes

int64_t in_units(int64_t n) { return (n + kUnit - 1) / kUnit * kUnit; }

// A matrix in memory: rows of `columns` elements that lie side by side.
struct Rows {
  int64_t rows, columns, stride;
  bool whole_units() const { return columns % kUnit == 0 && stride % kUnit == 0; }
};
Rows sums_of(const Gemm& g) { return {g.m, g.n, g.c_row}; }
// Of the sums of such a product.
bool pads_sums(const Gemm& g) { return !sums_of(g).whole_units() && g.k >= 8 * g.n; }
// The operand with `a` rows and `b` columns as it lies in memory, where one of both strides is 1.
Rows rows_of(int64_t a, int64_t b, int64_t a_stride, int64_t b_stride) {
  return b_stride == 1 ? Rows{a, b, a_stride} : Rows{b, a, b_stride};
}

// Between `plain`, rows x columns with a stride, and `padded`, whose rows are dense and of `packs`
// packs of sixteen bytes: from plain to padded, with zeros in all other places, or back.
template <class T, bool padding>
__global__ void pad_kernel(T* padded, T* plain, unsigned count, unsigned packs, int64_t rows,
                           int64_t columns, int64_t stride) {
  constexpr int kSize = gpu::Pack<T>::kSize;
  for (auto i = static_cast<unsigned>(gpu::first()); i < count;
       i += static_cast<unsigned>(gpu::stride())) {
    const int64_t row = i / packs, column = static_cast<int64_t>(i % packs) * kSize;
    T* there = plain + row * stride + column;
    gpu::Pack<T> pack;
    if constexpr (!padding) pack.read(padded + static_cast<int64_t>(i) * kSize);
    GPU_UNROLL
    for (int k = 0; k < kSize; ++k) {
      const bool inside = row < rows && column + k < columns;
      if (padding)
        pack.v[k] = inside ? gpu::load(there[k]) : 0;
      else if (inside)
        gpu::store(there[k], pack.v[k]);
    }
    if constexpr (padding) pack.write(padded + static_cast<int64_t>(i) * kSize);
  }
}

template <class T, bool padding>
void move(void* padded, int64_t padded_rows, int64_t padded_columns, void* plain, const Rows& r,
          const Context& context) {
  const int64_t packs = padded_columns / gpu::Pack<T>::kSize, count = padded_rows * packs;
  gpu::launch<pad_kernel<T, padding>>(gpu::blocks_for(count, kBlock), dim3(kBlock), 0, context,
                                      static_cast<T*>(padded), static_cast<T*>(plain),
                                      static_cast<unsigned>(count), static_cast<unsigned>(packs),
                                      r.rows, r.columns, r.stride);
}

size_t padded_bytes(int64_t rows, int64_t columns) {
  return static_cast<size_t>(rows * columns) * sizeof(bfloat16);
}
// A copy of an operand with `a` rows and `b` columns as one of `padded_a` and `padded_b`, whose
// strides replace its own.
void pad_operand(void* to, const void*& operand, int64_t& a_stride, int64_t& b_stride, int64_t a,
                 int64_t b, int64_t padded_a, int64_t padded_b, const Context& context) {
  const bool rows = b_stride == 1;
  const int64_t length = rows ? padded_b : padded_a;
  move<bfloat16, true>(to, rows ? padded_a : padded_b, length, const_cast<void*>(operand),
                       rows_of(a, b, a_stride, b_stride), context);
  operand = to;
  (rows ? a_stride : b_stride) = length;
}

template <bool padding>
void move_sums(void* padded, void* plain, const Gemm& g, int64_t m, int64_t n,
               const Context& context) {
  const Rows c = sums_of(g);
  if (g.c_type == DType::bf16)
    move<bfloat16, padding>(padded, m, n, plain, c, context);
  else
    move<float, padding>(padded, m, n, plain, c, context);
}

}  // namespace

bool wants_padding(const Gemm& g) {
  constexpr int64_t kLarge = 100000000;        // multiplications; below it copies are no gain
  constexpr int64_t kMost = int64_t{1} << 31;  // elements that 32 bits count
  if (g.type != DType::bf16 || g.batch != 1 || g.m * g.n * g.k < kLarge) return false;
  if (in_units(g.m) * in_units(g.k) >= kMost || in_units(g.k) * in_units(g.n) >= kMost ||
      in_units(g.m) * in_units(g.n) >= kMost)
    return false;
  return !rows_of(g.m, g.k, g.a_row, g.a_col).whole_units() ||
         !rows_of(g.k, g.n, g.b_row, g.b_col).whole_units() || pads_sums(g);
}

void gemm_padded(const Gemm& g, const Context& context,
                 void (*product)(const Gemm&, const Context&)) {
  const Rows a = rows_of(g.m, g.k, g.a_row, g.a_col), b = rows_of(g.k, g.n, g.b_row, g.b_col);
  const bool a_by_rows = g.a_col == 1, b_by_rows = g.b_col == 1;
  // A size grows where it is the length of a row of an operand that is not of whole units.
  const bool pad_a = !a.whole_units(), pad_b = !b.whole_units();
  Gemm p = g;
  if (pad_a) (a_by_rows ? p.k : p.m) = in_units(a.columns);
  if (pad_b) (b_by_rows ? p.n : p.k) = in_units(b.columns);
  if (pads_sums(g)) p.n = in_units(g.n);
  const bool copy_a = pad_a || p.k != g.k;
  const bool copy_b = pad_b || p.k != g.k || p.n != g.n;
  const bool copy_c = p.m != g.m || p.n != g.n;

  // In the common workspace, behind what the product itself may use.
  const int64_t columns = in_units(p.n);
  const size_t a_bytes = copy_a ? padded_bytes(p.m, p.k) : 0,
               b_bytes = copy_b ? padded_bytes(p.k, p.n) : 0,
               c_bytes = copy_c ? static_cast<size_t>(p.m * columns) * size_of(g.c_type) : 0;
  const auto aligned = [](size_t bytes) { return (bytes + 255) / 256 * 256; };
  std::byte* at = nullptr;
  try {
    at = static_cast<std::byte*>(
        workspace(kGemmWorkspace + aligned(a_bytes) + aligned(b_bytes) + c_bytes));
  } catch (const Error&) {
    return product(g, context);  // slower, but without the memory
  }
  at += kGemmWorkspace;
  if (copy_a) pad_operand(at, p.a, p.a_row, p.a_col, g.m, g.k, p.m, p.k, context);
  at += aligned(a_bytes);
  if (copy_b) pad_operand(at, p.b, p.b_row, p.b_col, g.k, g.n, p.k, p.n, context);
  at += aligned(b_bytes);
  if (!copy_c) return product(p, context);

  p.c = at;
  p.c_row = columns;
  if (g.beta != 0)
    move_sums<true>(at, const_cast<void*>(g.add ? g.add : g.c), g, p.m, columns, context);
  p.add = nullptr;
  product(p, context);
  move_sums<false>(at, g.c, g, p.m, columns, context);
}

}  // namespace hrm::cuda
