#include "kernels/instruction_sets.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <string>

#ifdef __x86_64__
#include <cpuid.h>
#endif
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "kernels/cpu/exp_bounds.h"
#include "kernels/dispatch.h"

// The copies of the kernels in this program, plainest first.
#ifdef HRM_PORTABLE
#define HRM_COPIES(X, ...) \
  X(v2, __VA_ARGS__) X(v3, __VA_ARGS__) X(v4, __VA_ARGS__) X(amx, __VA_ARGS__)
#else
#define HRM_COPIES(X, ...) X(native, __VA_ARGS__)
#endif

namespace hrm {
namespace {

#if defined(HRM_PORTABLE) || !defined(__x86_64__)
constexpr const char* kHowToGetMore = "";
#else
constexpr const char* kHowToGetMore = "; `make PORTABLE=1` builds a program that has them all";
#endif

#ifdef __x86_64__
// Whether there are tiles of bf16. Linux keeps their registers only for programs that have asked.
bool ask_for_amx() {
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24;  // of leaf 7, in edx
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & kBf16) || !(d & kTile)) return false;
#ifdef __linux__
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

bool processor_has(InstructionSet set) {
  __builtin_cpu_init();
  const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  const bool bf16 = v4 && __builtin_cpu_supports("avx512bf16");
  switch (set) {
    case InstructionSet::v2:
      return v2;
    case InstructionSet::v3:
      return v3;
    case InstructionSet::v4:
      return v4;
    case InstructionSet::bf16:
      return bf16;
    case InstructionSet::amx:
      return bf16 && ask_for_amx();
    default:
      return true;
  }
}
#else
bool processor_has(InstructionSet) { return true; }
#endif

// A copy of the kernels, used with the instructions of `set`. One that is compiled for AMX can do
// without its tiles: it is there twice.
struct Choice {
  size_t copy;
  InstructionSet set;
};

#define HRM_DECLARE_COMPILED_FOR(copy, ...)   \
  namespace cpu_##copy {                      \
    extern const InstructionSet compiled_for; \
  }
}  // namespace
HRM_COPIES(HRM_DECLARE_COMPILED_FOR)
namespace {

std::vector<Choice> choices() {
#define HRM_COMPILED_FOR(copy, ...) cpu_##copy::compiled_for,
  const InstructionSet copies[] = {HRM_COPIES(HRM_COMPILED_FOR)};
  std::vector<Choice> all;
  for (size_t i = 0; i < std::size(copies); ++i) {
    if (copies[i] == InstructionSet::amx) all.push_back({i, InstructionSet::bf16});
    all.push_back({i, copies[i]});
  }
  return all;
}

std::vector<Choice> usable_choices() {
  std::vector<Choice> all = choices();
  std::erase_if(all, [](const Choice& choice) { return !processor_has(choice.set); });
  return all;
}

std::string names(const std::vector<Choice>& choices) {
  std::string text;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (i > 0) text += i + 1 < choices.size() ? ", " : " or ";
    text += name_of(choices[i].set);
  }
  return text;
}

// Before main(), where nobody could catch an exception.
[[noreturn]] void stop(const std::string& message) {
  std::fputs(("hrm: " + message + "\n").c_str(), stderr);
  std::_Exit(1);
}

const auto with_name = [](const std::string& name) {
  return [name](const Choice& choice) { return name == name_of(choice.set); };
};

Choice choose() {
  const std::vector<Choice> all = choices();
  const std::vector<Choice> usable = usable_choices();
  if (usable.empty())
    stop(std::string("[processor] this program needs ") + description_of(all.front().set) +
         ", which this processor does not have. HINT: build the program on this machine");
  const char* asked = std::getenv("HRM_ISA");
  if (!asked || !*asked) return usable.back();
  const auto found = std::find_if(usable.begin(), usable.end(), with_name(asked));
  if (found != usable.end()) return *found;
  const auto known = std::find_if(all.begin(), all.end(), with_name(asked));
  if (known != all.end())
    stop(std::string("[HRM_ISA] this processor has no ") + description_of(known->set) +
         ". HINT: set it to " + names(usable) + ", or unset it");
  stop(std::string("[HRM_ISA] must be ") + names(usable) + " for this program on this processor, " +
       "got '" + asked + "'. HINT: unset it" + kHowToGetMore);
}

const Choice& chosen() {
  static const Choice choice = choose();
  return choice;
}

// The function of the chosen copy; `copies`: those of all.
template <class Function>
Function* pick(std::initializer_list<Function*> copies) {
  return copies.begin()[chosen().copy];
}

}  // namespace

const char* name_of(InstructionSet set) {
  constexpr const char* kNames[] = {"generic", "neon", "simd128", "v1", "v2",
                                    "v3",      "v4",   "bf16",    "amx"};
  return kNames[static_cast<size_t>(set)];
}

const char* description_of(InstructionSet set) {
  constexpr const char* kDescriptions[] = {
      "no vector instructions",
      "aarch64: NEON",
      "WebAssembly: SIMD of 16 bytes",
      "x86-64: SSE2",
      "x86-64-v2: SSE4.2",
      "x86-64-v3: AVX2 and FMA",
      "x86-64-v4: AVX-512",
      "x86-64-v4: AVX-512, with bf16 (AVX512_BF16)",
      "x86-64-v4: AVX-512, with tiles (AMX)",
  };
  return kDescriptions[static_cast<size_t>(set)];
}

InstructionSet instruction_set() { return chosen().set; }

std::vector<InstructionSet> instruction_sets() {
  std::vector<InstructionSet> sets;
  for (const Choice& choice : usable_choices()) sets.push_back(choice.set);
  return sets;
}

namespace cpu {
// The bounds of fast_exp for those who use cpu/vector_math.h outside of the kernels.
extern const float kExpLeast, kExpMost;
constinit const float kExpLeast = kLeastOfExp;
constinit const float kExpMost = kMostOfExp;
}  // namespace cpu

}  // namespace hrm

// From here on HRM_CPU_KERNEL, with which the headers of the kernels declare them, defines each as
// the one of the chosen copy.
#define HRM_DECLARE_COPY(copy, type, name, parameters) \
  namespace cpu_##copy {                               \
    type name parameters;                              \
  }
#define HRM_ADDRESS_OF_COPY(copy, type, name, parameters) &cpu_##copy::name,
#undef HRM_CPU_KERNEL
#define HRM_CPU_KERNEL(type, name, parameters)                                           \
  HRM_COPIES(HRM_DECLARE_COPY, type, name, parameters)                                   \
  namespace cpu {                                                                        \
  extern const Chosen<type parameters> name;                                             \
  [[gnu::init_priority(101)]] const Chosen<type parameters> name{                        \
      pick<type parameters>({HRM_COPIES(HRM_ADDRESS_OF_COPY, type, name, parameters)})}; \
  }

#include "kernels/act.h"
#include "kernels/attention.h"
#include "kernels/cast.h"
#include "kernels/dropout.h"
#include "kernels/elementwise.h"
#include "kernels/embedding.h"
#include "kernels/gemm.h"
#include "kernels/layer_norm.h"
#include "kernels/loss.h"
#include "kernels/optimizer.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/scan.h"
#include "kernels/swiglu.h"
#include "kernels/topk.h"
#include "kernels/windows.h"
