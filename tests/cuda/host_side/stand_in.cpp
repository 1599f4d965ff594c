#include "tests/cuda/host_side/stand_in.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>

#include <cublasLt.h>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"

namespace hrm {
namespace stand_in {
namespace {

std::map<const std::byte*, size_t> blocks;
double device_seconds = 0;  // what the products so far have taken

bool lies_in_a_block(const void* at, size_t bytes) {
  const auto* begin = static_cast<const std::byte*>(at);
  auto block = blocks.upper_bound(begin);
  if (block == blocks.begin()) return false;
  --block;
  return begin + bytes <= block->first + block->second;
}

// What the library's handles point to.
struct Matrix {
  size_t element = 4;
  uint64_t rows = 0, columns = 0;
  int64_t ld = 0, batch_stride = 0;
  int32_t batch = 1;
  // Bytes from its first to behind its last element.
  size_t extent() const {
    const auto last = (batch - 1) * batch_stride + (static_cast<int64_t>(columns) - 1) * ld;
    return (static_cast<size_t>(last) + rows) * element;
  }
};
Matrix& matrix(cublasLtMatrixLayout_t handle) { return *reinterpret_cast<Matrix*>(handle); }

struct Description {
  bool first_transposed = false, second_transposed = false;
};
Description& description(cublasLtMatmulDesc_t handle) {
  return *reinterpret_cast<Description*>(handle);
}

}  // namespace

Library& library() {
  static Library the_library;
  return the_library;
}

void* device_memory(size_t bytes) {
  void* block = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  blocks[static_cast<const std::byte*>(block)] = bytes;
  return block;
}

}  // namespace stand_in

// The device -------------------------------------------------------------------------------------
namespace cuda {

void require_device() {}
void* stream() { return &stand_in::library(); }
std::string device_name() { return "a stand-in"; }
void* allocate(size_t bytes) { return stand_in::device_memory(bytes); }
void release(void* block) {
  stand_in::blocks.erase(static_cast<const std::byte*>(block));
  std::free(block);
}
void* workspace(size_t) {
  static void* const block = stand_in::device_memory(size_t{192} << 20);
  return block;
}

Timer::Timer() : begin_(new double(0)), end_(new double(0)) {}
Timer::~Timer() {
  delete static_cast<double*>(begin_);
  delete static_cast<double*>(end_);
}
void Timer::start() { *static_cast<double*>(begin_) = stand_in::device_seconds; }
void Timer::stop() { *static_cast<double*>(end_) = stand_in::device_seconds; }
double Timer::seconds() const {
  return *static_cast<double*>(end_) - *static_cast<double*>(begin_);
}

void gemm_reference(const Gemm&, const Context&) { ++stand_in::library().references; }

}  // namespace cuda
}  // namespace hrm

// cuBLASLt ---------------------------------------------------------------------------------------
using namespace hrm::stand_in;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = reinterpret_cast<cublasLtHandle_t>(&library());
  return CUBLAS_STATUS_SUCCESS;
}
const char* cublasLtGetStatusString(cublasStatus_t) { return "the stand-in was told to fail"; }
size_t cublasLtGetVersion() { return 130000; }

// What these make is small and lives until the end.
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* made, cublasComputeType_t,
                                        cudaDataType_t) {
  *made = reinterpret_cast<cublasLtMatmulDesc_t>(new Description);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t to,
                                              cublasLtMatmulDescAttributes_t what,
                                              const void* value, size_t) {
  cublasOperation_t operation;
  std::memcpy(&operation, value, sizeof operation);
  if (what == CUBLASLT_MATMUL_DESC_TRANSA)
    description(to).first_transposed = operation == CUBLAS_OP_T;
  if (what == CUBLASLT_MATMUL_DESC_TRANSB)
    description(to).second_transposed = operation == CUBLAS_OP_T;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* made, cudaDataType_t type,
                                          uint64_t rows, uint64_t columns, int64_t ld) {
  const size_t element = type == CUDA_R_64F ? 8 : type == CUDA_R_16BF ? 2 : 4;
  *made = reinterpret_cast<cublasLtMatrixLayout_t>(new Matrix{element, rows, columns, ld, 0, 1});
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t to,
                                                cublasLtMatrixLayoutAttribute_t what,
                                                const void* value, size_t bytes) {
  if (what == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) std::memcpy(&matrix(to).batch, value, bytes);
  if (what == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET)
    std::memcpy(&matrix(to).batch_stride, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* made) {
  *made = reinterpret_cast<cublasLtMatmulPreference_t>(&library());
  library().alignments.clear();
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t what,
                                                    const void* value, size_t) {
  if (what < CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES ||
      what > CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES)
    return CUBLAS_STATUS_SUCCESS;
  uint32_t bytes;
  std::memcpy(&bytes, value, sizeof bytes);
  library().alignments.push_back(bytes);
  return CUBLAS_STATUS_SUCCESS;
}
// The number of a candidate is kept in the first word of its algorithm.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                              cublasLtMatmulPreference_t, int wanted,
                                              cublasLtMatmulHeuristicResult_t* found, int* got) {
  *got = std::min(wanted, static_cast<int>(library().candidates.size()));
  for (int i = 0; i < *got; ++i) {
    found[i] = {};
    found[i].algo.data[0] = static_cast<uint64_t>(i);
    found[i].state = library().candidates[static_cast<size_t>(i)].usable
                         ? CUBLAS_STATUS_SUCCESS
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
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t, const void*, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void*, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t,
                              const cublasLtMatmulAlgo_t* algorithm, void*, size_t, cudaStream_t) {
  Product product;
  product.algorithm = static_cast<int>(algorithm->data[0]);
  product.inside = lies_in_a_block(a, matrix(a_layout).extent()) &&
                   lies_in_a_block(b, matrix(b_layout).extent()) &&
                   lies_in_a_block(c, matrix(c_layout).extent()) &&
                   lies_in_a_block(d, matrix(c_layout).extent());
  library().products.push_back(product);
  const Candidate& candidate = library().candidates[static_cast<size_t>(product.algorithm)];
  device_seconds += candidate.seconds;
  return candidate.fails ? CUBLAS_STATUS_EXECUTION_FAILED : CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
