// What a parity check finds.
#pragma once

#include <cmath>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "hrm/config.h"
#include "tensor/tensor.h"

namespace hrm {

using Values = std::vector<double>;

// Collects the largest error / tolerance of every quantity of a fixture.
class Ledger {
 public:
  explicit Ledger(std::string fixture) : fixture_(std::move(fixture)) {}

  void ratio(const std::string& quantity, double value) {
    double& worst = worst_[quantity];
    worst = std::isnan(value) ? INFINITY : std::max(worst, value);
  }
  void exact(const std::string& quantity, const Tensor& got, const Tensor& want) {
    ratio(quantity,
          got.shape() == want.shape() && got.to_vector() == want.to_vector() ? 0 : INFINITY);
  }
  // |got - want| <= atol + rtol |want|, element by element.
  void close(const std::string& quantity, const Tensor& got, const Tensor& want, double atol,
             double rtol = 0) {
    if (!got.defined() || got.numel() != want.numel()) return ratio(quantity, INFINITY);
    const Values g = got.to_vector(), w = want.to_vector();
    double worst = 0;
    for (size_t i = 0; i < g.size(); ++i) {
      const double error = std::abs(g[i] - w[i]);
      worst = std::max(worst, error == 0 ? 0 : error / (atol + rtol * std::abs(w[i])));
      if (std::isnan(error)) worst = INFINITY;
    }
    ratio(quantity, worst);
  }
  void scalar(const std::string& quantity, double got, double want, double atol) {
    const double error = std::abs(got - want);
    ratio(quantity, error == 0 ? 0 : error / atol);
  }
  // Prints every quantity; returns {passed, failed}.
  std::pair<int, int> print() const {
    int passed = 0, failed = 0;
    for (const auto& [quantity, worst] : worst_) {
      const bool good = worst <= 1;
      ++(good ? passed : failed);
      std::printf("%s  %-34s %-46s %.4g\n", good ? "ok  " : "FAIL", fixture_.c_str(),
                  quantity.c_str(), worst);
    }
    return {passed, failed};
  }

 private:
  std::string fixture_;
  std::map<std::string, double> worst_;
};

}  // namespace hrm
