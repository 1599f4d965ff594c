#include "autograd/ops/einsum.h"

#include <algorithm>
#include <map>

#include "autograd/ops/arithmetic.h"
#include "autograd/ops/matmul.h"
#include "autograd/ops/reduce.h"
#include "autograd/ops/view.h"

namespace hrm {
namespace {

bool has(const std::string& letters, char letter) {
  return letters.find(letter) != std::string::npos;
}

// A tensor whose dimensions have letters for names.
struct Named {
  std::string letters;
  Tensor tensor;

  int64_t size(char letter) const { return tensor.size(dim(letter)); }
  int dim(char letter) const { return static_cast<int>(letters.find(letter)); }
};

// Without the letters that are not in `kept`, which are summed.
Named summed(Named x, const std::string& kept) {
  for (int dim = x.tensor.ndim() - 1; dim >= 0; --dim) {
    if (has(kept, x.letters[dim])) continue;
    x.tensor = sum(x.tensor, dim);
    x.letters.erase(dim, 1);
  }
  return x;
}

Named ordered(const Named& x, const std::string& letters) {
  std::vector<int> order;
  for (const char letter : letters) order.push_back(x.dim(letter));
  return {letters, permute(x.tensor, order)};
}

// The sum over all letters of both that are not in `kept`: one product of matrices for each
// position of the letters that both have and keep.
Named product(const Named& left, const Named& right, const std::string& kept) {
  const Named a = summed(left, kept + right.letters), b = summed(right, kept + left.letters);
  std::string batch, contracted, of_a, of_b;
  for (const char letter : a.letters) {
    if (!has(b.letters, letter))
      of_a += letter;
    else
      (has(kept, letter) ? batch : contracted) += letter;
  }
  for (const char letter : b.letters)
    if (!has(a.letters, letter)) of_b += letter;

  if (of_a.empty() && of_b.empty())  // element by element
    return summed({batch + contracted,
                   ordered(a, batch + contracted).tensor * ordered(b, batch + contracted).tensor},
                  kept);

  int64_t batches = 1, rows = 1, inner = 1, cols = 1;
  std::vector<int64_t> sizes;
  for (const char letter : batch) batches *= a.size(letter);
  for (const char letter : of_a) rows *= a.size(letter);
  for (const char letter : contracted) inner *= a.size(letter);
  for (const char letter : of_b) cols *= b.size(letter);
  const std::string letters = batch + of_a + of_b;
  for (const char letter : letters)
    sizes.push_back(has(a.letters, letter) ? a.size(letter) : b.size(letter));
  const Tensor x = reshape(ordered(a, batch + of_a + contracted).tensor, {batches, rows, inner});
  const Tensor y = reshape(ordered(b, batch + contracted + of_b).tensor, {batches, inner, cols});
  return {letters, reshape(matmul(x, y), Shape(sizes))};
}

struct Equation {
  std::vector<std::string> operands;
  std::string result;
};

Equation parse(const std::string& text) {
  std::string letters;
  for (const char c : text)
    if (c != ' ') letters += c;
  const size_t arrow = letters.find("->");
  const std::string left = letters.substr(0, arrow);
  Equation equation{{""}, ""};
  std::map<char, int> counts;
  for (const char c : left) {
    if (c == ',') {
      equation.operands.emplace_back();
      continue;
    }
    HRM_CHECK(std::isalpha(static_cast<unsigned char>(c)), "[einsum] '", text,
              "' may hold letters, commas and one arrow, got '", std::string(1, c), "'");
    HRM_CHECK(!has(equation.operands.back(), c), "[einsum] '", text, "' names '", std::string(1, c),
              "' twice in one operand");
    equation.operands.back() += c;
    ++counts[c];
  }
  if (arrow == std::string::npos) {
    for (const auto& [letter, count] : counts)
      if (count == 1) equation.result += letter;
    return equation;
  }
  equation.result = letters.substr(arrow + 2);
  for (const char c : equation.result)
    HRM_CHECK(counts.contains(c) && std::ranges::count(equation.result, c) == 1, "[einsum] '", text,
              "' must name letters of its operands once behind the arrow, got '", std::string(1, c),
              "'");
  return equation;
}

}  // namespace

Tensor einsum(const std::string& text, const Tensors& operands) {
  const Equation equation = parse(text);
  HRM_CHECK(equation.operands.size() == operands.size(), "[einsum] '", text, "' has ",
            equation.operands.size(), " operands, got ", operands.size());
  std::map<char, int64_t> sizes;
  std::vector<Named> all;
  for (size_t i = 0; i < operands.size(); ++i) {
    const std::string& letters = equation.operands[i];
    HRM_CHECK(std::ssize(letters) == operands[i].ndim(), "[einsum] '", letters,
              "' must have a letter for each dimension of ", operands[i].shape());
    for (int dim = 0; dim < operands[i].ndim(); ++dim) {
      const int64_t size = sizes.emplace(letters[dim], operands[i].size(dim)).first->second;
      HRM_CHECK(size == operands[i].size(dim), "[einsum] '", std::string(1, letters[dim]),
                "' stands for ", size, " and for ", operands[i].size(dim), " in '", text, "'");
    }
    all.push_back({letters, operands[i]});
  }
  Named result = all[0];
  for (size_t i = 1; i < all.size(); ++i) {
    std::string kept = equation.result;  // and what operands to come still need
    for (size_t later = i + 1; later < all.size(); ++later) kept += all[later].letters;
    result = product(result, all[i], kept);
  }
  return ordered(summed(result, equation.result), equation.result).tensor;
}

}  // namespace hrm
