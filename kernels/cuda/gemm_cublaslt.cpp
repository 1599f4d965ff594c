// cuda::gemm over cuBLASLt: a plan (descriptors and algorithm) for every shape, made once. The
// algorithm is the one that load_gemm_plans gave, or the fastest that tuning found, or the first of
// the library's heuristics.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <sstream>
#include <tuple>
#include <vector>

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"

namespace hrm::cuda {
namespace {

// The alignment that cuBLASLt takes for granted where nothing is said; the allocator's.
constexpr int kAlignment = 256;
// Algorithms that are tried for a product, and how often: a large one takes about 50 ms.
constexpr int kTuningMost = 32, kTuningRepeats = 7;

void check(cublasStatus_t status, const char* what) {
  HRM_CHECK(status == CUBLAS_STATUS_SUCCESS, "[gemm] cuBLASLt, ", what, ": ",
            cublasLtGetStatusString(status));
}

cublasLtHandle_t handle() {
  static const cublasLtHandle_t the_handle = [] {
    require_device();
    cublasLtHandle_t made;
    check(cublasLtCreate(&made), "create a handle");
    return made;
  }();
  return the_handle;
}

bool tf32 = false;
bool tuning = false;

// The product as cuBLASLt sees it, columns first: C' [n, m] = op(B') op(A').
struct Shape {
  DType type, c_type;
  int64_t m, n, k, batch;
  int64_t a_ld, b_ld, c_ld, a_batch, b_batch, c_batch;
  bool a_transposed, b_transposed, add, fast;
  int a_align, b_align, c_align;  // bytes, at most kAlignment
  auto tie() const {
    return std::tie(type, c_type, m, n, k, batch, a_ld, b_ld, c_ld, a_batch, b_batch, c_batch,
                    a_transposed, b_transposed, add, fast, a_align, b_align, c_align);
  }
  bool operator<(const Shape& other) const { return tie() < other.tie(); }
  // "bf16 f32 m n k ...": the key in stored plans.
  std::string text() const {
    std::ostringstream out;
    out << type << ' ' << c_type;
    for (const int64_t v : {m, n, k, batch, a_ld, b_ld, c_ld, a_batch, b_batch, c_batch})
      out << ' ' << v;
    out << ' ' << a_transposed << b_transposed << add << fast << ' ' << a_align << ' ' << b_align
        << ' ' << c_align;
    return out.str();
  }
};

int alignment(const void* p) {
  int bytes = kAlignment;
  while (reinterpret_cast<uintptr_t>(p) % static_cast<uintptr_t>(bytes)) bytes /= 2;
  return bytes;
}

Shape shape_of(const Gemm& g) {
  Shape s{};
  s.type = g.type;
  s.c_type = g.c_type;
  s.m = g.m;
  s.n = g.n;
  s.k = g.k;
  s.batch = g.batch;
  s.a_transposed = g.a_col != 1;
  s.b_transposed = g.b_col != 1;
  s.a_ld = s.a_transposed ? g.a_col : g.a_row;
  s.b_ld = s.b_transposed ? g.b_col : g.b_row;
  s.c_ld = g.c_row;
  // A row (column) of one element may have any stride; the library wants a sensible one.
  s.a_ld = std::max(s.a_ld, s.a_transposed ? g.m : g.k);
  s.b_ld = std::max(s.b_ld, s.b_transposed ? g.k : g.n);
  s.c_ld = std::max(s.c_ld, g.n);
  // From one matrix to the next there is no way, where there is only one.
  if (g.batch > 1) {
    s.a_batch = g.a_batch;
    s.b_batch = g.b_batch;
    s.c_batch = g.c_batch;
  }
  s.add = g.beta != 0;
  s.fast = tf32 && g.type == DType::f32;
  s.a_align = alignment(g.a);
  s.b_align = alignment(g.b);
  s.c_align = std::min(alignment(g.c), g.add ? alignment(g.add) : kAlignment);
  return s;
}

cudaDataType_t data_type(DType t) {
  return t == DType::f64 ? CUDA_R_64F : t == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}

struct Plan {
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
  cublasLtMatmulAlgo_t algorithm{};
  bool usable = true;  // false: the library has no algorithm, ours does it
};

std::map<std::string, std::string> stored;  // key of a shape -> algorithm as hexadecimal digits
std::map<Shape, Plan> plans;

std::string to_hex(const cublasLtMatmulAlgo_t& algorithm) {
  std::string text;
  char digits[3];
  for (size_t i = 0; i < sizeof algorithm; ++i) {
    std::snprintf(digits, sizeof digits, "%02x",
                  reinterpret_cast<const unsigned char*>(&algorithm)[i]);
    text += digits;
  }
  return text;
}
bool from_hex(const std::string& text, cublasLtMatmulAlgo_t& algorithm) {
  if (text.size() != 2 * sizeof algorithm) return false;
  for (size_t i = 0; i < sizeof algorithm; ++i) {
    unsigned byte = 0;
    if (std::sscanf(text.c_str() + 2 * i, "%2x", &byte) != 1) return false;
    reinterpret_cast<unsigned char*>(&algorithm)[i] = static_cast<unsigned char>(byte);
  }
  return true;
}

cublasLtMatrixLayout_t layout(DType t, int64_t rows, int64_t cols, int64_t ld, int64_t batch,
                              int64_t stride) {
  cublasLtMatrixLayout_t made;
  check(cublasLtMatrixLayoutCreate(&made, data_type(t), static_cast<uint64_t>(rows),
                                   static_cast<uint64_t>(cols), ld),
        "describe a matrix");
  const auto count = static_cast<int32_t>(batch);
  check(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count,
                                         sizeof count),
        "describe a batch");
  check(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride,
                                         sizeof stride),
        "describe a batch");
  return made;
}

// Candidates for a plan that the library can run, best first by its own estimate.
std::vector<cublasLtMatmulHeuristicResult_t> candidates(const Plan& plan, const Shape& s,
                                                        int count) {
  cublasLtMatmulPreference_t preference;
  check(cublasLtMatmulPreferenceCreate(&preference), "create preferences");
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t what, const auto& value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference, what, &value, sizeof value),
          "set a preference");
  };
  // What splits over k may use; cuBLASLt's default is nothing.
  set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kGemmWorkspace);
  // Partial sums stay in the type of the computation.
  set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, static_cast<uint32_t>(s.b_align));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, static_cast<uint32_t>(s.a_align));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, static_cast<uint32_t>(s.c_align));
  set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, static_cast<uint32_t>(s.c_align));
  std::vector<cublasLtMatmulHeuristicResult_t> found(static_cast<size_t>(count));
  int got = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle(), plan.operation, plan.b, plan.a, plan.c, plan.c,
                                     preference, count, found.data(), &got);
  cublasLtMatmulPreferenceDestroy(preference);
  found.resize(status == CUBLAS_STATUS_SUCCESS ? static_cast<size_t>(got) : 0);
  std::erase_if(found,
                [](const auto& candidate) { return candidate.state != CUBLAS_STATUS_SUCCESS; });
  return found;
}

Plan make_plan(const Shape& s) {
  Plan plan;
  const bool wide = s.type == DType::f64;
  const cublasComputeType_t compute = wide     ? CUBLAS_COMPUTE_64F
                                      : s.fast ? CUBLAS_COMPUTE_32F_FAST_TF32
                                               : CUBLAS_COMPUTE_32F;
  check(cublasLtMatmulDescCreate(&plan.operation, compute, wide ? CUDA_R_64F : CUDA_R_32F),
        "describe a product");
  const auto transpose = [&](cublasLtMatmulDescAttributes_t operand, bool transposed) {
    const cublasOperation_t op = transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    check(cublasLtMatmulDescSetAttribute(plan.operation, operand, &op, sizeof op),
          "set a transpose");
  };
  transpose(CUBLASLT_MATMUL_DESC_TRANSA, s.b_transposed);
  transpose(CUBLASLT_MATMUL_DESC_TRANSB, s.a_transposed);
  plan.b = layout(s.type, s.b_transposed ? s.k : s.n, s.b_transposed ? s.n : s.k, s.b_ld, s.batch,
                  s.b_batch);
  plan.a = layout(s.type, s.a_transposed ? s.m : s.k, s.a_transposed ? s.k : s.m, s.a_ld, s.batch,
                  s.a_batch);
  plan.c = layout(s.c_type, s.n, s.m, s.c_ld, s.batch, s.c_batch);

  if (const auto at = stored.find(s.text()); at != stored.end()) {
    cublasLtMatmulHeuristicResult_t checked;
    if (from_hex(at->second, plan.algorithm) &&
        cublasLtMatmulAlgoCheck(handle(), plan.operation, plan.b, plan.a, plan.c, plan.c,
                                &plan.algorithm, &checked) == CUBLAS_STATUS_SUCCESS &&
        checked.workspaceSize <= kGemmWorkspace)
      return plan;
  }
  const auto found = candidates(plan, s, 1);
  plan.usable = !found.empty();
  if (plan.usable) plan.algorithm = found[0].algo;
  return plan;
}

void run(const Plan& plan, const Gemm& g, const cublasLtMatmulAlgo_t& algorithm, void* d,
         const Context& context) {
  const double one = 1, beta = g.beta;
  const float one_f = 1, beta_f = static_cast<float>(g.beta);
  const bool wide = g.type == DType::f64;
  check(cublasLtMatmul(handle(), plan.operation, wide ? static_cast<const void*>(&one) : &one_f,
                       g.b, plan.b, g.a, plan.a, wide ? static_cast<const void*>(&beta) : &beta_f,
                       g.add ? g.add : g.c, plan.c, d, plan.c, &algorithm,
                       workspace(kGemmWorkspace), kGemmWorkspace,
                       static_cast<cudaStream_t>(context.stream ? context.stream : stream())),
        "multiply");
}

const Plan& plan_of(const Gemm& g) {
  const Shape s = shape_of(g);
  auto at = plans.find(s);
  if (at == plans.end()) at = plans.emplace(s, make_plan(s)).first;
  return at->second;
}

bool recording() {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cudaStreamIsCapturing(static_cast<cudaStream_t>(stream()), &status);
  return status != cudaStreamCaptureStatusNone;
}

// Whether the product is to be tuned first: large, of a new shape, and not one whose algorithm a
// checkpoint brought.
bool wants_tuning(const Gemm& g) {
  constexpr double kLarge = 1e9;  // operations; smaller ones take microseconds in any case
  if (!tuning || 2.0 * static_cast<double>(g.m * g.n * g.k * g.batch) < kLarge) return false;
  const Shape s = shape_of(g);
  return !plans.contains(s) && !stored.contains(s.text()) && !recording();
}

// Whether a matrix lies as cuBLASLt wants it: rows (or columns) that are dense and do not overlap.
// A repeated one, with a stride of 0, does not.
bool lies_well(int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride) {
  return (column_stride == 1 && (rows == 1 || row_stride >= columns)) ||
         (row_stride == 1 && (columns == 1 || column_stride >= rows));
}

// Whether cuBLASLt can take the operands as they lie.
bool fits(const Gemm& g) {
  const bool a = lies_well(g.m, g.k, g.a_row, g.a_col), b = lies_well(g.k, g.n, g.b_row, g.b_col);
  return a && b && g.k > 0 &&
         (g.c_type == g.type || (g.type == DType::bf16 && g.c_type == DType::f32));
}

std::string library() {
  return "cublasLt " + std::to_string(cublasLtGetVersion()) + " on " + device_name();
}

// Of operands that fit.
void multiply(const Gemm& g, const Context& context) {
  if (wants_tuning(g)) tune_gemm(g, kTuningMost, kTuningRepeats);
  const Plan& plan = plan_of(g);
  if (!plan.usable) return gemm_reference(g, context);
  run(plan, g, plan.algorithm, g.c, context);
}

}  // namespace

void gemm(const Gemm& g, const Context& context) {
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  if (!fits(g)) return gemm_reference(g, context);
  if (wants_padding(g)) return gemm_padded(g, context, multiply);
  multiply(g, context);
}

void set_tf32(bool on) { tf32 = on; }

void set_gemm_tuning(bool on) {
  tuning = on;
  plans.clear();
}

std::string gemm_plans() {
  // Those of a checkpoint whose shapes have not come up again are kept.
  std::map<std::string, std::string> all = stored;
  for (const auto& [shape, plan] : plans)
    if (plan.usable) all[shape.text()] = to_hex(plan.algorithm);
  std::string text = library() + "\n";
  for (const auto& [shape, algorithm] : all) text += shape + " : " + algorithm + "\n";
  return text;
}

bool load_gemm_plans(const std::string& text) {
  const std::string first = library() + "\n";
  if (text.compare(0, first.size(), first) != 0) return false;
  std::istringstream lines(text.substr(first.size()));
  for (std::string line; std::getline(lines, line);)
    if (const size_t at = line.find(" : "); at != std::string::npos)
      stored[line.substr(0, at)] = line.substr(at + 3);
  plans.clear();
  return true;
}

namespace {

// One run of an algorithm on the device. Its sums go to `d`.
double microseconds(const Plan& plan, const Gemm& g, const cublasLtMatmulAlgo_t& algorithm,
                    void* d) {
  Timer timer;
  timer.start();
  run(plan, g, algorithm, d, {});
  timer.stop();
  return 1e6 * timer.seconds();
}

// The median of several. Infinite for an algorithm that fails, and for one that is far from the
// best so far.
double median_microseconds(const Plan& plan, const Gemm& g, const cublasLtMatmulAlgo_t& algorithm,
                           void* d, int repeats, double best) try {
  microseconds(plan, g, algorithm, d);
  if (microseconds(plan, g, algorithm, d) > 3 * best) return INFINITY;
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) times.push_back(microseconds(plan, g, algorithm, d));
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
} catch (const Error&) {
  return INFINITY;
}

}  // namespace

GemmTuning tune_gemm(const Gemm& g, int most, int repeats) {
  HRM_CHECK(fits(g), "[gemm] cuBLASLt cannot take these strides");
  const Shape s = shape_of(g);
  Plan plan = plan_of(g);
  const auto all = candidates(plan, s, most);
  // Sums of candidates go elsewhere: C is read again by the next.
  const size_t bytes =
      static_cast<size_t>((g.batch - 1) * g.c_batch + g.m * g.c_row) * size_of(g.c_type);
  const std::unique_ptr<void, void (*)(void*)> d(allocate(bytes), release);
  if (!d) return {};
  GemmTuning result;
  result.best_us = INFINITY;
  for (size_t i = 0; i < all.size(); ++i) {
    const double us = median_microseconds(plan, g, all[i].algo, d.get(), repeats, result.best_us);
    if (i == 0) result.first_us = us;
    ++result.tried;
    if (us >= result.best_us) continue;
    result.best_us = us;
    result.best = static_cast<int>(i);
    plan.algorithm = all[i].algo;
    plan.usable = true;
    plans[s] = plan;
  }
  return result;
}

}  // namespace hrm::cuda
