// Attention in bf16 by tensor-core products of 16 x 16 (A) and 16 x 8 (B) blocks. No row of scores
// leaves its warp: the accumulators of one product, rounded, are the A of the next.
//
// Forward, short sequences: a block takes a whole head. Forward, long ones: it takes some queries
// of a head and walks over tiles of keys with a running maximum and sum. Backward, short sequences:
// a block takes a whole head; its warps first own queries (dq), leave P and dS in shared memory and
// then own keys (dk, dv). Backward, long sequences: one kernel, run twice: its warps own queries
// and walk over keys (dq, and what the second run needs of every row), then own keys and walk over
// queries (dk, dv). Nothing is summed across blocks.
#include <cmath>

#include "kernels/cuda/attention_mma.h"
#include "kernels/cuda/gpu.h"
#include "kernels/cuda/runtime.h"

namespace hrm::cuda {
namespace {

constexpr int64_t kMaxSeq = 1024, kMaxGrid = 65535;
constexpr int kSlots = 3;           // tiles in shared memory: one in use, two on their way
constexpr int kRotateInside = 128;  // longer sequences are rotated once, by a kernel of their own
constexpr int kShort = 96;          // longest sequence of which a head is one block's
constexpr size_t kMostShared = 99 << 10;  // bytes of a block on every GPU since sm_80
constexpr int kRotateThreads = 64;

// Tuned for registers: no kernel may spill with as many blocks per SM as it bounds.
constexpr int kForwardWarps = 4;  // of a block, at most
constexpr int kForwardStep = 32;  // keys between updates of the running maximum
HRM_HOST_DEVICE constexpr int backward_warps(int dim) { return dim <= 64 ? 6 : 4; }
HRM_HOST_DEVICE constexpr int backward_step(int dim, bool keys) {
  return dim <= 64 && !keys ? 32 : 16;
}
// 16-row groups of queries per warp of the forward pass; they share what is read of k and v.
HRM_HOST_DEVICE constexpr int groups_of(int dim) { return dim <= 64 ? 2 : 1; }
// Rows that are loaded at a time.
HRM_HOST_DEVICE constexpr int tile_of(int dim) { return dim <= 64 ? 64 : 32; }

// Elements from a row of shared memory to the next: 16 bytes more than the row, so that eight rows
// of an 8 x 8 matrix lie in different banks.
HRM_HOST_DEVICE constexpr int pitch_of(int columns) { return columns + 8; }

// Rows of an operand, one per position.
struct Rows {
  const bfloat16* data;
  int stride;

  __device__ const bfloat16* at(int row) const { return data + static_cast<int64_t>(row) * stride; }
};

struct Problem {
  int seq, queries, heads;  // the forward pass of short sequences computes rows [0, queries)
  const float *cos, *sin;   // null: nothing to rotate
  float scale, exponent;    // of scores; exp(scale x) = exp2(exponent x)
};

// A block works on one head of one batch row: blockIdx is (block of the head, head, batch row).
template <int D>
struct Place {
  int head;       // of all batch rows
  int first_row;  // of the batch row
  int column;

  __device__ explicit Place(const Problem& p)
      : head(static_cast<int>(blockIdx.z * gridDim.y + blockIdx.y)),
        first_row(static_cast<int>(blockIdx.z) * p.seq),
        column(static_cast<int>(blockIdx.y) * D) {}
  __device__ Rows of(Rows all) const { return {all.at(first_row) + column, all.stride}; }
};
// The first of this warp's rows.
__device__ int first_row_of_warp(int rows) {
  return (static_cast<int>(blockIdx.x * blockDim.x) / gpu::kWarp + gpu::warp()) * rows;
}

__device__ int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

// Rotary embedding -------------------------------------------------------------------------------

// Rotates eight elements of a row's first half, x, with their partners in the second, y. cos and
// sin: the tables at x.
__device__ void rotate(gpu::Pack<bfloat16>& x, gpu::Pack<bfloat16>& y, const float* cos,
                       const float* sin, int half) {
  GPU_UNROLL
  for (int part = 0; part < 2; ++part) {
    gpu::Pack<float> cx, cy, sx, sy;
    cx.read(cos + 4 * part);
    cy.read(cos + half + 4 * part);
    sx.read(sin + 4 * part);
    sy.read(sin + half + 4 * part);
    GPU_UNROLL
    for (int i = 0; i < 4; ++i) {
      const float a = x.v[4 * part + i], b = y.v[4 * part + i];
      x.v[4 * part + i] = a * cx.v[i] - b * sx.v[i];
      y.v[4 * part + i] = b * cy.v[i] + a * sy.v[i];
    }
  }
}

// All q and k of a projection, rotated: to [rows, 2 heads dim]. A block per row.
__global__ void __launch_bounds__(kRotateThreads)
    rotate_kernel(bfloat16* to, const bfloat16* qkv, const float* cos, const float* sin, int seq,
                  int heads, int dim) {
  const int64_t row = blockIdx.x, position = row % seq * dim, width = heads * dim;
  const int half = dim / 2, packs = half / 8;
  for (int i = static_cast<int>(threadIdx.x); i < 2 * heads * packs; i += kRotateThreads) {
    const int column = i % packs * 8, at = i / packs * dim + column;
    gpu::Pack<bfloat16> x, y;
    x.read(qkv + row * 3 * width + at);
    y.read(qkv + row * 3 * width + at + half);
    rotate(x, y, cos + position + column, sin + position + column, half);
    x.write(to + row * 2 * width + at);
    y.write(to + row * 2 * width + at + half);
  }
}

struct Pair {
  float x, y;
  __device__ explicit Pair(const float* p) {
    const uint2 raw = *reinterpret_cast<const uint2*>(p);
    x = __uint_as_float(raw.x);
    y = __uint_as_float(raw.y);
  }
};

// Rotates rows in A fragments (those of load_rows), rounding once.
template <int D>
__device__ void rotate(unsigned (&a)[D / 16][4], const Problem& p, int row0) {
  GPU_UNROLL
  for (int r = 0; r < 2; ++r) {
    const int row = row0 + gpu::lane() / 4 + 8 * r;
    if (row >= p.seq) continue;
    GPU_UNROLL
    for (int j = 0; j < D / 16; ++j) {
      const int k = j + D / 16;  // the partner's block of 8 columns
      unsigned &low = a[j / 2][j % 2 * 2 + r], &high = a[k / 2][k % 2 * 2 + r];
      const int64_t at = row * D + 8 * j + gpu::lane() % 4 * 2;
      const Pair cx(p.cos + at), cy(p.cos + at + D / 2), sx(p.sin + at), sy(p.sin + at + D / 2);
      const float x0 = gpu::low_bf16(low), x1 = gpu::high_bf16(low);
      const float y0 = gpu::low_bf16(high), y1 = gpu::high_bf16(high);
      low = gpu::pack_bf16(x0 * cx.x - y0 * sx.x, x1 * cx.y - y1 * sx.y);
      high = gpu::pack_bf16(y0 * cy.x + x0 * sy.x, y1 * cy.y + x1 * sy.y);
    }
  }
}

// Rotates gradients in accumulators back.
template <int D>
__device__ void rotate_back(float (&sums)[D / 8][4], const Problem& p, int row0) {
  GPU_UNROLL
  for (int r = 0; r < 2; ++r) {
    const int row = row0 + gpu::lane() / 4 + 8 * r;
    if (row >= p.seq) continue;
    GPU_UNROLL
    for (int j = 0; j < D / 16; ++j) {
      const int64_t at = row * D + 8 * j + gpu::lane() % 4 * 2;
      const Pair cx(p.cos + at), cy(p.cos + at + D / 2), sx(p.sin + at), sy(p.sin + at + D / 2);
      float *x = sums[j] + 2 * r, *y = sums[j + D / 16] + 2 * r;
      const float x0 = x[0], x1 = x[1], y0 = y[0], y1 = y[1];
      x[0] = x0 * cx.x + y0 * sy.x;
      x[1] = x1 * cx.y + y1 * sy.y;
      y[0] = y0 * cy.x - x0 * sx.x;
      y[1] = y1 * cy.y - x1 * sx.y;
    }
  }
}

// Rows between global memory, shared memory and fragments ----------------------------------------

// Starts copying rows first.. of two operands of the head to `count` rows of shared memory each;
// zeros from seq on. A thread copies what it may have to rotate: eight elements and their partners.
template <int D>
__device__ void copy_rows(bfloat16* to1, bfloat16* to2, Rows from1, Rows from2, int first,
                          int count, int seq) {
  constexpr int packs = D / 16;
  for (int i = static_cast<int>(threadIdx.x); i < count * packs;
       i += static_cast<int>(blockDim.x)) {
    const int row = i / packs, column = i % packs * 8, at = row * pitch_of(D) + column;
    const bool valid = first + row < seq;
    const bfloat16* source1 = from1.at(valid ? first + row : 0) + column;
    const bfloat16* source2 = from2.at(valid ? first + row : 0) + column;
    gpu::cp_async_16(to1 + at, source1, valid);
    gpu::cp_async_16(to1 + at + D / 2, source1 + D / 2, valid);
    gpu::cp_async_16(to2 + at, source2, valid);
    gpu::cp_async_16(to2 + at + D / 2, source2 + D / 2, valid);
  }
}
// Rotates what this thread copied, once it is there.
template <int D>
__device__ void rotate_copied(bfloat16* rows, const Problem& p, int first, int count) {
  constexpr int packs = D / 16;
  for (int i = static_cast<int>(threadIdx.x); i < count * packs;
       i += static_cast<int>(blockDim.x)) {
    const int row = i / packs, column = i % packs * 8;
    if (first + row >= p.seq) continue;
    bfloat16* at = rows + row * pitch_of(D) + column;
    const int64_t table = (first + row) * D + column;
    gpu::Pack<bfloat16> x, y;
    x.read(at);
    y.read(at + D / 2);
    rotate(x, y, p.cos + table, p.sin + table, D / 2);
    x.write(at);
    y.write(at + D / 2);
  }
}

// Rows row0..row0 + 15 as A fragments; zeros from seq on. Two lanes exchange halves of what they
// read, so that a row's 32 bytes are read together; store_rows does the same.
template <int D>
__device__ void load_rows(unsigned (&a)[D / 16][4], Rows from, int row0, int seq) {
  const int t = gpu::lane() % 4;
  const bool odd = t % 2;
  GPU_UNROLL
  for (int k = 0; k < D / 16; ++k) {
    GPU_UNROLL
    for (int r = 0; r < 2; ++r) {
      const int row = row0 + gpu::lane() / 4 + 8 * r;
      uint2 two{0, 0};
      if (row < seq)
        two = *reinterpret_cast<const uint2*>(from.at(row) + 16 * k + (odd ? 2 * t + 6 : 2 * t));
      const unsigned other = __shfl_xor_sync(gpu::kAllLanes, odd ? two.x : two.y, 1);
      a[k][r] = odd ? other : two.x;
      a[k][2 + r] = odd ? two.y : other;
    }
  }
}
// Accumulators to rows row0.. up to seq.
template <int D>
__device__ void store_rows(bfloat16* to, int stride, const float (&sums)[D / 8][4], int row0,
                           int seq) {
  const int t = gpu::lane() % 4;
  const bool odd = t % 2;
  GPU_UNROLL
  for (int k = 0; k < D / 16; ++k) {
    GPU_UNROLL
    for (int r = 0; r < 2; ++r) {
      const int row = row0 + gpu::lane() / 4 + 8 * r;
      const float *x = sums[2 * k] + 2 * r, *y = sums[2 * k + 1] + 2 * r;
      const unsigned low = gpu::pack_bf16(x[0], x[1]), high = gpu::pack_bf16(y[0], y[1]);
      const unsigned other = __shfl_xor_sync(gpu::kAllLanes, odd ? low : high, 1);
      if (row < seq)
        *reinterpret_cast<uint2*>(to + static_cast<int64_t>(row) * stride + 16 * k +
                                  (odd ? 2 * t + 6 : 2 * t)) =
            odd ? uint2{other, high} : uint2{low, other};
    }
  }
}

// Fragments of a 16 x 16 block in shared memory. As A:
__device__ void load_a(unsigned (&a)[4], const bfloat16* block, int pitch) {
  gpu::ldmatrix_x4(a, block + gpu::lane() % 16 * pitch + gpu::lane() / 16 * 8);
}
// The transpose as A:
__device__ void load_a_transposed(unsigned (&a)[4], const bfloat16* block, int pitch) {
  const int l = gpu::lane();
  gpu::ldmatrix_x4<true>(a, block + (l % 8 + l / 16 * 8) * pitch + l / 8 % 2 * 8);
}
// As two B, its columns 0-7 in b[0], b[1] and 8-15 in b[2], b[3]:
__device__ void load_b(unsigned (&b)[4], const bfloat16* block, int pitch) {
  gpu::ldmatrix_x4<true>(b, block + gpu::lane() % 16 * pitch + gpu::lane() / 16 * 8);
}
// The transpose as two B:
__device__ void load_b_transposed(unsigned (&b)[4], const bfloat16* block, int pitch) {
  const int l = gpu::lane();
  gpu::ldmatrix_x4(b, block + (l % 8 + l / 16 * 8) * pitch + l / 8 % 2 * 8);
}
__device__ void multiply(float (&left)[4], float (&right)[4], const unsigned (&a)[4],
                         const unsigned (&b)[4]) {
  gpu::mma_bf16(left, a, b[0], b[1]);
  gpu::mma_bf16(right, a, b[2], b[3]);
}
// sums += a times 16 rows of shared memory.
template <int D>
__device__ void multiply_rows(float (&sums)[D / 8][4], const unsigned (&a)[4],
                              const bfloat16* rows) {
  GPU_UNROLL
  for (int k = 0; k < D / 16; ++k) {
    unsigned b[4];
    load_b(b, rows + 16 * k, pitch_of(D));
    multiply(sums[2 * k], sums[2 * k + 1], a, b);
  }
}
// Accumulators of 16 x 16, rounded, as A.
__device__ void as_a(unsigned (&a)[4], const float (&left)[4], const float (&right)[4]) {
  a[0] = gpu::pack_bf16(left[0], left[1]);
  a[1] = gpu::pack_bf16(left[2], left[3]);
  a[2] = gpu::pack_bf16(right[0], right[1]);
  a[3] = gpu::pack_bf16(right[2], right[3]);
}

// For the forward pass of long sequences. With gpu::exp2_approx it needs more registers than three
// blocks on an SM leave it, although it has fewer instructions.
__device__ float exp2_precise(float x) { return exp2f(x); }

// Over the four lanes that share rows of an accumulator.
__device__ float row_sum(float v) {
  v += __shfl_xor_sync(gpu::kAllLanes, v, 1);
  return v + __shfl_xor_sync(gpu::kAllLanes, v, 2);
}
__device__ float row_max(float v) {
  v = fmaxf(v, __shfl_xor_sync(gpu::kAllLanes, v, 1));
  return fmaxf(v, __shfl_xor_sync(gpu::kAllLanes, v, 2));
}

// Waits for the oldest of this thread's copies, two of which are under way unless this is the last.
__device__ void wait_for_tile(bool last) {
  if (last)
    gpu::cp_async_wait<0>();
  else
    gpu::cp_async_wait<1>();
}

// Forward ----------------------------------------------------------------------------------------

// Rows of k (and of v) in shared memory.
template <int D>
HRM_HOST_DEVICE int forward_rows(int seq) {
  const int padded = (seq + 15) / 16 * 16, most = kSlots * tile_of(D);
  return padded < most ? padded : most;
}

// Warps own 16 groups queries each; all walk over the keys.
template <int D>
__global__ void __launch_bounds__(gpu::kWarp* kForwardWarps, D > 96 ? 2 : 3)
    attention_mma_kernel(bfloat16* out, float* stats, Rows all_q, Rows all_k, Rows all_v,
                         Problem p) {
  constexpr int kGroups = groups_of(D), kPitch = pitch_of(D), kTile = tile_of(D);
  constexpr int kBlocks = kForwardStep / 8;
  GPU_DYNAMIC_SHARED(memory);
  const Place<D> place(p);
  const int padded = round_up(p.seq, 16);
  const int capacity = forward_rows<D>(p.seq);
  bfloat16* k_tiles = reinterpret_cast<bfloat16*>(memory);
  bfloat16* v_tiles = k_tiles + capacity * kPitch;
  const int tiles = (p.seq + kTile - 1) / kTile;
  const auto rows_of = [&](int tile) {
    return padded - tile * kTile < kTile ? padded - tile * kTile : kTile;
  };
  const auto load = [&](int tile) {
    const int slot = tile % kSlots * kTile * kPitch;
    copy_rows<D>(k_tiles + slot, v_tiles + slot, place.of(all_k), place.of(all_v), tile * kTile,
                 rows_of(tile), p.seq);
    gpu::cp_async_commit();
  };
  load(0);
  if (tiles > 1) load(1);

  const int row0 = first_row_of_warp(16 * kGroups);
  unsigned queries[kGroups][D / 16][4];
  GPU_UNROLL
  for (int m = 0; m < kGroups; ++m) {
    load_rows<D>(queries[m], place.of(all_q), row0 + 16 * m, p.seq);
    if (p.cos) rotate<D>(queries[m], p, row0 + 16 * m);
  }
  // Of rows g and g + 8 of each group; a lane's share of the sums.
  float largest[kGroups][2], total[kGroups][2], sums[kGroups][D / 8][4] = {};
  GPU_UNROLL
  for (int m = 0; m < kGroups; ++m) {
    largest[m][0] = largest[m][1] = -INFINITY;
    total[m][0] = total[m][1] = 0;
  }

  for (int tile = 0; tile < tiles; ++tile) {
    const bool last = tile == tiles - 1;
    const int rows = rows_of(tile);
    bfloat16* keys = k_tiles + tile % kSlots * kTile * kPitch;
    const bfloat16* values = v_tiles + tile % kSlots * kTile * kPitch;
    wait_for_tile(last);
    if (p.cos) rotate_copied<D>(keys, p, tile * kTile, rows);
    // Everybody sees this tile and has done with the one before, whose slot is the next to fill.
    __syncthreads();
    if (tile + 2 < tiles) load(tile + 2);
    if (row0 >= p.seq) continue;

    for (int c0 = 0; c0 < rows; c0 += kForwardStep) {
      float scores[kGroups][kBlocks][4] = {};
      GPU_UNROLL
      for (int c = 0; c < kForwardStep / 16; ++c) {
        if (c0 + 16 * c >= rows) continue;
        GPU_UNROLL
        for (int i = 0; i < D / 16; ++i) {
          unsigned b[4];
          load_b_transposed(b, keys + (c0 + 16 * c) * kPitch + 16 * i, kPitch);
          GPU_UNROLL
          for (int m = 0; m < kGroups; ++m)
            multiply(scores[m][2 * c], scores[m][2 * c + 1], queries[m][i], b);
        }
      }
      if (last) {
        const int valid = p.seq - tile * kTile - c0 - gpu::lane() % 4 * 2;
        GPU_UNROLL
        for (int m = 0; m < kGroups; ++m) {
          GPU_UNROLL
          for (int j = 0; j < kBlocks; ++j) {
            GPU_UNROLL
            for (int e = 0; e < 4; ++e)
              if (8 * j + e % 2 >= valid) scores[m][j][e] = -INFINITY;
          }
        }
      }
      GPU_UNROLL
      for (int m = 0; m < kGroups; ++m) {
        GPU_UNROLL
        for (int r = 0; r < 2; ++r) {
          float now = largest[m][r];
          GPU_UNROLL
          for (int j = 0; j < kBlocks; ++j)
            now = fmaxf(now, fmaxf(scores[m][j][2 * r], scores[m][j][2 * r + 1]));
          now = row_max(now);
          const float shrink = exp2_precise((largest[m][r] - now) * p.exponent);
          largest[m][r] = now;
          total[m][r] *= shrink;
          GPU_UNROLL
          for (int j = 0; j < D / 8; ++j) {
            sums[m][j][2 * r] *= shrink;
            sums[m][j][2 * r + 1] *= shrink;
          }
          GPU_UNROLL
          for (int j = 0; j < kBlocks; ++j) {
            GPU_UNROLL
            for (int e = 2 * r; e < 2 * r + 2; ++e) {
              scores[m][j][e] = exp2_precise((scores[m][j][e] - now) * p.exponent);
              total[m][r] += scores[m][j][e];
            }
          }
        }
      }
      GPU_UNROLL
      for (int c = 0; c < kForwardStep / 16; ++c) {
        if (c0 + 16 * c >= rows) continue;
        unsigned weights[kGroups][4];
        GPU_UNROLL
        for (int m = 0; m < kGroups; ++m) as_a(weights[m], scores[m][2 * c], scores[m][2 * c + 1]);
        GPU_UNROLL
        for (int i = 0; i < D / 16; ++i) {
          unsigned b[4];
          load_b(b, values + (c0 + 16 * c) * kPitch + 16 * i, kPitch);
          GPU_UNROLL
          for (int m = 0; m < kGroups; ++m)
            multiply(sums[m][2 * i], sums[m][2 * i + 1], weights[m], b);
        }
      }
    }
  }

  if (row0 >= p.seq) return;
  const int width = p.heads * D;
  out += static_cast<int64_t>(place.first_row) * width + place.column;
  GPU_UNROLL
  for (int m = 0; m < kGroups; ++m) {
    GPU_UNROLL
    for (int r = 0; r < 2; ++r) {
      const int row = row0 + 16 * m + gpu::lane() / 4 + 8 * r, t = gpu::lane() % 4;
      const float all = row_sum(total[m][r]), inverse = 1.0f / all;
      GPU_UNROLL
      for (int j = 0; j < D / 8; ++j) {
        sums[m][j][2 * r] *= inverse;
        sums[m][j][2 * r + 1] *= inverse;
      }
      if (row < p.seq && t < 2)
        stats[(static_cast<int64_t>(place.head) * p.seq + row) * 2 + t] =
            t == 0 ? largest[m][r] : all;
    }
    store_rows<D>(out, width, sums[m], row0 + 16 * m, p.seq);
  }
}

// A head per block, 16 queries per warp. All scores of a warp's queries are in registers at once,
// so that the maximum is known before the first exponential.
template <int D>
__global__ void __launch_bounds__(2 * kShort, D <= 64 ? 3 : 2)
    attention_mma_short_kernel(bfloat16* out, float* stats, Rows all_q, Rows all_k, Rows all_v,
                               Problem p) {
  constexpr int kPitch = pitch_of(D), kChunks = kShort / 16;
  GPU_DYNAMIC_SHARED(memory);
  const Place<D> place(p);
  const int rows = round_up(p.seq, 16), chunks = rows / 16;
  bfloat16* k = reinterpret_cast<bfloat16*>(memory);
  bfloat16* v = k + rows * kPitch;
  copy_rows<D>(k, v, place.of(all_k), place.of(all_v), 0, rows, p.seq);
  gpu::cp_async_commit();
  const int row0 = 16 * gpu::warp(), t = gpu::lane() % 4;
  unsigned queries[D / 16][4];
  load_rows<D>(queries, place.of(all_q), row0, p.queries);
  if (p.cos) rotate<D>(queries, p, row0);
  gpu::cp_async_wait<0>();
  if (p.cos) rotate_copied<D>(k, p, 0, rows);
  __syncthreads();

  float scores[2 * kChunks][4] = {};
  GPU_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    if (c >= chunks) continue;
    GPU_UNROLL
    for (int i = 0; i < D / 16; ++i) {
      unsigned b[4];
      load_b_transposed(b, k + 16 * c * kPitch + 16 * i, kPitch);
      multiply(scores[2 * c], scores[2 * c + 1], queries[i], b);
    }
  }
  // Of rows g and g + 8; a lane's share of the sums.
  float largest[2] = {-INFINITY, -INFINITY}, total[2] = {};
  GPU_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    if (c >= chunks) continue;
    const bool whole = 16 * (c + 1) <= p.seq;
    GPU_UNROLL
    for (int j = 2 * c; j < 2 * c + 2; ++j) {
      GPU_UNROLL
      for (int e = 0; e < 4; ++e) {
        if (!whole && 8 * j + 2 * t + e % 2 >= p.seq) scores[j][e] = -INFINITY;
        largest[e / 2] = fmaxf(largest[e / 2], scores[j][e]);
      }
    }
  }
  largest[0] = row_max(largest[0]);
  largest[1] = row_max(largest[1]);
  const float offset[2] = {largest[0] * p.exponent, largest[1] * p.exponent};
  float sums[D / 8][4] = {};
  GPU_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    if (c >= chunks) continue;
    GPU_UNROLL
    for (int j = 2 * c; j < 2 * c + 2; ++j) {
      GPU_UNROLL
      for (int e = 0; e < 4; ++e) {
        scores[j][e] = gpu::exp2_approx(scores[j][e] * p.exponent - offset[e / 2]);
        total[e / 2] += scores[j][e];
      }
    }
    unsigned weights[4];
    as_a(weights, scores[2 * c], scores[2 * c + 1]);
    multiply_rows<D>(sums, weights, v + 16 * c * kPitch);
  }

  // As above; the kernel for long sequences spills registers if the two share a function.
  GPU_UNROLL
  for (int r = 0; r < 2; ++r) {
    const int row = row0 + gpu::lane() / 4 + 8 * r;
    const float all = row_sum(total[r]), inverse = 1.0f / all;
    GPU_UNROLL
    for (int j = 0; j < D / 8; ++j) {
      sums[j][2 * r] *= inverse;
      sums[j][2 * r + 1] *= inverse;
    }
    if (row < p.queries && t < 2)
      stats[(static_cast<int64_t>(place.head) * p.seq + row) * 2 + t] = t == 0 ? largest[r] : all;
  }
  const int width = p.heads * D;
  store_rows<D>(out + static_cast<int64_t>(place.first_row) * width + place.column, width, sums,
                row0, p.queries);
}

// Backward ---------------------------------------------------------------------------------------

// Of a row of scores: its maximum, the inverse of its sum, sum(p dp). Of rows beyond the sequence
// all 0, which makes their probabilities 0.
struct RowStats {
  float largest, inverse, mean;
};

__device__ RowStats row_stats(const float* stats, int head, int row, int seq) {
  if (row >= seq) return {0, 0, 0};
  const float* at = stats + (static_cast<int64_t>(head) * seq + row) * 2;
  return {at[0], 1.0f / at[1], 0};
}

struct Gradients {
  bfloat16 *dq, *dk, *dv;  // rows of 3 heads head_dim
};

// Writes the gradient of rows row0.. of q or k (rotated back), or of v.
template <int D, bool rotated>
__device__ void store_gradient(bfloat16* to, float (&sums)[D / 8][4], const Place<D>& place,
                               const Problem& p, int row0) {
  const int stride = 3 * p.heads * D;
  if constexpr (rotated)
    if (p.cos) rotate_back<D>(sums, p, row0);
  store_rows<D>(to + static_cast<int64_t>(place.first_row) * stride + place.column, stride, sums,
                row0, p.seq);
}

// Shared memory of the kernel below for `rows` rows: q and dout; k and v, and later in their place
// P and dS.
template <int D>
size_t short_bytes(int rows) {
  const int wide = D > rows ? D : rows;
  return 2 * sizeof(bfloat16) * static_cast<size_t>(rows * (pitch_of(D) + pitch_of(wide)));
}

// A head per block, 16 rows per warp. All scores of a warp's queries are in registers at once.
template <int D>
__global__ void __launch_bounds__(2 * kShort, 2)
    attention_mma_short_backward_kernel(Gradients to, Rows all_dout, const float* stats, Rows all_q,
                                        Rows all_k, Rows all_v, Problem p) {
  constexpr int kPitch = pitch_of(D), kChunks = kShort / 16;
  GPU_DYNAMIC_SHARED(memory);
  const Place<D> place(p);
  const int rows = round_up(p.seq, 16), chunks = rows / 16;
  bfloat16* q = reinterpret_cast<bfloat16*>(memory);
  bfloat16* dout = q + rows * kPitch;
  bfloat16* k = dout + rows * kPitch;
  bfloat16* v = k + rows * kPitch;
  copy_rows<D>(q, k, place.of(all_q), place.of(all_k), 0, rows, p.seq);
  copy_rows<D>(dout, v, place.of(all_dout), place.of(all_v), 0, rows, p.seq);
  gpu::cp_async_commit();
  const int row0 = 16 * gpu::warp(), g = gpu::lane() / 4, t = gpu::lane() % 4;
  const RowStats of_rows[2] = {row_stats(stats, place.head, row0 + g, p.seq),
                               row_stats(stats, place.head, row0 + g + 8, p.seq)};
  gpu::cp_async_wait<0>();
  if (p.cos) {
    rotate_copied<D>(q, p, 0, rows);
    rotate_copied<D>(k, p, 0, rows);
  }
  __syncthreads();

  // The warp's queries: scores and dp of all keys, then P and dS in their place.
  float x[2 * kChunks][4] = {}, y[2 * kChunks][4] = {};
  GPU_UNROLL
  for (int i = 0; i < D / 16; ++i) {
    unsigned query[4], gradient[4];
    load_a(query, q + row0 * kPitch + 16 * i, kPitch);
    load_a(gradient, dout + row0 * kPitch + 16 * i, kPitch);
    GPU_UNROLL
    for (int c = 0; c < kChunks; ++c) {
      if (c >= chunks) continue;
      unsigned b[4];
      load_b_transposed(b, k + 16 * c * kPitch + 16 * i, kPitch);
      multiply(x[2 * c], x[2 * c + 1], query, b);
      load_b_transposed(b, v + 16 * c * kPitch + 16 * i, kPitch);
      multiply(y[2 * c], y[2 * c + 1], gradient, b);
    }
  }
  GPU_UNROLL
  for (int r = 0; r < 2; ++r) {
    float mean = 0;
    GPU_UNROLL
    for (int j = 0; j < 2 * kChunks; ++j) {
      GPU_UNROLL
      for (int e = 2 * r; e < 2 * r + 2; ++e) {
        const float weight =
            gpu::exp2_approx((x[j][e] - of_rows[r].largest) * p.exponent) * of_rows[r].inverse;
        x[j][e] = 8 * j + 2 * t + e % 2 < p.seq ? weight : 0.0f;
        mean += x[j][e] * y[j][e];
      }
    }
    mean = row_sum(mean);
    GPU_UNROLL
    for (int j = 0; j < 2 * kChunks; ++j) {
      GPU_UNROLL
      for (int e = 2 * r; e < 2 * r + 2; ++e) y[j][e] = x[j][e] * (y[j][e] - mean) * p.scale;
    }
  }
  unsigned weights[kChunks][4], ds[kChunks][4];
  float sums[D / 8][4] = {};
  GPU_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    as_a(weights[c], x[2 * c], x[2 * c + 1]);
    as_a(ds[c], y[2 * c], y[2 * c + 1]);
    if (c < chunks) multiply_rows<D>(sums, ds[c], k + 16 * c * kPitch);
  }
  store_gradient<D, true>(to.dq, sums, place, p, row0);

  // k and v are done with; P and dS [query][key] come in their place.
  const int pitch = pitch_of(rows);
  bfloat16* all_weights = k;
  bfloat16* all_ds = k + rows * pitch;
  __syncthreads();
  GPU_UNROLL
  for (int c = 0; c < kChunks; ++c) {
    if (c >= chunks) continue;
    GPU_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int at = (row0 + g + i % 2 * 8) * pitch + 16 * c + i / 2 * 8 + 2 * t;
      *reinterpret_cast<unsigned*>(all_weights + at) = weights[c][i];
      *reinterpret_cast<unsigned*>(all_ds + at) = ds[c][i];
    }
  }
  __syncthreads();

  // The warp's keys: dk = dS' q, dv = P' dout; one after the other, for want of registers.
  const auto sum_over_queries = [&](float(&of)[D / 8][4], const bfloat16* a, const bfloat16* b) {
    GPU_UNROLL
    for (int j = 0; j < D / 8; ++j) of[j][0] = of[j][1] = of[j][2] = of[j][3] = 0;
    for (int c = 0; c < chunks; ++c) {
      unsigned left[4];
      load_a_transposed(left, a + 16 * c * pitch + row0, pitch);
      multiply_rows<D>(of, left, b + 16 * c * kPitch);
    }
  };
  sum_over_queries(sums, all_ds, q);
  store_gradient<D, true>(to.dk, sums, place, p, row0);
  sum_over_queries(sums, all_weights, dout);
  store_gradient<D, false>(to.dv, sums, place, p, row0);
}

// Shared memory of the kernel below: the tiles, and what is known of each row of scores.
template <int D>
constexpr size_t long_bytes() {
  return kSlots * tile_of(D) * (2 * sizeof(bfloat16) * pitch_of(D) + sizeof(uint4));
}

// A warp owns 16 rows; q and k are rotated already. !keys: of queries, and it walks over the keys
// twice, for the means and for dq. keys: of keys, and it walks over the queries. rows: [head][seq]
// of RowStats, written by the first, read by the second.
template <int D, bool keys>
__global__ void __launch_bounds__(gpu::kWarp* backward_warps(D), 2)
    attention_mma_backward_kernel(Gradients to, uint4* rows, Rows all_dout, const float* stats,
                                  Rows all_q, Rows all_k, Rows all_v, Problem p) {
  constexpr int kPitch = pitch_of(D), kTile = tile_of(D), kStep = backward_step(D, keys);
  GPU_DYNAMIC_SHARED(memory);
  const Place<D> place(p);
  // The scores, or their transpose, are own_for_scores walked_for_scores'; dp is own_for_dp
  // walked_for_dp'.
  const Rows walked_for_scores = place.of(keys ? all_q : all_k),
             walked_for_dp = place.of(keys ? all_dout : all_v);
  const Rows own_for_scores = place.of(keys ? all_k : all_q),
             own_for_dp = place.of(keys ? all_v : all_dout);
  rows += static_cast<int64_t>(place.head) * p.seq;
  bfloat16* score_tiles = reinterpret_cast<bfloat16*>(memory);
  bfloat16* dp_tiles = score_tiles + kSlots * kTile * kPitch;
  uint4* walked_rows = reinterpret_cast<uint4*>(dp_tiles + kSlots * kTile * kPitch);
  const int tiles = (p.seq + kTile - 1) / kTile, visits = keys ? tiles : 2 * tiles;
  const auto first_of = [&](int visit) {
    return (keys || visit < tiles ? visit : visit - tiles) * kTile;
  };
  const auto load = [&](int visit) {
    const int first = first_of(visit), slot = visit % kSlots * kTile;
    copy_rows<D>(score_tiles + slot * kPitch, dp_tiles + slot * kPitch, walked_for_scores,
                 walked_for_dp, first, kTile, p.seq);
    if constexpr (keys) {
      for (int i = static_cast<int>(threadIdx.x); i < kTile; i += static_cast<int>(blockDim.x)) {
        const bool valid = first + i < p.seq;
        gpu::cp_async_16(walked_rows + slot + i, rows + (valid ? first + i : 0), valid);
      }
    }
    gpu::cp_async_commit();
  };
  load(0);
  if (visits > 1) load(1);

  const int row0 = first_row_of_warp(16), g = gpu::lane() / 4, t = gpu::lane() % 4;
  unsigned score_a[D / 16][4], dp_a[D / 16][4];
  load_rows<D>(score_a, own_for_scores, row0, p.seq);
  load_rows<D>(dp_a, own_for_dp, row0, p.seq);
  RowStats own_rows[2] = {};
  if constexpr (!keys) {
    own_rows[0] = row_stats(stats, place.head, row0 + g, p.seq);
    own_rows[1] = row_stats(stats, place.head, row0 + g + 8, p.seq);
  }
  float dq_or_dk[D / 8][4] = {}, dv[keys ? D / 8 : 1][4] = {};

  for (int visit = 0; visit < visits; ++visit) {
    wait_for_tile(visit == visits - 1);
    // Everybody sees this tile and has done with the one before, whose slot is the next to fill.
    __syncthreads();
    if (visit + 2 < visits) load(visit + 2);
    if (row0 >= p.seq) continue;
    const int slot = visit % kSlots * kTile, left = p.seq - first_of(visit);
    const int end = left < kTile ? left : kTile;
    for (int c = 0; c < end; c += kStep) {
      const bfloat16* score_block = score_tiles + (slot + c) * kPitch;
      const bfloat16* dp_block = dp_tiles + (slot + c) * kPitch;
      float x[kStep / 8][4] = {}, y[kStep / 8][4] = {};
      GPU_UNROLL
      for (int i = 0; i < D / 16; ++i) {
        GPU_UNROLL
        for (int h = 0; h < kStep / 16; ++h) {
          unsigned b[4];
          load_b_transposed(b, score_block + 16 * h * kPitch + 16 * i, kPitch);
          multiply(x[2 * h], x[2 * h + 1], score_a[i], b);
          load_b_transposed(b, dp_block + 16 * h * kPitch + 16 * i, kPitch);
          multiply(y[2 * h], y[2 * h + 1], dp_a[i], b);
        }
      }
      // P in place of x, dS in place of y.
      GPU_UNROLL
      for (int j = 0; j < kStep / 8; ++j) {
        GPU_UNROLL
        for (int e = 0; e < 2; ++e) {
          const int column = c + 8 * j + 2 * t + e;
          RowStats query[2] = {own_rows[0], own_rows[1]};
          if constexpr (keys) {
            const uint4 s = walked_rows[slot + column];
            query[0] =
                query[1] = {__uint_as_float(s.x), __uint_as_float(s.y), __uint_as_float(s.z)};
          }
          GPU_UNROLL
          for (int r = 0; r < 2; ++r) {
            float &score = x[j][2 * r + e], &dp = y[j][2 * r + e];
            score = gpu::exp2_approx((score - query[r].largest) * p.exponent) * query[r].inverse;
            if (!keys && column >= end) score = 0;
            if (!keys && visit < tiles)
              own_rows[r].mean += score * dp;
            else
              dp = score * (dp - query[r].mean) * p.scale;
          }
        }
      }
      if (!keys && visit < tiles) continue;
      GPU_UNROLL
      for (int h = 0; h < kStep / 16; ++h) {
        unsigned a[4];
        as_a(a, y[2 * h], y[2 * h + 1]);
        multiply_rows<D>(dq_or_dk, a, score_block + 16 * h * kPitch);
        if constexpr (keys) {
          as_a(a, x[2 * h], x[2 * h + 1]);
          multiply_rows<D>(dv, a, dp_block + 16 * h * kPitch);
        }
      }
    }
    if (!keys && visit == tiles - 1) {
      GPU_UNROLL
      for (int r = 0; r < 2; ++r) {
        RowStats& s = own_rows[r];
        s.mean = row_sum(s.mean);
        const int row = row0 + g + 8 * r;
        if (t == 0 && row < p.seq)
          rows[row] = uint4{__float_as_uint(s.largest), __float_as_uint(s.inverse),
                            __float_as_uint(s.mean), 0};
      }
    }
  }

  if (row0 >= p.seq) return;
  store_gradient<D, true>(keys ? to.dk : to.dq, dq_or_dk, place, p, row0);
  if constexpr (keys) store_gradient<D, false>(to.dv, dv, place, p, row0);
}

// Host -------------------------------------------------------------------------------------------

template <class F>
void visit_head_dim(int64_t dim, F&& f) {
  switch (dim) {
    case 16:
      return f.template operator()<16>();
    case 32:
      return f.template operator()<32>();
    case 48:
      return f.template operator()<48>();
    case 64:
      return f.template operator()<64>();
    case 80:
      return f.template operator()<80>();
    case 96:
      return f.template operator()<96>();
    case 112:
      return f.template operator()<112>();
    case 128:
      return f.template operator()<128>();
    default:
      break;
  }
}

// The parts of a projection. After rotate() q and k lie in the workspace.
struct Parts {
  Rows q, k, v;

  Parts(const void* qkv, const AttentionShape& shape) {
    const int width = static_cast<int>(shape.heads * shape.head_dim);
    const auto* data = static_cast<const bfloat16*>(qkv);
    q = {data, 3 * width};
    k = {data + width, 3 * width};
    v = {data + 2 * width, 3 * width};
  }
  static size_t rotated_bytes(const AttentionShape& shape) {
    return static_cast<size_t>(shape.batch * shape.seq * 2 * shape.heads * shape.head_dim) *
           sizeof(bfloat16);
  }
  void rotate(void* to, const void* cos, const void* sin, const AttentionShape& shape,
              const Context& context) {
    auto* rotated = static_cast<bfloat16*>(to);
    gpu::launch<rotate_kernel>(dim3(static_cast<unsigned>(shape.batch * shape.seq)),
                               dim3(kRotateThreads), 0, context, rotated, q.data,
                               static_cast<const float*>(cos), static_cast<const float*>(sin),
                               static_cast<int>(shape.seq), static_cast<int>(shape.heads),
                               static_cast<int>(shape.head_dim));
    const int width = static_cast<int>(shape.heads * shape.head_dim);
    q = {rotated, 2 * width};
    k = {rotated + width, 2 * width};
  }
};

Problem problem_of(const AttentionShape& shape, const void* cos, const void* sin) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
  return {static_cast<int>(shape.seq),
          static_cast<int>(shape.asked()),
          static_cast<int>(shape.heads),
          static_cast<const float*>(cos),
          static_cast<const float*>(sin),
          scale,
          scale * gpu::kLog2e};
}

// Splits a sequence into blocks of at most `most` warps, as evenly as possible.
struct Grid {
  int blocks, warps;

  Grid(int64_t seq, int rows_of_warp, int most) {
    const int all = (static_cast<int>(seq) + rows_of_warp - 1) / rows_of_warp;
    blocks = (all + most - 1) / most;
    warps = (all + blocks - 1) / blocks;
  }
  dim3 grid(const AttentionShape& shape) const {
    return dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(shape.heads),
                static_cast<unsigned>(shape.batch));
  }
  dim3 block() const { return dim3(static_cast<unsigned>(warps * gpu::kWarp)); }
};

}  // namespace

bool attention_mma_fits(DType t, const AttentionShape& shape) {
  return t == DType::bf16 && shape.head_dim % 16 == 0 && shape.head_dim >= 16 &&
         shape.head_dim <= 128 && shape.seq >= 1 && shape.seq <= kMaxSeq &&
         shape.heads <= kMaxGrid && shape.batch <= kMaxGrid && shape.dropout.p == 0 &&
         (shape.asked() == shape.seq || shape.seq <= kShort);
}

void attention_mma(void* out, void* stats, const void* qkv, const void* cos, const void* sin,
                   const AttentionShape& shape, const Context& context) {
  Parts parts(qkv, shape);
  Problem problem = problem_of(shape, cos, sin);
  if (cos && shape.seq > kRotateInside) {
    parts.rotate(workspace(Parts::rotated_bytes(shape)), cos, sin, shape, context);
    problem.cos = problem.sin = nullptr;
  }
  visit_head_dim(shape.head_dim, [&]<int D>() {
    const Grid at_once(shape.asked(), 16, kShort / 16);
    if (shape.seq <= kShort)
      return gpu::launch<attention_mma_short_kernel<D>>(
          at_once.grid(shape), at_once.block(),
          2 * sizeof(bfloat16) * static_cast<size_t>((shape.seq + 15) / 16 * 16 * pitch_of(D)),
          context, static_cast<bfloat16*>(out), static_cast<float*>(stats), parts.q, parts.k,
          parts.v, problem);
    const Grid grid(shape.seq, 16 * groups_of(D), kForwardWarps);
    gpu::launch<attention_mma_kernel<D>>(
        grid.grid(shape), grid.block(),
        2 * sizeof(bfloat16) * static_cast<size_t>(forward_rows<D>(problem.seq) * pitch_of(D)),
        context, static_cast<bfloat16*>(out), static_cast<float*>(stats), parts.q, parts.k, parts.v,
        problem);
  });
}

void attention_mma_backward(void* dqkv, const void* dout, const void* stats, const void* qkv,
                            const void* cos, const void* sin, const AttentionShape& shape,
                            const Context& context) {
  Parts parts(qkv, shape);
  Problem problem = problem_of(shape, cos, sin);
  const int width = static_cast<int>(shape.heads * shape.head_dim);
  const Rows gradient{static_cast<const bfloat16*>(dout), width};
  auto* to = static_cast<bfloat16*>(dqkv);
  const Gradients gradients{to, to + width, to + 2 * width};
  const auto* row_stats_of = static_cast<const float*>(stats);
  visit_head_dim(shape.head_dim, [&]<int D>() {
    const Grid at_once(shape.seq, 16, kShort / 16);
    const size_t shared = short_bytes<D>(16 * at_once.warps);
    if (at_once.blocks == 1 && shared <= kMostShared)
      return gpu::launch<attention_mma_short_backward_kernel<D>>(
          at_once.grid(shape), at_once.block(), shared, context, gradients, gradient, row_stats_of,
          parts.q, parts.k, parts.v, problem);
    const size_t row_bytes =
        static_cast<size_t>(shape.batch * shape.heads * shape.seq) * sizeof(uint4);
    auto* memory =
        static_cast<std::byte*>(workspace(row_bytes + (cos ? Parts::rotated_bytes(shape) : 0)));
    if (cos) parts.rotate(memory + row_bytes, cos, sin, shape, context);
    auto* rows = reinterpret_cast<uint4*>(memory);
    const Grid grid(shape.seq, 16, backward_warps(D));
    gpu::launch<attention_mma_backward_kernel<D, false>>(
        grid.grid(shape), grid.block(), long_bytes<D>(), context, gradients, rows, gradient,
        row_stats_of, parts.q, parts.k, parts.v, problem);
    gpu::launch<attention_mma_backward_kernel<D, true>>(
        grid.grid(shape), grid.block(), long_bytes<D>(), context, gradients, rows, gradient,
        row_stats_of, parts.q, parts.k, parts.v, problem);
  });
}

}  // namespace hrm::cuda
