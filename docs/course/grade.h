// What the grades share; it includes doctest.
//
//     CHECK(difference(y, tensor({{1, 2}})) == "");   // says which element is wrong, if one is
//     CHECK(error_of([&] { broadcast_shape({2}, {3}); }) != "");
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "docs/course/course.h"
#include "tensor/tensor.h"

namespace hrm::course {

inline Tensor f64(const NestedValues& values) { return tensor(values, DType::f64); }

// What a tensor holds, and what its shape is: an empty string if it is what was wanted, otherwise
// the first thing that differs. Written so that NaN differs from every number.
inline std::string difference(const Tensor& got, const Tensor& wanted, double tolerance = 1e-10) {
  std::ostringstream text;
  if (!got.defined()) return "no tensor was returned";
  if (got.shape() != wanted.shape()) {
    text << "the shape is " << got.shape() << ", it should be " << wanted.shape();
    return text.str();
  }
  const std::vector<double> a = got.to_vector();
  const std::vector<double> b = wanted.to_vector();
  for (size_t i = 0; i < a.size(); ++i) {
    const double allowed = tolerance * std::max(1.0, std::abs(b[i]));
    if (std::abs(a[i] - b[i]) <= allowed) continue;
    text << "element " << i << " is " << a[i] << ", it should be " << b[i];
    return text.str();
  }
  return "";
}

// The message of the hrm::Error that an action throws, or an empty string if it throws none.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace hrm::course
