// The little statistics that the experiments need.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hrm {

// Mean of n independent values and the half width of its 95 % confidence interval (Student's t with
// n - 1 degrees of freedom); NaN with fewer than two values.
struct Summary {
  double mean = 0, half_width = 0;
  int64_t count = 0;
};
Summary summarize(const std::vector<double>& values);

// The quantile that 97.5 % of Student's t distribution with `degrees` >= 1 of freedom are below.
double student_quantile(int64_t degrees);

// McNemar's exact test of two settings on the same puzzles: of those that one alone solves, is the
// split further from half than chance would have it? Two-sided p; 1 if they never differ.
struct PairedTest {
  int64_t only_first = 0, only_second = 0;
  double p = 1;
};
PairedTest paired_test(int64_t only_first, int64_t only_second);
// From "0110...", one digit a puzzle; both of one length.
PairedTest paired_test(const std::string& first, const std::string& second);

}  // namespace hrm
