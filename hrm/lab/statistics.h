// The little statistics that the experiments need.
//
//     const Summary exact = summarize({0.91, 0.92, 0.93});   // mean 0.92, half width 0.025
//     const PairedTest test = paired_test(30, 12);           // p is 0.008
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hrm::lab {

// Mean of n independent values and the half width of its 95 % confidence interval (Student's t with
// n - 1 degrees of freedom); NaN with fewer than two values.
struct Summary {
  double mean = 0, half_width = 0;
  int64_t count = 0;
};
Summary summarize(const std::vector<double>& values);

// The quantile that 97.5 % of Student's t distribution with `degrees` >= 1 of freedom are below.
double student_quantile(int64_t degrees);

// The sign test of two settings on the same puzzles: of those that one solves more often than the
// other, is the split further from half than chance would have it? With one seed this is McNemar's
// exact test. Two-sided p; 1 if they never differ. It speaks of these models on other puzzles, not
// of other seeds: that the interval of the mean does.
struct PairedTest {
  int64_t more_first = 0, more_second = 0;  // puzzles
  double p = 1;
};
PairedTest paired_test(int64_t more_first, int64_t more_second);
// "0110..." of every seed, one digit a puzzle; all of one length, as many of the first as of the
// second setting.
PairedTest paired_test(const std::vector<std::string>& first,
                       const std::vector<std::string>& second);

}  // namespace hrm::lab
