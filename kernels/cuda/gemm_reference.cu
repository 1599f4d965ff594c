// Our own product, for every layout and type: blocks of 64 x 64 sums, 4 x 4 to a thread, over steps
// of 16 in k. The build without cuBLASLt and the emulation use it; on a GPU the library is faster.
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gpu.h"

namespace hrm::cuda {
namespace {

constexpr int kTile = 64, kStep = 16, kSums = 4;
constexpr int kSide = kTile / kSums;  // threads along a side of the tile

struct Strides {
  int64_t a_row, a_col, a_batch, b_row, b_col, b_batch, c_row, c_batch;
};

template <class T, class C>
__global__ void __launch_bounds__(kSide* kSide)
    gemm_kernel(C* c, const T* a, const T* b, const C* add, int64_t m, int64_t n, int64_t k,
                Strides s) {
  using A = arithmetic<T>;
  GPU_SHARED(a_tile, A[kStep][kTile + 1]);
  GPU_SHARED(b_tile, A[kStep][kTile + 1]);
  a += blockIdx.z * s.a_batch;
  b += blockIdx.z * s.b_batch;
  c += blockIdx.z * s.c_batch;
  if (add) add += blockIdx.z * s.c_batch;
  const int64_t row0 = static_cast<int64_t>(blockIdx.y) * kTile;
  const int64_t col0 = static_cast<int64_t>(blockIdx.x) * kTile;
  const int tx = static_cast<int>(threadIdx.x) % kSide, ty = static_cast<int>(threadIdx.x) / kSide;
  A sums[kSums][kSums] = {};
  for (int64_t k0 = 0; k0 < k; k0 += kStep) {
    for (int i = static_cast<int>(threadIdx.x); i < kTile * kStep; i += kSide * kSide) {
      // Neighbouring threads read along whichever axis is contiguous.
      const int ak = s.a_col == 1 ? i % kStep : i / kTile,
                am = s.a_col == 1 ? i / kStep : i % kTile;
      const int bk = s.b_row == 1 ? i % kStep : i / kTile,
                bn = s.b_row == 1 ? i / kStep : i % kTile;
      const bool a_inside = row0 + am < m && k0 + ak < k, b_inside = k0 + bk < k && col0 + bn < n;
      a_tile[ak][am] = a_inside ? gpu::load(a[(row0 + am) * s.a_row + (k0 + ak) * s.a_col]) : A(0);
      b_tile[bk][bn] = b_inside ? gpu::load(b[(k0 + bk) * s.b_row + (col0 + bn) * s.b_col]) : A(0);
    }
    __syncthreads();
    for (int i = 0; i < kStep; ++i) {
      A left[kSums], right[kSums];
      GPU_UNROLL
      for (int j = 0; j < kSums; ++j) {
        left[j] = a_tile[i][ty + j * kSide];
        right[j] = b_tile[i][tx + j * kSide];
      }
      GPU_UNROLL
      for (int x = 0; x < kSums; ++x) GPU_UNROLL
      for (int y = 0; y < kSums; ++y) sums[x][y] += left[x] * right[y];
    }
    __syncthreads();
  }
  GPU_UNROLL
  for (int x = 0; x < kSums; ++x) GPU_UNROLL
  for (int y = 0; y < kSums; ++y) {
    const int64_t row = row0 + ty + x * kSide, col = col0 + tx + y * kSide;
    if (row >= m || col >= n) continue;
    const int64_t at = row * s.c_row + col;
    gpu::store(c[at], add ? static_cast<A>(gpu::load(add[at])) + sums[x][y] : sums[x][y]);
  }
}

template <class T, class C>
void run(const Gemm& g, const Context& context) {
  const dim3 grid(static_cast<unsigned>((g.n + kTile - 1) / kTile),
                  static_cast<unsigned>((g.m + kTile - 1) / kTile), static_cast<unsigned>(g.batch));
  HRM_CHECK(grid.y <= 65535 && grid.z <= 65535,
            "[gemm] too many rows or batches for one launch: ", g.m, " rows, ", g.batch,
            " batches");
  const Strides s{g.a_row, g.a_col, g.a_batch, g.b_row, g.b_col, g.b_batch, g.c_row, g.c_batch};
  const void* add = g.beta == 0 ? nullptr : (g.add ? g.add : g.c);
  gpu::launch<gemm_kernel<T, C>>(grid, dim3(kSide * kSide), 0, context, static_cast<C*>(g.c),
                                 static_cast<const T*>(g.a), static_cast<const T*>(g.b),
                                 static_cast<const C*>(add), g.m, g.n, g.k, s);
}

}  // namespace

void gemm_reference(const Gemm& g, const Context& context) {
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  visit_float(g.type, [&]<class T>() {
    if (g.c_type == g.type) return run<T, T>(g, context);
    HRM_CHECK(g.type == DType::bf16 && g.c_type == DType::f32,
              "[gemm] C must have the operands' dtype, or f32 for bf16, got ", g.c_type);
    if constexpr (std::is_same_v<T, bfloat16>) run<T, float>(g, context);
  });
}

#ifndef HRM_CUBLASLT
void gemm(const Gemm& g, const Context& context) { gemm_reference(g, context); }
void set_tf32(bool) {}
void set_gemm_tuning(bool) {}
std::string gemm_plans() { return ""; }
bool load_gemm_plans(const std::string&) { return false; }
GemmTuning tune_gemm(const Gemm&, int, int) { return {}; }
#endif

}  // namespace hrm::cuda
