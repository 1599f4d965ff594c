// cuBLASLt over the stand-in. Which candidates its heuristics offer, a test says.
#include <algorithm>
#include <cstring>

#include <cublasLt.h>

#include "tests/cuda/host_side/stand_in.h"

namespace hrm::stand_in {
namespace {

// What the library's handles point to.
struct Matrix {
  cudaDataType_t type = CUDA_R_32F;
  uint64_t rows = 0, columns = 0;
  int64_t ld = 0, batch_stride = 0;
  int32_t batch = 1;
  // Bytes from its first to behind its last element.
  size_t extent() const {
    const size_t element = type == CUDA_R_64F ? 8 : type == CUDA_R_16BF ? 2 : 4;
    const int64_t last = (batch - 1) * batch_stride + (static_cast<int64_t>(columns) - 1) * ld;
    return (static_cast<size_t>(last) + rows) * element;
  }
};
const Matrix& matrix(cublasLtMatrixLayout_t handle) {
  return *reinterpret_cast<const Matrix*>(handle);
}

struct Description {
  cudaDataType_t scale = CUDA_R_32F;
  bool first_transposed = false, second_transposed = false;
};
Description& description(cublasLtMatmulDesc_t handle) {
  return *reinterpret_cast<Description*>(handle);
}

// The alignments told to the heuristics travel in an algorithm behind its number.
uint64_t packed(const std::vector<uint32_t>& alignments) {
  uint64_t all = 0;
  for (const uint32_t bytes : alignments) all = all << 16 | bytes;
  return all;
}
// `operands`: A, B, C and D, as the library names them.
void check_alignments(const std::string& product, const void* const (&operands)[4], uint64_t told) {
  for (int i = 0; i < 4; ++i) {
    const uint64_t bytes = told >> (16 * (3 - i)) & 0xffff;
    if (bytes != 0 && reinterpret_cast<uintptr_t>(operands[i]) % bytes != 0)
      violation(product + ": less aligned than the heuristics were told");
  }
}
bool overlap(const Range& a, const Range& b) {
  const auto *p = static_cast<const std::byte*>(a.at), *q = static_cast<const std::byte*>(b.at);
  return p < q + b.bytes && q < p + a.bytes;
}

const char* type_name(cudaDataType_t type) {
  return type == CUDA_R_64F ? "f64" : type == CUDA_R_16BF ? "bf16" : "f32";
}

// "product bf16 TN 62976 x 3072 x 512", in our order of rows, with T for what lies by columns: the
// library's first matrix is our second. " in f32" if the sums are of another type, " +" if they are
// added to something, " x 96" for a batch.
std::string product_name(const Description& d, const Matrix& ours_second, const Matrix& c,
                         double beta) {
  const uint64_t k = d.first_transposed ? ours_second.rows : ours_second.columns;
  std::string name = std::string("product ") + type_name(ours_second.type) + ' ';
  name += d.second_transposed ? 'T' : 'N';
  name += d.first_transposed ? 'T' : 'N';
  for (const uint64_t n : {c.columns, c.rows, k})
    name += (name.back() == 'T' || name.back() == 'N' ? " " : " x ") + std::to_string(n);
  if (c.type != ours_second.type) name += std::string(" in ") + type_name(c.type);
  if (beta != 0) name += " +";
  if (c.batch > 1) name += ", batch " + std::to_string(c.batch);
  return name;
}

}  // namespace
}  // namespace hrm::stand_in

using namespace hrm::stand_in;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = reinterpret_cast<cublasLtHandle_t>(&device());
  return CUBLAS_STATUS_SUCCESS;
}
const char* cublasLtGetStatusString(cublasStatus_t) { return "the stand-in was told to fail"; }
size_t cublasLtGetVersion() { return CUBLAS_VERSION; }

// What these make is small and lives until the end.
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* made, cublasComputeType_t,
                                        cudaDataType_t scale) {
  *made = reinterpret_cast<cublasLtMatmulDesc_t>(new Description{scale, false, false});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t to,
                                              cublasLtMatmulDescAttributes_t what,
                                              const void* value, size_t bytes) {
  cublasOperation_t operation;
  if (bytes != sizeof operation) violation("size of an attribute of a product");
  std::memcpy(&operation, value, sizeof operation);
  if (what == CUBLASLT_MATMUL_DESC_TRANSA)
    description(to).first_transposed = operation == CUBLAS_OP_T;
  if (what == CUBLASLT_MATMUL_DESC_TRANSB)
    description(to).second_transposed = operation == CUBLAS_OP_T;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* made, cudaDataType_t type,
                                          uint64_t rows, uint64_t columns, int64_t ld) {
  if (ld < static_cast<int64_t>(rows)) violation("columns of a matrix that overlap");
  *made = reinterpret_cast<cublasLtMatrixLayout_t>(new Matrix{type, rows, columns, ld, 0, 1});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t to,
                                                cublasLtMatrixLayoutAttribute_t what,
                                                const void* value, size_t bytes) {
  Matrix& m = *reinterpret_cast<Matrix*>(to);
  const auto set = [&](auto& member) {
    if (bytes != sizeof member) violation("size of an attribute of a matrix");
    std::memcpy(&member, value, sizeof member);
  };
  if (what == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) set(m.batch);
  if (what == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET) set(m.batch_stride);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* made) {
  *made = reinterpret_cast<cublasLtMatmulPreference_t>(&device());
  device().alignments.clear();
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t what,
                                                    const void* value, size_t bytes) {
  if (bytes != (what == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES ? 8u : 4u))
    violation("size of a preference");
  if (what < CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES ||
      what > CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES)
    return CUBLAS_STATUS_SUCCESS;
  uint32_t alignment;
  std::memcpy(&alignment, value, sizeof alignment);
  device().alignments.push_back(alignment);
  return CUBLAS_STATUS_SUCCESS;
}
// The number of a candidate is kept in the first word of its algorithm.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int wanted,
                                              cublasLtMatmulHeuristicResult_t* found, int* got) {
  const std::vector<Candidate>& candidates = device().candidates;
  *got = std::min(wanted, static_cast<int>(candidates.size()));
  for (int i = 0; i < *got; ++i) {
    found[i] = {};
    found[i].algo.data[0] = static_cast<uint64_t>(i);
    found[i].algo.data[1] = packed(device().alignments);
    found[i].state = candidates[static_cast<size_t>(i)].usable ? CUBLAS_STATUS_SUCCESS
                                                               : CUBLAS_STATUS_NOT_SUPPORTED;
  }
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t,
                                       cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                       cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                       const cublasLtMatmulAlgo_t*,
                                       cublasLtMatmulHeuristicResult_t* result) {
  *result = {};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t what, const void*,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
  const Description& product = description(what);
  double factor = 0;
  if (product.scale == CUDA_R_64F) {
    std::memcpy(&factor, beta, sizeof factor);
  } else {
    float narrow;
    std::memcpy(&narrow, beta, sizeof narrow);
    factor = static_cast<double>(narrow);
  }
  Operation operation{product_name(product, matrix(a_layout), matrix(d_layout), factor),
                      {{a, matrix(a_layout).extent()},
                       {b, matrix(b_layout).extent()},
                       {d, matrix(d_layout).extent()}}};
  if (factor != 0) operation.memory.push_back({c, matrix(c_layout).extent()});
  const Range scratch{workspace, workspace_bytes};
  for (const Range& operand : operation.memory)
    if (overlap(operand, scratch)) violation(operation.name + ": an operand in the workspace");
  operation.memory.push_back(scratch);
  check_alignments(operation.name, {a, b, c, d}, algorithm->data[1]);
  check_stream(stream, operation.name);
  queue(std::move(operation));
  const auto number = static_cast<size_t>(algorithm->data[0]);
  const Candidate candidate =
      number < device().candidates.size() ? device().candidates[number] : Candidate{};
  device().algorithms.push_back(static_cast<int>(number));
  device().seconds += candidate.seconds;
  return candidate.fails ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
