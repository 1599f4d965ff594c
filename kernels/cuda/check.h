// For host code that calls the CUDA runtime; not part of the emulated build.
#pragma once

#include <cuda_runtime_api.h>

namespace hrm::gpu {

// Throws an Error that says what was tried, unless status is cudaSuccess.
void check(cudaError_t status, const char* what);

}  // namespace hrm::gpu
