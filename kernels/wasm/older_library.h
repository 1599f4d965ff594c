// What the project uses of C++20 and of Linux, and the libraries of Emscripten lack: libc++ 13 in
// its version 3.1.6. Included before every source of the WebAssembly build; each piece falls away
// where the library has it.
#pragma once

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <compare>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

// Files are exchanged in two steps where this fails.
#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
inline int renameat2(int, const char*, int, const char*, unsigned) {
  errno = ENOSYS;
  return -1;
}
#endif

#ifdef _LIBCPP_VERSION

_LIBCPP_BEGIN_NAMESPACE_STD

#ifndef __cpp_lib_bit_cast
template <class To, class From>
constexpr To bit_cast(const From& from) noexcept {
  return __builtin_bit_cast(To, from);
}
#endif

#if _LIBCPP_VERSION < 200000
// Of decimal numbers.
inline from_chars_result from_chars(const char* first, const char* last, double& value) {
  const string text(first, std::find_if_not(first, last, [](char c) {
                      return (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' ||
                             c == '-' || c == '+';
                    }));
  char* end = nullptr;
  const double number = strtod(text.c_str(), &end);
  if (end == text.c_str() || text[0] == '+') return {first, errc::invalid_argument};
  const from_chars_result result{first + (end - text.c_str()), errc()};
  if (number == HUGE_VAL || number == -HUGE_VAL) return {result.ptr, errc::result_out_of_range};
  value = number;
  return result;
}
#endif

#if _LIBCPP_VERSION < 15000
template <class T>
constexpr auto operator<=>(const vector<T>& a, const vector<T>& b)
    -> decltype(declval<const T&>() <=> declval<const T&>()) {
  for (size_t i = 0; i < a.size() && i < b.size(); ++i)
    if (const auto order = a[i] <=> b[i]; order != 0) return order;
  return a.size() <=> b.size();
}

#define HRM_ALGORITHM(name)                                                                      \
  template <class Range, class... Arguments>                                                     \
  auto name(Range&& range, Arguments&&... arguments) {                                           \
    return std::name(std::begin(range), std::end(range), std::forward<Arguments>(arguments)...); \
  }
#define HRM_TESTED(name)                                                                       \
  template <class Range, class Test>                                                           \
  auto name(Range&& range, Test test) {                                                        \
    return std::name(std::begin(range), std::end(range),                                       \
                     [&](const auto& element) -> bool { return std::invoke(test, element); }); \
  }
#define HRM_ORDERED(name)                                                                    \
  template <class Range, class Less = std::less<>, class Of = identity>                      \
  auto name(Range&& range, Less smaller = {}, Of of = {}) {                                  \
    return std::name(std::begin(range), std::end(range), [&](const auto& a, const auto& b) { \
      return std::invoke(smaller, std::invoke(of, a), std::invoke(of, b));                   \
    });                                                                                      \
  }

namespace ranges {

HRM_ALGORITHM(adjacent_find)
HRM_TESTED(all_of)
HRM_TESTED(any_of)
HRM_TESTED(none_of)
HRM_ALGORITHM(copy)
HRM_ALGORITHM(move)
HRM_ALGORITHM(count)
HRM_TESTED(count_if)
HRM_ALGORITHM(fill)
HRM_TESTED(find_if)
HRM_ALGORITHM(is_sorted)
HRM_ALGORITHM(replace)
HRM_ALGORITHM(transform)
HRM_ORDERED(sort)
HRM_ORDERED(stable_sort)
HRM_ORDERED(max_element)

template <class Range, class Value, class Of = identity>
auto find(Range&& range, const Value& value, Of of = {}) {
  return std::find_if(std::begin(range), std::end(range),
                      [&](const auto& element) { return std::invoke(of, element) == value; });
}
template <class Range>
auto max(Range&& range) {
  return *std::max_element(std::begin(range), std::end(range));
}
template <class Range>
auto min(Range&& range) {
  return *std::min_element(std::begin(range), std::end(range));
}
template <class A, class B, class Same = std::equal_to<>, class OfA = identity,
          class OfB = identity>
bool equal(A&& a, B&& b, Same same = {}, OfA of_a = {}, OfB of_b = {}) {
  return std::equal(std::begin(a), std::end(a), std::begin(b), std::end(b),
                    [&](const auto& x, const auto& y) {
                      return std::invoke(same, std::invoke(of_a, x), std::invoke(of_b, y));
                    });
}

template <class A, class B>
auto mismatch(const A& a, const B& b) {
  struct Found {
    decltype(std::begin(a)) in1;
    decltype(std::begin(b)) in2;
  };
  const auto [in1, in2] = std::mismatch(std::begin(a), std::end(a), std::begin(b), std::end(b));
  return Found{in1, in2};
}

}  // namespace ranges

#undef HRM_ALGORITHM
#undef HRM_TESTED
#undef HRM_ORDERED

#endif

_LIBCPP_END_NAMESPACE_STD

#endif
