// The seam between backends for kernels; device.h is that for memory, copies and waiting. A family
// header declares its kernels with HRM_KERNEL, which puts the same signature into hrm::cpu and
// hrm::cuda; callers above use HRM_DISPATCH, which picks one by the context's device. Without CUDA
// in the build the discarded branch needs no definition, so a CPU-only program links without stubs.
// The functions of hrm::cpu are pointers to those compiled for the processor at hand
// (instruction_sets.h); they are called like any other.
//
//     HRM_KERNEL(swap, (float* x, float* y, int64_t n, const Context&))   // in a family header
//     HRM_DISPATCH(swap, context, x, y, n);                               // in an op
#pragma once

#include "kernels/cpu/namespace.h"
#include "kernels/cuda/runtime.h"
#include "kernels/profile.h"
#include "kernels/types.h"

#ifndef HRM_WITH_CUDA
#define HRM_WITH_CUDA 0
#endif

namespace hrm {

inline constexpr bool kBuiltWithCuda = HRM_WITH_CUDA != 0;

[[noreturn]] inline void no_cuda_backend(const char* kernel) {
  detail::fail("[", kernel, "] this build has no CUDA backend. HINT: rebuild with `make CUDA=1`");
}

// A pointer to a function, within a class because the attribute that lets it be set before all
// other global objects of a program takes only objects of a class.
template <class Function>
struct Chosen {
  Function* function;
  operator Function*() const { return function; }
};

}  // namespace hrm

// HRM_CPU_KERNEL(type, name, (parameters...)) declares type name(parameters...) for the CPU alone:
// in a source of the kernels the function, anywhere else the pointer to that of the chosen copy,
// which instruction_sets.cpp defines.
#if HRM_IN_KERNEL_COPY
#define HRM_CPU_KERNEL(type, name, parameters) \
  namespace HRM_CPU {                          \
  type name parameters;                        \
  }
#else
#define HRM_CPU_KERNEL(type, name, parameters) \
  namespace cpu {                              \
  extern const Chosen<type parameters> name;   \
  }
#endif

// HRM_KERNEL(name, (parameters...)) declares void name(parameters...) for both backends.
#define HRM_KERNEL(name, parameters)     \
  HRM_CPU_KERNEL(void, name, parameters) \
  namespace cuda {                       \
  void name parameters;                  \
  }

// HRM_DISPATCH(name, context, arguments...): the call every op makes. The kernel itself takes the
// context as its last argument.
#define HRM_DISPATCH(name, context, ...)                  \
  do {                                                    \
    const ::hrm::Context& hrm_context = (context);        \
    if (hrm_context.device == ::hrm::Device::cuda) {      \
      if constexpr (::hrm::kBuiltWithCuda) {              \
        const ::hrm::cuda::ProfileScope hrm_scope(#name); \
        ::hrm::cuda::name(__VA_ARGS__, hrm_context);      \
      } else {                                            \
        ::hrm::no_cuda_backend(#name);                    \
      }                                                   \
    } else {                                              \
      static ::hrm::KernelAccount hrm_account(#name);     \
      const ::hrm::KernelClock hrm_clock(hrm_account);    \
      ::hrm::cpu::name(__VA_ARGS__, hrm_context);         \
    }                                                     \
  } while (0)
