// A tiny GPT learns a text letter by letter, and then writes one. Half a minute; any text file of
// 1,000 characters or more will do, docs/tour.md for example.
//
//     build/cpu/examples/char_gpt FILE [STEPS]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include <hrm/hrm.h>

using namespace hrm;

constexpr int64_t kContext = 64, kHidden = 64, kHeads = 4, kLayers = 2, kBatch = 16;

// Each position looks at itself and at those before it (Vaswani et al. 2017).
struct CausalAttention : Module {
  CausalAttention() {
    add_module("qkv", &qkv);
    add_module("out", &out);
  }
  Tensor forward(const Tensor& x) const {  // [batch, seq, hidden]
    const int64_t batch = x.size(0), seq = x.size(1), head = kHidden / kHeads;
    // [3, batch, heads, seq, head]
    const Tensor all =
        qkv.forward(x).reshape({batch, seq, 3, kHeads, head}).permute({2, 0, 3, 1, 4});
    const Tensor scores = einsum("bhqd,bhkd->bhqk", {all[0], all[1]}) / std::sqrt(head);
    const Tensor sees = tril(ones({seq, seq})) > 0;
    const Tensor weights = where(sees, scores, tensor(-1e9)).softmax(-1);
    const Tensor mixed = einsum("bhqk,bhkd->bqhd", {weights, all[2]});
    return out.forward(mixed.reshape({batch, seq, kHidden}));
  }
  Linear qkv{kHidden, 3 * kHidden}, out{kHidden, kHidden};
};

struct Layer : Module {
  Layer() {
    mlp.add<Linear>(kHidden, 4 * kHidden).add(gelu).add<Linear>(4 * kHidden, kHidden);
    add_module("norm1", &norm1);
    add_module("attention", &attention);
    add_module("norm2", &norm2);
    add_module("mlp", &mlp);
  }
  Tensor forward(const Tensor& x) const {
    const Tensor y = x + attention.forward(norm1.forward(x));
    return y + mlp.forward(norm2.forward(y));
  }
  LayerNorm norm1{kHidden}, norm2{kHidden};
  CausalAttention attention;
  Sequential mlp;
};

struct Gpt : Module {
  explicit Gpt(int64_t letters) : letter(letters, kHidden, 0.5), head(kHidden, letters) {
    for (int64_t i = 0; i < kLayers; ++i) blocks.add<Layer>();
    add_module("letter", &letter);
    add_module("place", &place);
    add_module("blocks", &blocks);
    add_module("norm", &norm);
    add_module("head", &head);
  }
  // i32 [batch, seq] -> logits of the letter behind each, [batch, seq, letters].
  Tensor forward(const Tensor& ids) const {
    const Tensor x = letter.forward(ids) + place.forward(arange(ids.size(1)));
    return head.forward(norm.forward(blocks.forward(x)));
  }
  Embedding letter, place{kContext, kHidden, 0.1};
  Sequential blocks;
  LayerNorm norm{kHidden};
  Linear head;
};

// Goes on writing, one letter at a time.
std::string sample(const Gpt& gpt, const std::string& letters, int64_t length) {
  const NoGradGuard no_grad;
  std::string text;
  std::vector<int32_t> ids = {0};
  for (int64_t i = 0; i < length; ++i) {
    const size_t first = ids.size() > kContext ? ids.size() - kContext : 0;
    const std::vector<int32_t> seen(ids.begin() + static_cast<int64_t>(first), ids.end());
    const Tensor logits = gpt.forward(from_vector(seen, {1, std::ssize(seen)}))[0][-1];
    const Tensor next =
        multinomial((logits * 1.25).softmax(-1).reshape({1, -1}), rand({1}, DType::f64));
    ids.push_back(static_cast<int32_t>(next.item()));
    text += letters[ids.back()];
  }
  return text;
}

int main(int count, char** arguments) {
  const int steps = count > 2 ? std::atoi(arguments[2]) : 1500;
  std::ifstream file(count > 1 ? arguments[1] : "");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  if (text.size() < 1000 || steps < 1) {
    std::fprintf(
        stderr,
        "usage: char_gpt FILE [STEPS]: a text of 1,000 characters or more, and 1 step or more\n");
    return 2;
  }
  std::string letters;  // that occur, each once
  std::vector<int32_t> ids;
  for (const char c : text) {
    if (letters.find(c) == std::string::npos) letters += c;
    ids.push_back(static_cast<int32_t>(letters.find(c)));
  }
  const Tensor all = from_vector(ids, {std::ssize(ids)});

  manual_seed(1);
  Gpt gpt(std::ssize(letters));
  AdamW optimizer(gpt.named_parameters());
  Random random(2);
  std::printf("%zu characters, %zu different ones, %lld weights\n", text.size(), letters.size(),
              static_cast<long long>(gpt.parameter_count()));
  double average = 0;
  for (int step = 1; step <= steps; ++step) {
    Tensors rows;
    for (int64_t i = 0; i < kBatch; ++i) {
      const int64_t start = random.below(all.numel() - kContext);
      rows.push_back(all[Slice(start, start + kContext + 1)]);
    }
    const Tensor batch = stack(rows, 0);
    const Tensor logits = gpt.forward(batch.index({Slice(), Slice(0, -1)}));
    const Tensor loss = cross_entropy(logits, batch.index({Slice(), Slice(1)}));
    loss.backward();
    optimizer.step(2e-3 * std::min(1.0, 1.1 - static_cast<double>(step) / steps));
    optimizer.zero_grad();
    average += loss.item();
    if (step % 250 == 0 || step == steps) {
      const int last = step % 250 == 0 ? 250 : step % 250;
      std::printf("step %d  loss %.3f (in letters: one of %.1f)\n", step, average / last,
                  std::exp(average / last));
      average = 0;
    }
  }
  std::printf("\n%s\n", sample(gpt, letters, 400).c_str());
}
