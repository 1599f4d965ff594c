#include "examples/compressarc/loss.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "autograd/custom_function.h"
#include "autograd/ops/ops.h"
#include "kernels/cpu/vector_math.h"

namespace hrm::compressarc {
namespace {

double log_sum_exp(const std::vector<double>& x) {
  const double most = *std::max_element(x.begin(), x.end());
  double sum = 0;
  for (const double value : x) sum += std::exp(value - most);
  return most + std::log(sum);
}

// Where a slice of a mask may lie: for each place the sum of what is inside minus the sum of what
// is outside.
std::vector<double> slice_scores(const std::vector<double>& mask, int64_t length) {
  std::vector<double> before = {0};
  for (const double value : mask) before.push_back(before.back() + value);
  std::vector<double> scores;
  for (int64_t first = 0; first + length <= std::ssize(mask); ++first)
    scores.push_back(2 * (before[first + length] - before[first]) - before.back());
  return scores;
}
// The gradient of the mask from those of the scores.
void add_score_gradients(std::vector<double>& gradient, const std::vector<double>& of_scores,
                         int64_t length) {
  std::vector<double> change(gradient.size() + 1, 0.0);
  double all = 0;
  for (int64_t first = 0; first < std::ssize(of_scores); ++first) {
    all += of_scores[first];
    change[first] += 2 * of_scores[first];
    change[first + length] -= 2 * of_scores[first];
  }
  double inside = 0;
  for (size_t i = 0; i < gradient.size(); ++i) {
    inside += change[i];
    gradient[i] += inside - all;
  }
}

// Log-probabilities of the places of a slice of one length: among all slices of that length if it
// is sure, and else of any.
class Placement {
 public:
  Placement(std::vector<double> mask, int64_t length, bool sure)
      : mask_(std::move(mask)), length_(length), sure_(sure) {
    std::vector<double> all = slice_scores(mask_, length);
    log_p_ = all;
    if (!sure) {
      all.clear();
      for (int64_t any = 1; any <= std::ssize(mask_); ++any)
        for (const double score : slice_scores(mask_, any)) all.push_back(score);
    }
    total_ = log_sum_exp(all);
    for (double& p : log_p_) p -= total_;
  }
  const std::vector<double>& log_p() const { return log_p_; }

  // From the gradient of log_p to that of the mask.
  std::vector<double> gradient(const std::vector<double>& of_log_p) const {
    std::vector<double> of_mask(mask_.size(), 0.0);
    const double sum = std::accumulate(of_log_p.begin(), of_log_p.end(), 0.0);
    add_score_gradients(of_mask, of_log_p, length_);
    for (int64_t any = sure_ ? length_ : 1; any <= (sure_ ? length_ : std::ssize(mask_)); ++any) {
      std::vector<double> shares = slice_scores(mask_, any);
      for (double& share : shares) share = -sum * std::exp(share - total_);
      add_score_gradients(of_mask, shares, any);
    }
    return of_mask;
  }

 private:
  std::vector<double> mask_;
  int64_t length_;
  bool sure_;
  double total_;
  std::vector<double> log_p_;
};

// One grid: what it costs, and the gradient of that.
template <class T>
class GridCost {
 public:
  GridCost(const CodedTask& task, const TaskOutputs& out, int64_t example, Side side, int64_t step)
      : task_(task), example_(example), side_(side), size_(task.size(example, side)) {
    const double fade = std::max(0.0, 1 - static_cast<double>(step) / 100);
    const bool sure = task.size_is_sure(side);
    soft_masks_ = sure ? 1 : std::pow(0.01, fade);
    soft_places_ = sure ? 1 : std::pow(0.1, fade);
    const auto placement = [&](const Tensor& mask, int64_t length) {
      std::vector<double> values;
      for (int64_t i = 0; i < mask.size(1); ++i)
        values.push_back(
            soft_masks_ *
            static_cast<double>(mask.data<T>()[(example * mask.size(1) + i) * 2 + side]));
      return Placement(std::move(values), length, sure);
    };
    rows_ = std::make_unique<Placement>(placement(out.row_mask, size_.height));
    cols_ = std::make_unique<Placement>(placement(out.col_mask, size_.width));
    find_log_p(out.logits);
    weigh_places();
  }

  double length() const { return length_; }

  // Written to where the logits and the masks have this grid.
  void write_gradients(const TaskOutputs& to) const {
    std::vector<double> of_rows(rows_->log_p().size(), 0.0), of_cols(cols_->log_p().size(), 0.0);
    std::vector<T> of_log_p(log_p_.size(), T(0));
    for (size_t top = 0; top < of_rows.size(); ++top)
      for (size_t left = 0; left < of_cols.size(); ++left) {
        const double weight = weights_[top * of_cols.size() + left];
        of_rows[top] -= weight;
        of_cols[left] -= weight;
        for_cells(top, left, [&](int64_t cell) { of_log_p[cell] -= static_cast<T>(weight); });
      }
    const auto write = [&](const Tensor& mask, const std::vector<double>& gradient) {
      for (int64_t i = 0; i < mask.size(1); ++i)
        mask.data<T>()[(example_ * mask.size(1) + i) * 2 + side_] =
            static_cast<T>(soft_masks_ * gradient[i]);
    };
    write(to.row_mask, rows_->gradient(of_rows));
    write(to.col_mask, cols_->gradient(of_cols));
    const int64_t canvas = task_.rows * task_.cols, colours = std::ssize(log_p_) / canvas;
    T* first = to.logits.data<T>() + example_ * colours * canvas * 2 + side_;
    for (int64_t cell = 0; cell < canvas; ++cell) {
      T sum = 0;
      for (int64_t c = 0; c < colours; ++c) sum += of_log_p[c * canvas + cell];
      for (int64_t c = 0; c < colours; ++c) {
        const int64_t at = c * canvas + cell;
        first[at * 2] = of_log_p[at] - std::exp(log_p_[at]) * sum;
      }
    }
  }

 private:
  // [colours, rows, cols]: of the colours of each cell.
  void find_log_p(const Tensor& logits) {
    const int64_t canvas = task_.rows * task_.cols, colours = logits.size(1);
    const T* first = logits.data<T>() + example_ * colours * canvas * 2 + side_;
    log_p_.resize(static_cast<size_t>(colours * canvas));
    std::vector<T> most(static_cast<size_t>(canvas), -INFINITY), sum(most.size(), T(0));
    for (int64_t i = 0; i < colours * canvas; ++i) {
      log_p_[i] = first[i * 2];
      most[i % canvas] = std::max(most[i % canvas], log_p_[i]);
    }
    for (int64_t c = 0; c < colours; ++c)
      for (int64_t i = 0; i < canvas; ++i)
        sum[i] += cpu::fast_exp(log_p_[c * canvas + i] - most[i]);
    for (int64_t i = 0; i < canvas; ++i) most[i] += std::log(sum[i]);
    for (int64_t c = 0; c < colours; ++c)
      for (int64_t i = 0; i < canvas; ++i) log_p_[c * canvas + i] -= most[i];
  }

  // f(element of log_p) for every cell of the grid with its corner at a place.
  template <class F>
  void for_cells(size_t top, size_t left, const F& f) const {
    for (int64_t row = 0; row < size_.height; ++row)
      for (int64_t col = 0; col < size_.width; ++col) {
        const int64_t code = task_.code(example_, row, col, side_);
        f((code * task_.rows + static_cast<int64_t>(top) + row) * task_.cols +
          static_cast<int64_t>(left) + col);
      }
  }

  // How likely each place is, given the grid.
  void weigh_places() {
    for (size_t top = 0; top < rows_->log_p().size(); ++top)
      for (size_t left = 0; left < cols_->log_p().size(); ++left) {
        double log_q = rows_->log_p()[top] + cols_->log_p()[left];
        for_cells(top, left, [&](int64_t cell) { log_q += static_cast<double>(log_p_[cell]); });
        weights_.push_back(soft_places_ * log_q);
      }
    const double total = log_sum_exp(weights_);
    length_ = -total / soft_places_;
    for (double& weight : weights_) weight = std::exp(weight - total);
  }

  const CodedTask& task_;
  int64_t example_;
  Side side_;
  GridSize size_;
  double soft_masks_, soft_places_;
  std::unique_ptr<Placement> rows_, cols_;
  std::vector<T> log_p_;
  std::vector<double> weights_;  // [places of rows, places of columns]
  double length_ = 0;
};

// The gradient of each grid's length, where the outputs have that grid: side by side in one tensor.
// Times those of the lengths, [2 * examples], it is the gradient of the outputs.
Tensor weighed(const Tensor& gradient, const Tensor& of_lengths) {
  Shape shape = {of_lengths.numel() / 2};
  for (int i = 1; i + 1 < gradient.ndim(); ++i) shape = shape.inserted(i, 1);
  return gradient * reshape(of_lengths, shape.inserted(shape.ndim(), 2));
}

}  // namespace

Tensor code_lengths(const CodedTask& task, const TaskOutputs& out, int64_t step) {
  const auto forward = [&](CustomContext& context, const Tensors& in) {
    TaskOutputs values, gradients;
    values.logits = in[0].contiguous();
    values.row_mask = in[1].contiguous();
    values.col_mask = in[2].contiguous();
    gradients.logits = zeros_like(values.logits);
    gradients.row_mask = zeros_like(values.row_mask);
    gradients.col_mask = zeros_like(values.col_mask);
    std::vector<double> lengths;
    visit_real(values.logits.dtype(), [&]<class T>() {
      for (int64_t example = 0; example < task.examples(); ++example)
        for (const Side side : {kInput, kOutput}) {
          lengths.push_back(0);
          if (!task.known(example, side)) continue;
          const GridCost<T> grid(task, values, example, side, step);
          lengths.back() = grid.length();
          grid.write_gradients(gradients);
        }
    });
    context.save("gradients", Tensors{gradients.logits, gradients.row_mask, gradients.col_mask});
    return Tensors{from_values(lengths, {std::ssize(lengths)}, values.logits.dtype())};
  };
  const auto backward = [](const Saved& saved, const Tensors& grads) {
    Tensors result;
    for (const Tensor& gradient : saved.list("gradients"))
      result.push_back(weighed(gradient, grads[0]));
    return result;
  };
  return custom_function("code_lengths", {out.logits, out.row_mask, out.col_mask}, forward,
                         backward)[0];
}

Tensor reconstruction(const CodedTask& task, const TaskOutputs& out, int64_t step) {
  return sum(code_lengths(task, out, step));
}

}  // namespace hrm::compressarc
