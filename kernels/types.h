// The words every layer shares: element types, devices, bfloat16, errors.
//
//     HRM_CHECK(n > 0, "[fill] n must be positive, got ", n);
//     visit_float(type, [&]<class T>() { std::fill_n(static_cast<T*>(data), n, T(0)); });
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

// For the formulas that host and device code share.
#ifdef __CUDACC__
#define HRM_HOST_DEVICE __host__ __device__
#else
#define HRM_HOST_DEVICE
#endif

namespace hrm {

// Element types of a tensor. Arithmetic runs in f32, f64 and bf16 (bf16 is storage: kernels widen
// to f32, compute, and round once; products may use the processor's own bf16 instructions); i32 and
// u8 hold tokens, ids, counters and masks.
enum class DType : uint8_t { f32, bf16, f64, i32, u8 };
enum class Device : uint8_t { cpu, cuda };

// Thrown by the library for every condition a caller can get wrong. what() is one line:
// "[op] what must hold, got what. HINT: what to do".
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace detail {
template <class... Values>
[[noreturn, gnu::noinline, gnu::cold]] void fail(const Values&... values) {
  std::ostringstream text;
  (text << ... << values);
  std::string message = text.str();
  for (char& c : message)
    if (c == '\0') c = ' ';  // what() would end there
  throw Error(message);
}
}  // namespace detail

// HRM_CHECK(condition, message, values...): throws Error of the streamed values unless it holds.
#define HRM_CHECK(condition, ...)       \
  do {                                  \
    if (!(condition)) [[unlikely]]      \
      ::hrm::detail::fail(__VA_ARGS__); \
  } while (0)

// Round to nearest even; NaN stays NaN.
struct bfloat16 {
  uint16_t bits;

  bfloat16() = default;
  bfloat16(float value) : bits(round(value)) {}
  operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

  static uint16_t round(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    return static_cast<uint16_t>((value != value ? u | 0x400000u : u + half(u)) >> 16);
  }
  // The rounded result of an operation, as the bits of a float: in a loop over vectors, what goes
  // on in f32 is not packed into 16 bits in between. This is two instructions cheaper, since a NaN
  // is only cut off. It must be quiet, as results are: the bit that says so is in the upper half. A
  // signalling one, as memory may hold, could become infinity.
  static uint32_t round_result(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    return (u + (value == value ? half(u) : 0u)) & 0xffff0000u;
  }

 private:
  // Added to u, this carries into the upper half where rounding to nearest even goes up.
  static uint32_t half(uint32_t u) { return 0x7fffu + ((u >> 16) & 1u); }
};
static_assert(sizeof(bfloat16) == 2);

constexpr size_t size_of(DType t) {
  switch (t) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
      return 2;
    case DType::f64:
      return 8;
    case DType::u8:
      return 1;
  }
  return 0;
}
constexpr const char* name_of(DType t) {
  switch (t) {
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    case DType::f64:
      return "f64";
    case DType::i32:
      return "i32";
    case DType::u8:
      return "u8";
  }
  return "?";
}
constexpr const char* name_of(Device d) { return d == Device::cpu ? "cpu" : "cuda"; }
constexpr bool is_floating(DType t) {
  return t == DType::f32 || t == DType::bf16 || t == DType::f64;
}
// Type in which statistics, softmax sums and weight gradients of a compute type are kept.
constexpr DType accumulate_type(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

inline std::ostream& operator<<(std::ostream& out, DType t) { return out << name_of(t); }
inline std::ostream& operator<<(std::ostream& out, Device d) { return out << name_of(d); }

template <class T>
struct dtype_of_t;
template <>
struct dtype_of_t<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct dtype_of_t<bfloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct dtype_of_t<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct dtype_of_t<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct dtype_of_t<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <class T>
inline constexpr DType dtype_of = dtype_of_t<T>::value;

// Arithmetic type of a storage type: float for f32 and bf16, double for f64.
template <class T>
struct arithmetic_t {
  using type = float;
};
template <>
struct arithmetic_t<double> {
  using type = double;
};
template <class T>
using arithmetic = typename arithmetic_t<T>::type;

// to = value, and the value that a T would hold; `value` is the result of an operation. Loops over
// bf16 must use these to be vectorised: a temporary bfloat16 stands in the compiler's way.
template <class T, class V>
void assign(T& to, V value) {
  if constexpr (std::is_same_v<T, bfloat16>)
    to.bits = static_cast<uint16_t>(bfloat16::round_result(static_cast<float>(value)) >> 16);
  else
    to = static_cast<T>(value);
}
template <class T>
arithmetic<T> rounded(arithmetic<T> value) {
  if constexpr (std::is_same_v<T, bfloat16>)
    return std::bit_cast<float>(bfloat16::round_result(value));
  else
    return value;
}

// visit_float(t, [&]<class T>() {...}) calls the lambda with the C++ type of a floating DType;
// visit_any does so for all five.
template <class F>
decltype(auto) visit_float(DType t, F&& f) {
  switch (t) {
    case DType::f32:
      return f.template operator()<float>();
    case DType::bf16:
      return f.template operator()<bfloat16>();
    case DType::f64:
      return f.template operator()<double>();
    default:
      break;
  }
  detail::fail("this operation needs a floating dtype (f32, bf16, f64), got ", name_of(t));
}
template <class F>
decltype(auto) visit_any(DType t, F&& f) {
  if (t == DType::i32) return f.template operator()<int32_t>();
  if (t == DType::u8) return f.template operator()<uint8_t>();
  return visit_float(t, std::forward<F>(f));
}

// Where a kernel runs. The last argument of every kernel.
struct Context {
  Device device = Device::cpu;
  void* stream = nullptr;  // cudaStream_t, or null for the backend's own; unused on the CPU
};

}  // namespace hrm
