// No gradient is cut in silence: this file reads the public headers, finds every function from
// tensor to tensor, and holds it against a list that says how it treats a tensor that requires a
// gradient. A function that is not listed fails here, and so does a line whose function is gone.
#include <cctype>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/gradcheck.h"
#include "autograd/ops/ops.h"
#include "nn/halting.h"
#include "nn/layers.h"
#include "nn/loss.h"
#include "nn/optim/muon.h"
#include "nn/sequential.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;

namespace {

// Reading the headers ---------------------------------------------------------------------------

std::string without_comments(const std::filesystem::path& path) {
  std::ifstream file(path);
  REQUIRE_MESSAGE(file.good(), "run the tests from the root of the repository");
  std::string text;
  for (std::string line; std::getline(file, line);) {
    if (line[0] == '#') continue;
    text += line.substr(0, line.find("//")) + ' ';
  }
  return text;
}

std::string squeezed(const std::string& text) {
  std::istringstream words(text);
  std::string result;
  for (std::string word; words >> word;) result += (result.empty() ? "" : " ") + word;
  return result;
}

// Every public declaration of a header, each with the class that it stands in.
class Header {
 public:
  struct Declaration {
    std::string scope, text;
  };
  explicit Header(const std::filesystem::path& path) : text_(without_comments(path)) {
    while (at_ < text_.size()) take(text_[at_++]);
  }
  std::vector<Declaration> declarations() const { return found_; }

 private:
  struct Scope {
    std::string name;  // of a class; empty for a namespace
    bool is_public;
  };

  void take(char c) {
    parentheses_ += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (parentheses_ > 0 || !(c == ';' || c == '{' || c == '}' || c == ':')) {
      head_ += c;
      return;
    }
    if (c == ':') return colon();
    const std::string head = squeezed(head_);
    head_.clear();
    if (c == ';') return add(head);
    if (c == '}') return scopes_.pop_back();
    static const std::regex type("(?:inline )?(class|struct|namespace) ?(\\w*)[^(]*");
    if (std::smatch match; std::regex_match(head, match, type)) {
      const bool is_class = match[1] != "namespace";
      scopes_.push_back({is_class ? match[2].str() : "", match[1] != "class"});
      return;
    }
    add(head);
    skip_body();
  }
  // Of "public:", of a base class, of "std::", or of a constructor's initialisers.
  void colon() {
    const std::string word = squeezed(head_);
    if (word == "public" || word == "private" || word == "protected") {
      scopes_.back().is_public = word == "public";
      head_.clear();
    } else {
      head_ += ':';
    }
  }
  void skip_body() {
    for (int depth = 1; depth > 0 && at_ < text_.size(); ++at_)
      depth += text_[at_] == '{' ? 1 : text_[at_] == '}' ? -1 : 0;
  }
  void add(const std::string& head) {
    for (const Scope& scope : scopes_)
      if (!scope.is_public) return;
    if (!head.empty()) found_.push_back({scopes_.empty() ? "" : scopes_.back().name, head});
  }

  std::string text_, head_;
  size_t at_ = 0;
  int parentheses_ = 0;
  std::vector<Scope> scopes_;
  std::vector<Declaration> found_;
};

// "Class::name(parameters) const" if this is a function from tensor to tensor; otherwise empty. A
// member of Tensor takes one, and gives one if it returns nothing: it writes to it. So does a
// function that is given a Tensor&&.
std::string tensor_function(const Header::Declaration& d) {
  static const std::regex function("(.*?)([\\w]+|operator ?[^ (]+) ?\\((.*)\\)( const)?.*");
  static const std::regex tensor(".*\\bTensors?\\b.*");
  std::smatch match;
  if (!std::regex_match(d.text, match, function)) return "";
  const std::string result = match[1], name = match[2], parameters = match[3];
  const bool member = d.scope == "Tensor";
  const bool writes = member || parameters.find("Tensor&&") != std::string::npos;
  const bool gives = std::regex_match(result, tensor) || (writes && squeezed(result) == "void");
  if (!gives || !(member || std::regex_match(parameters, tensor))) return "";
  return (d.scope.empty() ? "" : d.scope + "::") + name + "(" + parameters + ")" + match[4].str();
}

std::set<std::string> tensor_functions() {
  std::set<std::string> found;
  std::vector<std::filesystem::path> headers = {"tensor/tensor.h"};
  for (const char* folder : {"autograd/ops", "nn", "nn/optim"})
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      if (entry.path().extension() == ".h") headers.push_back(entry.path());
  for (const auto& path : headers)
    for (const Header::Declaration& d : Header(path).declarations())
      if (const std::string f = tensor_function(d); !f.empty()) found.insert(f);
  return found;
}

// The list --------------------------------------------------------------------------------------

enum class Treats {
  recorded,    // the result requires a gradient, and it is right
  refused,     // an Error whose HINT says what to call instead
  integers,    // the result is a mask or an index, which has no gradient
  by_its_name  // it is there to look at, to cut or to set the gradient, or only looks at the shape
};
using Call = std::function<Tensor(const Tensor&)>;
struct Listed {
  std::string function;
  Treats treats;
  std::vector<Call> calls;  // one for each argument that may require a gradient: f64 (2, 6)
};

// Constants for the other arguments.
Tensor constant(const Shape& shape, uint64_t seed = 11) {
  Random random(seed);
  return random.uniform(shape, 0.4, 1.7, DType::f64);
}
Tensor ids(std::initializer_list<int32_t> values) {
  return from_vector(std::vector<int32_t>(values), {static_cast<int64_t>(values.size())});
}
RopeTables tables(int64_t seq, int64_t dim) { return rope_tables(seq, dim, 100, DType::f64); }
LayerOptions layer_options() {
  static Random random(5);
  LayerOptions options;
  options.dtype = DType::f64;
  options.random = &random;
  return options;
}
Linear& a_linear() {
  static Linear layer(6, 3, true, layer_options());
  return layer;
}
Conv2d& a_conv2d() {
  static Conv2d layer(1, 2, 2, 1, 0, true, layer_options());
  return layer;
}
Sequential& a_sequential() {
  static Sequential layers;
  if (layers.size() == 0) layers.add<Linear>(6, 3, true, layer_options()).add(relu);
  return layers;
}
Attention& an_attention() {
  static Attention layer(6, 1, layer_options());
  return layer;
}
LayerNorm& a_layer_norm() {
  static LayerNorm layer(6, layer_options());
  return layer;
}
SwiGLU& a_swiglu() {
  static SwiGLU layer(6, 1, layer_options());
  return layer;
}
Block& a_block() {
  BlockOptions options;
  options.hidden = 6;
  options.heads = 1;
  options.seq = 2;
  options.expansion = 1;
  static Block layer(options, layer_options());
  return layer;
}
// One batch row of two positions.
Tensor as_batch(const Tensor& x) { return reshape(x, {1, 2, 6}); }
// A tensor (1, 1, 6) of it, for what adds to one position.
Tensor one_position(const Tensor& x) { return slice(as_batch(x), 1, 0, 1); }

// What `change` makes of a tensor.
Tensor changed(Tensor y, const std::function<void(Tensor&)>& change) {
  change(y);
  return y;
}
Tensor written(const Tensor& y, const std::function<void(const Tensor&)>& write) {
  write(y);
  return {};
}

Call of_two(Tensor (*f)(const Tensor&, const Tensor&), bool second) {
  return [f, second](const Tensor& x) {
    return second ? f(constant({2, 6}), x) : f(x, constant({2, 6}));
  };
}
std::vector<Call> both(Tensor (*f)(const Tensor&, const Tensor&)) {
  return {of_two(f, false), of_two(f, true)};
}
std::vector<Call> one(Call call) { return {std::move(call)}; }
std::vector<Call> of_layer_norm(Tensor (*f)(const Tensor&, const Tensor&, const Tensor&, double)) {
  return {[f](const Tensor& x) { return f(x, constant({6}), constant({6}), 1e-5); },
          [f](const Tensor& x) {
            return f(constant({2, 6}), select(x, 0, 1), constant({6}), 1e-5);
          },
          [f](const Tensor& x) {
            return f(constant({2, 6}), constant({6}), select(x, 0, 0), 1e-5);
          }};
}

constexpr auto kSoftmaxLoss = LossType::softmax_cross_entropy;

std::vector<Listed> members() {
  const auto recorded = Treats::recorded;
  return {
      {"Tensor::view(const Shape& shape) const", recorded, one([](const Tensor& x) {
         return (x * 2).view({3, -1});
       })},
      {"Tensor::transpose(int a, int b) const", recorded,
       one([](const Tensor& x) { return x.transpose(0, 1); })},
      {"Tensor::slice(int dim, int64_t start, int64_t end, int64_t step = 1) const", recorded,
       one([](const Tensor& x) { return x.slice(1, 2, 5, 2); })},
      {"Tensor::expand(const Shape& shape) const", recorded, one([](const Tensor& x) {
         return x.slice(0, 0, 1).expand({3, 4, 6});
       })},
      {"Tensor::contiguous() const", recorded,
       one([](const Tensor& x) { return x.transpose(0, 1).contiguous(); })},
      {"Tensor::clone() const", recorded, one([](const Tensor& x) { return x.clone(); })},
      {"Tensor::to(DType dtype) const", recorded,
       one([](const Tensor& x) { return x.to(DType::f32); })},
      {"Tensor::to(Device device) const", recorded,
       one([](const Tensor& x) { return x.to(Device::cpu); })},
      {"Tensor::sum(int dim, bool keepdim = false) const",
       recorded,
       {[](const Tensor& x) { return x.sum(0, false); },
        [](const Tensor& x) { return x.sum(1, true); }}},
      {"Tensor::sum_to(const Shape& shape) const", recorded, one([](const Tensor& x) {
         return reshape(x, {3, 2, 2}).sum_to({2, 1});
       })},
      {"Tensor::copy_from(const Tensor& source)",
       Treats::refused,
       {[](const Tensor& x) {
          (x * 1).copy_from(zeros({2, 6}));
          return Tensor();
        },
        [](const Tensor& x) {
          zeros({2, 6}, DType::f64).copy_from(x);
          return Tensor();
        },
        [](const Tensor& x) {
          zeros({1, 2, 6}, DType::f64).view({2, 6}).copy_from(x);
          return Tensor();
        }}},
      {"Tensor::fill(double value)", Treats::refused, one([](const Tensor& x) {
         (x * 1).fill(3);
         return Tensor();
       })},
      {"Tensor::zero()", Treats::refused, one([](const Tensor& x) {
         (x * 1).zero();
         return Tensor();
       })},
      {"Tensor::check_in_place(const char* op) const", Treats::refused, one([](const Tensor& x) {
         (x * 1).check_in_place("fill");
         return Tensor();
       })},
      {"Tensor::T() const", recorded, one([](const Tensor& x) { return x.T(); })},
      {"Tensor::select(int dim, int64_t position) const", recorded,
       one([](const Tensor& x) { return x.select(1, -2); })},
      {"Tensor::operator[](int64_t position) const", recorded,
       one([](const Tensor& x) { return x[1]; })},
      {"Tensor::operator[](const Slice& range) const", recorded,
       one([](const Tensor& x) { return x[Slice(0, 1)]; })},
      {"Tensor::index(const std::vector<Index>& of_each) const", recorded, one([](const Tensor& x) {
         return x.index({Slice(), 3});
       })},
      {"Tensor::mean() const", recorded, one([](const Tensor& x) { return x.mean(); })},
      {"Tensor::mean(int dim, bool keepdim = false) const", recorded,
       one([](const Tensor& x) { return x.mean(1); })},
      {"Tensor::max() const", recorded, one([](const Tensor& x) { return x.max(); })},
      {"Tensor::max(int dim, bool keepdim = false) const", recorded,
       one([](const Tensor& x) { return x.max(1); })},
      {"Tensor::min() const", recorded, one([](const Tensor& x) { return x.min(); })},
      {"Tensor::min(int dim, bool keepdim = false) const", recorded,
       one([](const Tensor& x) { return x.min(1); })},
      {"Tensor::var() const", recorded, one([](const Tensor& x) { return x.var(); })},
      {"Tensor::var(int dim, bool keepdim = false) const", recorded,
       one([](const Tensor& x) { return x.var(1); })},
      {"Tensor::sum() const", recorded, one([](const Tensor& x) { return x.sum(); })},
      {"Tensor::cumsum(int dim) const", recorded, one([](const Tensor& x) { return x.cumsum(1); })},
      {"Tensor::softmax(int dim) const", recorded,
       one([](const Tensor& x) { return x.softmax(1); })},
      {"Tensor::log_softmax(int dim) const", recorded,
       one([](const Tensor& x) { return x.log_softmax(1); })},
      {"Tensor::argmax(int dim) const", Treats::integers,
       one([](const Tensor& x) { return x.argmax(0); })},
      {"Tensor::matmul(const Tensor& other) const", recorded, one([](const Tensor& x) {
         return x.matmul(constant({6, 2}));
       })},
      {"Tensor::reshape(const Shape& shape) const", recorded, one([](const Tensor& x) {
         return x.reshape({3, 4});
       })},
      {"Tensor::flatten(int from = 0) const", recorded,
       one([](const Tensor& x) { return x.flatten(); })},
      {"Tensor::permute(const std::vector<int>& order) const", recorded, one([](const Tensor& x) {
         return x.permute({1, 0});
       })},
      {"Tensor::unsqueeze(int dim) const", recorded,
       one([](const Tensor& x) { return x.unsqueeze(1); })},
      {"Tensor::squeeze() const", recorded,
       one([](const Tensor& x) { return x[Slice(0, 1)].squeeze(); })},
      {"Tensor::squeeze(int dim) const", recorded,
       one([](const Tensor& x) { return x[Slice(0, 1)].squeeze(0); })},
      {"Tensor::exp() const", recorded, one([](const Tensor& x) { return x.exp(); })},
      {"Tensor::log() const", recorded, one([](const Tensor& x) { return x.log(); })},
      {"Tensor::sqrt() const", recorded, one([](const Tensor& x) { return x.sqrt(); })},
      {"Tensor::square() const", recorded, one([](const Tensor& x) { return x.square(); })},
      {"Tensor::abs() const", recorded, one([](const Tensor& x) { return x.abs(); })},
      {"Tensor::sin() const", recorded, one([](const Tensor& x) { return x.sin(); })},
      {"Tensor::cos() const", recorded, one([](const Tensor& x) { return x.cos(); })},
      {"Tensor::tanh() const", recorded, one([](const Tensor& x) { return x.tanh(); })},
      {"Tensor::sigmoid() const", recorded, one([](const Tensor& x) { return x.sigmoid(); })},
      {"Tensor::relu() const", recorded, one([](const Tensor& x) { return x.relu(); })},
      {"Tensor::gelu() const", recorded, one([](const Tensor& x) { return x.gelu(); })},
      {"Tensor::silu() const", recorded, one([](const Tensor& x) { return x.silu(); })},
      {"Tensor::pow(double exponent) const", recorded,
       one([](const Tensor& x) { return x.pow(3); })},
      {"Tensor::clamp(double low, double high) const", recorded,
       one([](const Tensor& x) { return x.clamp(-100, 100); })},
      {"Tensor::operator=(const Tensor&)", Treats::by_its_name, {}},
      {"Tensor::operator=(Tensor&&)", Treats::by_its_name, {}},
      {"Tensor::operator=(const Tensor& values)",
       Treats::refused,
       {[](const Tensor& x) {
          (x * 1)[0] = constant({6});
          return Tensor();
        },
        [](const Tensor& x) {
          constant({2, 6})[0] = x[0];
          return Tensor();
        }}},
      {"Tensor::operator=(double value)", Treats::refused, one([](const Tensor& x) {
         (x * 1)[0] = 2;
         return Tensor();
       })},
      {"Tensor::backward() const", Treats::by_its_name, {}},
      {"Tensor::detach() const", Treats::by_its_name, {}},
      {"Tensor::grad() const", Treats::by_its_name, {}},
      {"Tensor::set_grad(const Tensor& grad) const", Treats::by_its_name, {}},
      {"Tensor::set_requires_grad(bool value = true)", Treats::by_its_name, {}},
      {"empty_like(const Tensor& t)", Treats::by_its_name, {}},
      {"zeros_like(const Tensor& t)", Treats::by_its_name, {}},
  };
}

std::vector<Listed> arithmetic() {
  const auto recorded = Treats::recorded;
  return {
      {"add(const Tensor& a, const Tensor& b)", recorded, both(add)},
      {"add3(const Tensor& a, const Tensor& b, const Tensor& c)",
       recorded,
       {[](const Tensor& x) {
          return add3(x, constant({2, 6}), constant({2, 6}));
        },
        [](const Tensor& x) {
          return add3(constant({2, 6}), x, constant({2, 6}));
        },
        [](const Tensor& x) {
          return add3(constant({2, 6}), constant({2, 6}), x);
        }}},
      {"sub(const Tensor& a, const Tensor& b)", recorded, both(sub)},
      {"mul(const Tensor& a, const Tensor& b)", recorded, both(mul)},
      {"div(const Tensor& a, const Tensor& b)", recorded, both(div)},
      {"maximum(const Tensor& a, const Tensor& b)", recorded, both(maximum)},
      {"atan2(const Tensor& m, const Tensor& d)", Treats::refused, both(atan2)},
      {"affine(const Tensor& x, double scale, double shift = 0)", recorded,
       one([](const Tensor& x) { return affine(x, 2, 1); })},
      {"operator+(const Tensor& a, const Tensor& b)", recorded, both(hrm::operator+)},
      {"operator-(const Tensor& a, const Tensor& b)", recorded, both(hrm::operator-)},
      {"operator*(const Tensor& a, const Tensor& b)", recorded, both(hrm::operator*)},
      {"operator/(const Tensor& a, const Tensor& b)", recorded, both(hrm::operator/)},
      {"operator*(double s, const Tensor& x)", recorded,
       one([](const Tensor& x) { return 2 * x; })},
      {"operator*(const Tensor& x, double s)", recorded,
       one([](const Tensor& x) { return x * 2; })},
      {"operator+(const Tensor& x, double s)", recorded,
       one([](const Tensor& x) { return x + 2; })},
      {"operator-(const Tensor& x, double s)", recorded,
       one([](const Tensor& x) { return x - 2; })},
      {"operator-(double s, const Tensor& x)", recorded,
       one([](const Tensor& x) { return 2 - x; })},
      {"operator-(const Tensor& x)", recorded, one([](const Tensor& x) { return -x; })},
      {"compare(CompareOp op, const Tensor& a, const Tensor& b)", Treats::integers,
       one([](const Tensor& x) { return compare(CompareOp::ge, x, x); })},
      {"compare(CompareOp op, const Tensor& a, double b)", Treats::integers,
       one([](const Tensor& x) { return compare(CompareOp::ge, x, 1.0); })},
      {"where(const Tensor& condition, const Tensor& a, const Tensor& b)",
       recorded,
       {[](const Tensor& x) {
          return where(compare(CompareOp::ge, constant({2, 6}), 1.0), x, constant({2, 6}));
        },
        [](const Tensor& x) {
          return where(compare(CompareOp::ge, constant({2, 6}), 1.0), constant({2, 6}), x);
        }}},
      {"unary(UnaryOp op, const Tensor& x)", recorded,
       one([](const Tensor& x) { return unary(UnaryOp::neg, x); })},
      {"minimum(const Tensor& a, const Tensor& b)", recorded, both(minimum)},
      {"pow(const Tensor& a, const Tensor& b)", recorded, both(hrm::pow)},
      {"pow(const Tensor& x, double exponent)", recorded,
       one([](const Tensor& x) { return pow(x, 1.5); })},
      {"clamp(const Tensor& x, double low, double high)", recorded,
       one([](const Tensor& x) { return clamp(x, -100, 100); })},
      {"operator+(double s, const Tensor& x)", recorded,
       one([](const Tensor& x) { return 2 + x; })},
      {"operator/(const Tensor& x, double s)", recorded,
       one([](const Tensor& x) { return x / 2; })},
      {"operator/(double s, const Tensor& x)", recorded,
       one([](const Tensor& x) { return 2 / x; })},
      {"operator+=(Tensor& x, const Tensor& y)",
       recorded,
       {[](const Tensor& x) {
          Tensor y = constant({2, 6});
          return y += x;
        },
        [](const Tensor& x) {
          Tensor y = x * 1;
          return y += constant({2, 6});
        }}},
      {"operator+=(Tensor& x, double s)", recorded,
       one([](const Tensor& x) { return changed(x * 1, [](Tensor& y) { y += 2; }); })},
      {"operator+=(Tensor&& view, const Tensor& y)",
       Treats::refused,
       {[](const Tensor& x) {
          constant({2, 6})[0] += x[0];
          return Tensor();
        },
        [](const Tensor& x) {
          (x * 1)[0] += constant({6});
          return Tensor();
        }}},
      {"operator+=(Tensor&& view, double s)", Treats::refused,
       one([](const Tensor& x) { return written((x * 1), [](const Tensor& y) { y[0] += 2; }); })},
      {"operator-=(Tensor& x, const Tensor& y)",
       recorded,
       {[](const Tensor& x) {
          Tensor y = constant({2, 6});
          return y -= x;
        },
        [](const Tensor& x) {
          Tensor y = x * 1;
          return y -= constant({2, 6});
        }}},
      {"operator-=(Tensor& x, double s)", recorded,
       one([](const Tensor& x) { return changed(x * 1, [](Tensor& y) { y -= 2; }); })},
      {"operator-=(Tensor&& view, const Tensor& y)",
       Treats::refused,
       {[](const Tensor& x) {
          constant({2, 6})[0] -= x[0];
          return Tensor();
        },
        [](const Tensor& x) {
          (x * 1)[0] -= constant({6});
          return Tensor();
        }}},
      {"operator-=(Tensor&& view, double s)", Treats::refused,
       one([](const Tensor& x) { return written((x * 1), [](const Tensor& y) { y[0] -= 2; }); })},
      {"operator*=(Tensor& x, const Tensor& y)",
       recorded,
       {[](const Tensor& x) {
          Tensor y = constant({2, 6});
          return y *= x;
        },
        [](const Tensor& x) {
          Tensor y = x * 1;
          return y *= constant({2, 6});
        }}},
      {"operator*=(Tensor& x, double s)", recorded,
       one([](const Tensor& x) { return changed(x * 1, [](Tensor& y) { y *= 2; }); })},
      {"operator*=(Tensor&& view, const Tensor& y)",
       Treats::refused,
       {[](const Tensor& x) {
          constant({2, 6})[0] *= x[0];
          return Tensor();
        },
        [](const Tensor& x) {
          (x * 1)[0] *= constant({6});
          return Tensor();
        }}},
      {"operator*=(Tensor&& view, double s)", Treats::refused,
       one([](const Tensor& x) { return written((x * 1), [](const Tensor& y) { y[0] *= 2; }); })},
      {"operator/=(Tensor& x, const Tensor& y)",
       recorded,
       {[](const Tensor& x) {
          Tensor y = constant({2, 6});
          return y /= x;
        },
        [](const Tensor& x) {
          Tensor y = x * 1;
          return y /= constant({2, 6});
        }}},
      {"operator/=(Tensor& x, double s)", recorded,
       one([](const Tensor& x) { return changed(x * 1, [](Tensor& y) { y /= 2; }); })},
      {"operator/=(Tensor&& view, const Tensor& y)",
       Treats::refused,
       {[](const Tensor& x) {
          constant({2, 6})[0] /= x[0];
          return Tensor();
        },
        [](const Tensor& x) {
          (x * 1)[0] /= constant({6});
          return Tensor();
        }}},
      {"operator/=(Tensor&& view, double s)", Treats::refused,
       one([](const Tensor& x) { return written((x * 1), [](const Tensor& y) { y[0] /= 2; }); })},
      {"operator>(const Tensor& a, const Tensor& b)", Treats::integers, one([](const Tensor& x) {
         return x > constant({2, 6});
       })},
      {"operator>(const Tensor& a, double b)", Treats::integers,
       one([](const Tensor& x) { return x > 1; })},
      {"operator>(double a, const Tensor& b)", Treats::integers,
       one([](const Tensor& x) { return 1 > x; })},
      {"operator>=(const Tensor& a, const Tensor& b)", Treats::integers, one([](const Tensor& x) {
         return x >= constant({2, 6});
       })},
      {"operator>=(const Tensor& a, double b)", Treats::integers,
       one([](const Tensor& x) { return x >= 1; })},
      {"operator>=(double a, const Tensor& b)", Treats::integers,
       one([](const Tensor& x) { return 1 >= x; })},
      {"operator<(const Tensor& a, const Tensor& b)", Treats::integers, one([](const Tensor& x) {
         return x < constant({2, 6});
       })},
      {"operator<(const Tensor& a, double b)", Treats::integers,
       one([](const Tensor& x) { return x < 1; })},
      {"operator<(double a, const Tensor& b)", Treats::integers,
       one([](const Tensor& x) { return 1 < x; })},
      {"operator<=(const Tensor& a, const Tensor& b)", Treats::integers, one([](const Tensor& x) {
         return x <= constant({2, 6});
       })},
      {"operator<=(const Tensor& a, double b)", Treats::integers,
       one([](const Tensor& x) { return x <= 1; })},
      {"operator<=(double a, const Tensor& b)", Treats::integers,
       one([](const Tensor& x) { return 1 <= x; })},
      {"operator==(const Tensor& a, const Tensor& b)", Treats::integers, one([](const Tensor& x) {
         return x == constant({2, 6});
       })},
      {"operator==(const Tensor& a, double b)", Treats::integers,
       one([](const Tensor& x) { return x == 1; })},
      {"operator==(double a, const Tensor& b)", Treats::integers,
       one([](const Tensor& x) { return 1 == x; })},
      {"operator!=(const Tensor& a, const Tensor& b)", Treats::integers, one([](const Tensor& x) {
         return x != constant({2, 6});
       })},
      {"operator!=(const Tensor& a, double b)", Treats::integers,
       one([](const Tensor& x) { return x != 1; })},
      {"operator!=(double a, const Tensor& b)", Treats::integers,
       one([](const Tensor& x) { return 1 != x; })},
      {"logical_not(const Tensor& mask)", Treats::integers,
       one([](const Tensor& x) { return logical_not(x > 1); })},
      {"logical_and(const Tensor& a, const Tensor& b)", Treats::integers,
       one([](const Tensor& x) { return logical_and(x > 1, x < 2); })},
      {"logical_or(const Tensor& a, const Tensor& b)", Treats::integers,
       one([](const Tensor& x) { return logical_or(x > 1, x < 2); })},
      {"relu(const Tensor& x)", recorded, one(relu)},
      {"sin(const Tensor& x)", recorded, one(hrm::sin)},
      {"cos(const Tensor& x)", recorded, one(hrm::cos)},
      {"exp(const Tensor& x)", recorded, one(hrm::exp)},
      {"log(const Tensor& x)", recorded, one(hrm::log)},
      {"sqrt(const Tensor& x)", recorded, one(hrm::sqrt)},
      {"rsqrt(const Tensor& x)", recorded, one(rsqrt)},
      {"sigmoid(const Tensor& x)", recorded, one(sigmoid)},
      {"silu(const Tensor& x)", recorded, one(silu)},
      {"gelu(const Tensor& x)", recorded, one(gelu)},
      {"tanh(const Tensor& x)", recorded, one(hrm::tanh)},
      {"abs(const Tensor& x)", recorded, one(hrm::abs)},
      {"square(const Tensor& x)", recorded, one(square)},
      {"cast(const Tensor& x, DType dtype)", recorded,
       one([](const Tensor& x) { return cast(x, DType::f32); })},
  };
}

std::vector<Listed> shapes_and_sums() {
  const auto recorded = Treats::recorded;
  return {
      {"reshape(const Tensor& x, const Shape& shape)", recorded, one([](const Tensor& x) {
         return reshape(x, {3, -1});
       })},
      {"transpose(const Tensor& x, int a, int b)", recorded,
       one([](const Tensor& x) { return transpose(x, 0, 1); })},
      {"slice(const Tensor& x, int dim, int64_t start, int64_t end, int64_t step = 1)", recorded,
       one([](const Tensor& x) { return slice(x, 1, 0, 4); })},
      {"select(const Tensor& x, int dim, int64_t position)", recorded,
       one([](const Tensor& x) { return select(x, 1, 3); })},
      {"expand(const Tensor& x, const Shape& shape)", recorded, one([](const Tensor& x) {
         return expand(x, {3, 2, 6});
       })},
      {"concat(const Tensors& parts, int dim)",
       recorded,
       {[](const Tensor& x) {
          return concat({x, constant({2, 6})}, 0);
        },
        [](const Tensor& x) {
          return concat({constant({2, 6}), x}, 1);
        }}},
      {"permute(const Tensor& x, const std::vector<int>& order)", recorded,
       one([](const Tensor& x) {
         return permute(x, {1, 0});
       })},
      {"stack(const Tensors& parts, int dim)",
       recorded,
       {[](const Tensor& x) {
          return stack({x, constant({2, 6})}, 1);
        },
        [](const Tensor& x) {
          return stack({constant({2, 6}), x}, 0);
        }}},
      {"flip(const Tensor& x, int dim)", recorded, one([](const Tensor& x) { return flip(x, 1); })},
      {"shift(const Tensor& x, int dim, int64_t by)", recorded,
       one([](const Tensor& x) { return shift(x, 1, -2); })},
      {"cummax(const Tensor& x, int dim, Direction direction = Direction::forward)", recorded,
       one([](const Tensor& x) { return cummax(x, 1); })},
      {"cummax_diagonal(const Tensor& x, int rows_dim, Direction along_rows, Direction along_cols)",
       recorded, one([](const Tensor& x) {
         return cummax_diagonal(x, 0, Direction::forward, Direction::backward);
       })},
      {"pad(const Tensor& x, int dim, int64_t before, int64_t after)", recorded,
       one([](const Tensor& x) { return pad(x, 0, 1, 2); })},
      {"unsqueeze(const Tensor& x, int dim)", recorded,
       one([](const Tensor& x) { return unsqueeze(x, 1); })},
      {"squeeze(const Tensor& x, int dim)", recorded,
       one([](const Tensor& x) { return squeeze(unsqueeze(x, 1), 1); })},
      {"squeeze(const Tensor& x)", recorded,
       one([](const Tensor& x) { return squeeze(unsqueeze(x, 1)); })},
      {"flatten(const Tensor& x, int from = 0)", recorded,
       one([](const Tensor& x) { return flatten(x); })},
      {"tril(const Tensor& x, int64_t diagonal = 0)", recorded,
       one([](const Tensor& x) { return tril(x); })},
      {"triu(const Tensor& x, int64_t diagonal = 0)", recorded,
       one([](const Tensor& x) { return triu(x); })},
      {"mean(const Tensor& x)", recorded, one([](const Tensor& x) { return mean(x); })},
      {"var(const Tensor& x)", recorded, one([](const Tensor& x) { return var(x); })},
      {"var(const Tensor& x, int dim, bool keepdim = false, double correction = 1)", recorded,
       one([](const Tensor& x) { return var(x, 0); })},
      {"max(const Tensor& x)", recorded, one([](const Tensor& x) { return max(x); })},
      {"min(const Tensor& x)", recorded, one([](const Tensor& x) { return min(x); })},
      {"softmax(const Tensor& x, int dim)", recorded,
       one([](const Tensor& x) { return softmax(x, 0); })},
      {"log_softmax(const Tensor& x, int dim)", recorded,
       one([](const Tensor& x) { return log_softmax(x, 0); })},
      {"topk(const Tensor& x, int64_t k)", recorded,
       one([](const Tensor& x) { return topk(x, 3).first; })},
      {"cumsum(const Tensor& x, int dim, Direction direction = Direction::forward)", recorded,
       one([](const Tensor& x) { return cumsum(x, 1); })},
      {"one_hot(const Tensor& ids, int64_t classes, DType dtype = DType::f32)",
       Treats::by_its_name,
       {}},
      {"einsum(const std::string& equation, const Tensors& operands)",
       recorded,
       {[](const Tensor& x) {
          return einsum("ij,jk->ik", {x, constant({6, 2})});
        },
        [](const Tensor& x) {
          return einsum("ij,jk->ik", {constant({6, 2}), x});
        }}},
      {"im2col(const Tensor& x, int64_t size, int64_t stride = 1, int64_t padding = 0)", recorded,
       one([](const Tensor& x) {
         return im2col(reshape(x, {1, 1, 3, 4}), 2);
       })},
      {"conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {}, int64_t stride = 1, "
       "int64_t padding = 0, const Tensor& copy = {})",
       recorded,
       {[](const Tensor& x) {
          return conv2d(reshape(x, {1, 1, 3, 4}), constant({2, 1, 2, 2}));
        },
        [](const Tensor& x) {
          return conv2d(constant({1, 3, 3, 4}), reshape(x, {1, 3, 2, 2}));
        },
        [](const Tensor& x) {
          return conv2d(constant({1, 1, 3, 4}), constant({2, 1, 2, 2}), x.select(1, 0));
        }}},
      {"max_pool2d(const Tensor& x, int64_t size)", recorded, one([](const Tensor& x) {
         return max_pool2d(reshape(x, {1, 1, 2, 6}), 2);
       })},
      {"mse_loss(const Tensor& input, const Tensor& target)", recorded, both(mse_loss)},
      {"cross_entropy(const Tensor& logits, const Tensor& labels)", recorded,
       one([](const Tensor& x) {
         return cross_entropy(x, ids({1, 5}));
       })},
      {"binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target)", recorded,
       one([](const Tensor& x) {
         return binary_cross_entropy_with_logits(x, zeros({2, 6}, DType::f64));
       })},
      {"Conv2d::forward(const Tensor& x) const", recorded, one([](const Tensor& x) {
         return a_conv2d().forward(reshape(x, {1, 1, 3, 4}));
       })},
      {"Dropout::forward(const Tensor& x) const", recorded,
       one([](const Tensor& x) { return Dropout(0.5, 7).forward(x); })},
      {"Sequential::forward(const Tensor& x) const", recorded,
       one([](const Tensor& x) { return a_sequential().forward(x); })},
      {"sum(const Tensor& x)", recorded, one([](const Tensor& x) { return sum(x); })},
      {"sum(const Tensor& x, int dim, bool keepdim = false)", recorded,
       one([](const Tensor& x) { return sum(x, 1); })},
      {"mean(const Tensor& x, int dim, bool keepdim = false)", recorded,
       one([](const Tensor& x) { return mean(x, 0, true); })},
      {"max(const Tensor& x, int dim, bool keepdim = false)", recorded,
       one([](const Tensor& x) { return max(x, 1); })},
      {"min(const Tensor& x, int dim, bool keepdim = false)", recorded,
       one([](const Tensor& x) { return min(x, 0); })},
      {"argmax(const Tensor& x)", Treats::integers, one(argmax)},
      {"softmax(const Tensor& x)", recorded, one([](const Tensor& x) { return softmax(x); })},
      {"log_softmax(const Tensor& x)", recorded,
       one([](const Tensor& x) { return log_softmax(x); })},
      {"sum(const Tensor& x, const Dims& dims, bool keepdim = false)", recorded,
       one([](const Tensor& x) {
         return sum(x, {1, 0});
       })},
      {"mean(const Tensor& x, const Dims& dims, bool keepdim = false)", recorded,
       one([](const Tensor& x) {
         return mean(x, {0, 1});
       })},
      {"max(const Tensor& x, const Dims& dims, bool keepdim = false)", recorded,
       one([](const Tensor& x) {
         return max(x, {0, 1});
       })},
      {"min(const Tensor& x, const Dims& dims, bool keepdim = false)", recorded,
       one([](const Tensor& x) {
         return min(x, {0, 1});
       })},
      {"softmax(const Tensor& x, const Dims& dims)", recorded, one([](const Tensor& x) {
         return softmax(x, {0, 1});
       })},
      {"log_softmax(const Tensor& x, const Dims& dims)", recorded,
       one([](const Tensor& x) { return log_softmax(x, Dims{0}); })},
      {"logsumexp(const Tensor& x, const Dims& dims, bool keepdim = false)", recorded,
       one([](const Tensor& x) {
         return logsumexp(x, {0, 1});
       })},
      {"masked_mean(const Tensor& x, const Tensor& mask, const Dims& dims, bool keepdim = false, "
       "double eps = 0)",
       recorded,
       {[](const Tensor& x) {
          return masked_mean(x, constant({2, 1}), {0});
        },
        [](const Tensor& x) {
          return masked_mean(constant({2, 6}), x, {1});
        }}},
      {"standardize(const Tensor& x, const Dims& dims, double eps = 1e-5)", recorded,
       one([](const Tensor& x) { return standardize(x, {1}); })},
      {"embedding(const Tensor& table, const Tensor& ids, double scale = 1, const Tensor& copy = "
       "{})",
       recorded, one([](const Tensor& x) {
         return embedding(x, ids({1, 0, 1}), 2);
       })},
      {"gather_last(const Tensor& x, const Tensor& index)", recorded, one([](const Tensor& x) {
         return gather_last(x, from_vector<int32_t>({0, 5, 5, 1}, {2, 2}));
       })},
      {"scatter_add(const Tensor& source, const Tensor& ids, int64_t rows)", recorded,
       one([](const Tensor& x) {
         return scatter_add(x, ids({2, 0}), 3);
       })},
  };
}

std::vector<Listed> products_and_norms() {
  const auto recorded = Treats::recorded;
  return {
      {"matmul(const Tensor& a, const Tensor& b)",
       recorded,
       {[](const Tensor& x) {
          return matmul(x, constant({6, 3}));
        },
        [](const Tensor& x) {
          return matmul(constant({3, 2}), x);
        },
        [](const Tensor& x) {
          return matmul(constant({2, 3, 2}), expand(x, {2, 2, 6}));
        }}},
      {"linear(const Tensor& x, const Tensor& weight, const Tensor& copy = {}, const Tensor& bias "
       "= {}, std::shared_ptr<PackedWeight> packed = nullptr, const Tensor& residual = {})",
       recorded,
       {[](const Tensor& x) {
          return linear(x, constant({3, 6}));
        },
        [](const Tensor& x) {
          return linear(constant({3, 6}), x);
        },
        [](const Tensor& x) {
          return linear(constant({3, 6}), constant({2, 6}), {}, select(x, 1, 2));
        },
        [](const Tensor& x) {
          return linear(constant({2, 3}), constant({6, 3}), {}, {}, nullptr, x);
        }}},
      {"swiglu_linear(const Tensor& gate_up, const Tensor& weight, const Tensor& copy = {}, "
       "const std::shared_ptr<PackedWeight>& packed = nullptr, const Tensor& residual = {})",
       recorded,
       {[](const Tensor& x) {
          return swiglu_linear(x, constant({4, 3}));
        },
        [](const Tensor& x) {
          return swiglu_linear(constant({3, 12}), x);
        },
        [](const Tensor& x) {
          return swiglu_linear(constant({2, 8}), constant({6, 4}), {}, nullptr, x);
        }}},
      {"swiglu(const Tensor& gate_up)", recorded, one(swiglu)},
      {"swiglu_reference(const Tensor& gate_up)", recorded, one(swiglu_reference)},
      {"swiglu_gradient(const Tensor& gate_up, const Tensor& dy)",
       Treats::refused,
       {[](const Tensor& x) {
          return swiglu_gradient(x, constant({2, 3}));
        },
        [](const Tensor& x) {
          return swiglu_gradient(constant({2, 12}), x);
        }}},
      {"layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5)",
       recorded, of_layer_norm(layer_norm)},
      {"layer_norm_reference(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps "
       "= 1e-5)",
       recorded, of_layer_norm(layer_norm_reference)},
      {"orthogonalized(const Tensor& g)", recorded,
       one([](const Tensor& x) { return orthogonalized(x); })},
      {"rms_norm(const Tensor& h, double eps = 1e-5)", recorded,
       one([](const Tensor& x) { return rms_norm(x); })},
      {"rms_norm_reference(const Tensor& h, double eps = 1e-5)", recorded,
       one([](const Tensor& x) { return rms_norm_reference(x); })},
      {"add_rms_norm(const Tensor& x, const Tensor& residual, double eps = 1e-5)",
       recorded,
       {[](const Tensor& x) {
          return add_rms_norm(x, constant({2, 6}));
        },
        [](const Tensor& x) {
          return add_rms_norm(constant({2, 6}), x);
        }}},
  };
}

std::vector<Listed> attention_and_losses() {
  const auto recorded = Treats::recorded;
  return {
      {"rope(const Tensor& x, const RopeTables& tables)", recorded, one([](const Tensor& x) {
         return rope(reshape(x, {1, 2, 1, 6}), tables(2, 6));
       })},
      {"rope_reference(const Tensor& x, const RopeTables& tables)", recorded,
       one([](const Tensor& x) {
         return rope_reference(reshape(x, {1, 2, 1, 6}), tables(2, 6));
       })},
      {"attention(const Tensor& qkv, int64_t heads, const RopeTables* tables, const DropoutStream& "
       "drop "
       "= {})",
       recorded, one([](const Tensor& x) { return attention(as_batch(x), 1, nullptr); })},
      {"attention_weights(const Tensor& qkv, int64_t heads, const RopeTables* tables)", recorded,
       one([](const Tensor& x) { return attention_weights(as_batch(x), 1, nullptr); })},
      {"attention_reference(const Tensor& qkv, int64_t heads, const RopeTables* tables, const "
       "DropoutStream& drop = {})",
       recorded, one([](const Tensor& x) { return attention_reference(as_batch(x), 1, nullptr); })},
      {"attention_first(const Tensor& qkv, int64_t heads, const RopeTables* tables)",
       Treats::refused,
       one([](const Tensor& x) { return attention_first(as_batch(x), 1, nullptr); })},
      {"cross_entropy(LossType kind, const Tensor& logits, const Tensor& labels)", recorded,
       one([](const Tensor& x) {
         return cross_entropy(kSoftmaxLoss, x, ids({5, 0}));
       })},
      {"cross_entropy_reference(LossType kind, const Tensor& logits, const Tensor& labels)",
       recorded, one([](const Tensor& x) {
         return cross_entropy_reference(kSoftmaxLoss, x, ids({5, 0}));
       })},
      {"stablemax_transform(const Tensor& x)", recorded, one(stablemax_transform)},
      {"dropout(const Tensor& x, const DropoutStream& drop, const Tensor& residual = {})",
       recorded,
       {[](const Tensor& x) {
          return dropout(x, {0.5, 3});
        },
        [](const Tensor& x) {
          return dropout(constant({2, 6}), {0.5, 3}, x);
        }}},
      {"multinomial(const Tensor& weights, const Tensor& uniform)", Treats::integers,
       one([](const Tensor& x) { return multinomial(x, constant({2}) * 0.5); })},
      {"bce_with_logits(const Tensor& logits, const Tensor& target, const Tensor& weight = {})",
       recorded, one([](const Tensor& x) {
         return bce_with_logits(x, constant({2, 6}));
       })},
  };
}

std::vector<Listed> layers() {
  const auto recorded = Treats::recorded;
  return {
      {"Linear::forward(const Tensor& x, const Tensor& residual = {}) const",
       recorded,
       {[](const Tensor& x) { return a_linear().forward(x); },
        [](const Tensor& x) {
          return a_linear().forward(constant({4, 6}), reshape(x, {4, 3}));
        }}},
      {"Linear::forward_swiglu(const Tensor& gate_up, const Tensor& residual = {}) const",
       recorded,
       {[](const Tensor& x) {
          return a_linear().forward_swiglu(reshape(x, {1, 12}));
        },
        [](const Tensor& x) {
          return a_linear().forward_swiglu(constant({4, 12}), reshape(x, {4, 3}));
        }}},
      {"Embedding::forward(const Tensor& ids, double scale = 1) const", Treats::by_its_name, {}},
      {"SparseEmbedding::rows(const Tensor& ids, bool training) const", Treats::by_its_name, {}},
      {"LayerNorm::forward(const Tensor& x) const", recorded,
       one([](const Tensor& x) { return a_layer_norm().forward(x); })},
      {"Attention::forward(const Tensor& x, const RopeTables* tables, const Tensor& residual = {}) "
       "const",
       recorded,
       {[](const Tensor& x) { return an_attention().forward(as_batch(x), nullptr); },
        [](const Tensor& x) {
          return an_attention().forward(constant({1, 2, 6}), nullptr, as_batch(x));
        }}},
      {"Attention::mix(const Tensor& x, const RopeTables* tables, const DropoutStream& drop = {}) "
       "const",
       recorded, one([](const Tensor& x) { return an_attention().mix(as_batch(x), nullptr); })},
      {"Attention::weights(const Tensor& x, const RopeTables* tables) const", recorded,
       one([](const Tensor& x) { return an_attention().weights(as_batch(x), nullptr); })},
      {"Attention::forward_first(const Tensor& x, const RopeTables* tables, const Tensor& residual "
       "= {}) const",
       recorded,
       {[](const Tensor& x) { return an_attention().forward_first(as_batch(x), nullptr); },
        [](const Tensor& x) {
          return an_attention().forward_first(constant({1, 2, 6}), nullptr, one_position(x));
        }}},
      {"SwiGLU::forward(const Tensor& x, const Tensor& residual = {}) const",
       recorded,
       {[](const Tensor& x) { return a_swiglu().forward(x); },
        [](const Tensor& x) {
          return a_swiglu().forward(constant({2, 6}), x);
        }}},
      {"Block::forward(const Tensor& h, const RopeTables* tables) const", recorded,
       one([](const Tensor& x) { return a_block().forward(as_batch(x), nullptr); })},
      {"act_step(ActState& state, const Tensor& h, bool is_last, double epsilon = 0.01)", recorded,
       one([](const Tensor& x) {
         ActState state = act_begin({2, 6}, DType::f64);
         act_step(state, sigmoid(x) * 0.4, false);
         return act_step(state, sigmoid(x), true);
       })},
      {"weighted_sum(const Tensors& weights, const Tensors& y)",
       recorded,
       {[](const Tensor& x) {
          return weighted_sum({x}, {constant({2, 6, 3})});
        },
        [](const Tensor& x) { return weighted_sum({constant({2})}, {x}); }}},
      {"Block::forward_first(const Tensor& h, const RopeTables* tables) const", recorded,
       one([](const Tensor& x) { return a_block().forward_first(as_batch(x), nullptr); })},
  };
}

std::vector<Listed> all_listed() {
  std::vector<Listed> all;
  for (auto* part :
       {members, arithmetic, shapes_and_sums, products_and_norms, attention_and_losses, layers})
    for (Listed& entry : part()) all.push_back(std::move(entry));
  return all;
}

// A leaf (2, 6), and a view (2, 6) of a leaf (6, 2), whose memory lies the other way round.
Tensor leaf() { return constant({2, 6}, 12).set_requires_grad(); }
Tensor other_way(const Tensor& upright) { return transpose(upright, 0, 1); }

void check_recorded(const std::string& function, const Call& call) {
  const auto in_order = [&](const Tensors& in) { return Tensors{call(in[0])}; };
  const auto across = [&](const Tensors& in) { return Tensors{call(other_way(in[0]))}; };
  const Tensor upright = constant({6, 2}, 12).set_requires_grad();
  const Tensor x = leaf(), y = call(x), turned = call(other_way(upright));
  CHECK_MESSAGE(y.requires_grad(), function);
  CHECK_MESSAGE(turned.requires_grad(), function);
  if (!y.requires_grad() || !turned.requires_grad()) return;
  const Tensor slope = grad({sum(y)}, {x})[0];
  CHECK_MESSAGE(slope.defined(), function);
  CHECK_MESSAGE(grad({sum(turned)}, {upright})[0].defined(), function);
  if (y.dtype() != DType::f64) return;  // too coarse for differences
  GradcheckOptions options;
  options.tolerance = 1e-7;
  CHECK_MESSAGE(gradcheck(in_order, {leaf()}, options) == "", function);
  CHECK_MESSAGE(gradcheck(across, {constant({6, 2}, 12).set_requires_grad()}, options) == "",
                function);
}

void check_call(const Listed& entry, const Call& call) {
  switch (entry.treats) {
    case Treats::recorded:
      return check_recorded(entry.function, call);
    case Treats::refused: {
      std::string message = "no error";
      try {
        call(leaf());
      } catch (const Error& error) {
        message = error.what();
      }
      CHECK_MESSAGE(message.find("HINT: ") != std::string::npos, entry.function, ": ", message);
      const NoGradGuard no_grad;
      CHECK_NOTHROW_MESSAGE(call(leaf()), entry.function);
      return;
    }
    case Treats::integers: {
      const Tensor y = call(leaf());
      CHECK_MESSAGE(!is_floating(y.dtype()), entry.function);
      CHECK_MESSAGE(!y.requires_grad(), entry.function);
      return;
    }
    case Treats::by_its_name:
      return;
  }
}

}  // namespace

TEST_CASE("every function from tensor to tensor is in the list, and nothing else") {
  const std::set<std::string> found = tensor_functions();
  std::set<std::string> listed;
  for (const Listed& entry : all_listed()) {
    CHECK_MESSAGE(listed.insert(entry.function).second, "twice in the list: ", entry.function);
    CHECK_MESSAGE(found.contains(entry.function), "in no header: ", entry.function);
    CHECK_MESSAGE(entry.calls.empty() == (entry.treats == Treats::by_its_name), entry.function);
  }
  for (const std::string& function : found)
    CHECK_MESSAGE(listed.contains(function), "not in the list: ", function);
}

TEST_CASE("every function from tensor to tensor records or refuses: gradcheck") {
  for (const Listed& entry : all_listed())
    for (const Call& call : entry.calls) check_call(entry, call);
}

TEST_CASE("the reader of headers finds what it must find") {
  const TempDir folder;
  std::ofstream(folder / "a.h") << "#pragma once\n"
                                   "namespace hrm {\n"
                                   "class Tensor : public Base {\n"
                                   "  Tensor hidden() const;\n"
                                   " public:\n"
                                   "  Tensor() = default;\n"
                                   "  explicit Tensor(Storage s) : s_(s) { int a = 1; }\n"
                                   "  int ndim() const { return 1; }\n"
                                   "  Tensor shown(int a,  // Tensor\n"
                                   "               int b = {}) const { return {}; }\n"
                                   "  void write() { fill(0); }\n"
                                   "};\n"
                                   "Tensor from_nothing(int n);\n"
                                   "inline std::pair<Tensor, int> two(const Tensors& all);\n"
                                   "double item(const Tensor& x);\n"
                                   "}\n";
  std::vector<std::string> found;
  for (const Header::Declaration& d : Header(folder / "a.h").declarations())
    if (const std::string f = tensor_function(d); !f.empty()) found.push_back(f);
  CHECK(found == std::vector<std::string>{"Tensor::shown(int a, int b = {}) const",
                                          "Tensor::write()", "two(const Tensors& all)"});
}
