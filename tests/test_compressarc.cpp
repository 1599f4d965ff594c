// The parts of examples/compressarc. The numbers of the official code are checked by the parity
// program.
#include <algorithm>
#include <cmath>
#include <set>

#include <nlohmann/json.hpp>

#include "autograd/engine.h"
#include "autograd/grad_mode.h"
#include "autograd/gradcheck.h"
#include "autograd/ops/ops.h"
#include "examples/compressarc/answers.h"
#include "examples/compressarc/loss.h"
#include "examples/compressarc/page.h"
#include "examples/compressarc/task_fit.h"
#include "hrm/tasks/arc_files.h"
#include "tests/compressarc/composed.h"
#include "tests/support/support.h"

using namespace hrm;
using namespace hrm::test;
using namespace hrm::compressarc;

namespace {

ArcGrid grid(const std::string& rows) { return parse_grid_text(rows, "test"); }

// Two demonstrations and a test; inputs are larger than outputs.
ArcTask a_task() {
  ArcTask task;
  task.id = "cafe0123";
  task.train = {{grid("120/003"), grid("12/20")}, {grid("45/50"), grid("33/03")}};
  task.test = {{grid("1/2/2"), grid("7")}};
  return task;
}

// Grids of 9 x 7 and less, whose outputs are as large as their inputs.
ArcTask a_larger_task() {
  ArcTask task;
  task.id = "cafe0124";
  Random random(17);
  const auto draw = [&](int height, int width) {
    ArcGrid drawn{height, width, {}};
    for (const double v : random.uniform({height * width}, 0, 4.99, DType::f64).to_vector())
      drawn.cells.push_back(static_cast<uint8_t>(v));
    return drawn;
  };
  task.train = {{draw(9, 7), draw(9, 7)}, {draw(6, 7), draw(6, 7)}, {draw(9, 4), draw(9, 4)}};
  task.test = {{draw(8, 5), draw(8, 5)}};
  return task;
}

// Nothing is sure of the sizes.
ArcTask a_task_of_unknown_sizes() {
  ArcTask task = a_task();
  task.id = "cafe0125";
  task.train[1].output = grid("333/000");
  return task;
}

// One cell, one colour.
ArcTask the_smallest_task() {
  ArcTask task;
  task.id = "cafe0127";
  task.train = {{grid("1"), grid("0")}};
  task.test = {{grid("1"), {}}};
  return task;
}

double max_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector(), y = b.to_vector();
  double most = x.size() == y.size() ? 0 : INFINITY;
  for (size_t i = 0; i < x.size(); ++i) most = std::max(most, std::abs(x[i] - y[i]));
  return most;
}

double norm(const Tensor& x) {
  double total = 0;
  for (const double v : x.to_vector()) total += v * v;
  return std::sqrt(total);
}

// The same values, and the same gradients from these cotangents.
void check_same(const Tensors& got, const Tensors& want, const Tensors& leaves,
                const Tensors& cotangents) {
  for (size_t i = 0; i < got.size(); ++i)
    CHECK_MESSAGE(max_difference(got[i], want[i]) <= 1e-10 * (1 + norm(want[i])), "output ", i);
  const Tensors ours = grad(got, leaves, cotangents), theirs = grad(want, leaves, cotangents);
  for (size_t i = 0; i < leaves.size(); ++i)
    CHECK_MESSAGE(max_difference(ours[i], theirs[i]) <= 1e-9 * (1e-3 + norm(theirs[i])), "leaf ",
                  i);
}

// Weights of a part of a layer with so many channels inside. inside 0: maps of directions; -1: no
// weights. back -1: two channels for each set of axes of a softmax; 0: as many as inside.
Weights draw_weights(const Canvas& canvas, Random& random, int inside, int back) {
  Weights weights;
  for (const Subset s : subsets()) {
    if (!(s.owner() == s) || inside < 0) continue;
    const auto draw = [&](const Shape& shape) {
      return random.normal(shape, 0.5, canvas.dtype).set_requires_grad();
    };
    if (inside == 0) {
      if (s.has(kDirection)) weights.down[s] = draw({direction_maps(s).count, 8, 8});
      continue;
    }
    if (inside == 4 && !contains(walking_subsets(), s)) continue;
    weights.down[s] = draw({s.channels(), inside});
    weights.up[s] = draw({back < 0 ? 2 * std::ssize(softmax_sets(s)) : inside, s.channels()});
  }
  return weights;
}

void check_layer(const Canvas& canvas, Random& random, const Layer& layer,
                 const std::function<Stream(const Stream&, const Weights&)>& composed, int inside,
                 int back) {
  Stream x;
  Tensors leaves;
  for (const Subset s : subsets()) {
    x[s] = random.normal(s.shape(canvas.sizes, s.channels()), 1, canvas.dtype).set_requires_grad();
    leaves.push_back(x[s]);
  }
  const Weights weights = draw_weights(canvas, random, inside, back);
  for (const Multitensor<Tensor>* part : {&weights.down, &weights.up})
    for (const Tensor& weight : part->all)
      if (weight.defined()) leaves.push_back(weight);
  const Stream want = composed(x, weights);
  Stream got = x;
  layer.apply(got, weights);
  Tensors ours, theirs, cotangents;
  for (const Subset s : subsets()) {
    ours.push_back(got[s]);
    theirs.push_back(want[s]);
    cotangents.push_back(random.normal(want[s].shape(), 1, canvas.dtype));
  }
  check_same(ours, theirs, leaves, cotangents);
}

Tensor total_loss(const CodedTask& task, const Network& network, uint64_t seed, int64_t step) {
  Random random(seed);
  const TaskOutputs out = network.forward(network.draw_noise(random));
  return out.total_kl() + kReconstructionWeight * reconstruction(task, out, step);
}

}  // namespace

TEST_CASE("compressarc: a task becomes codes on one canvas, and its answers stay unseen") {
  const CodedTask task = code_task(a_task());
  CHECK(task.colours == std::vector<uint8_t>{0, 1, 2, 3, 4, 5});  // 7 occurs in an answer alone
  CHECK(task.rows == 3);
  CHECK(task.cols == 3);
  CHECK(!task.outputs_like_inputs);
  CHECK(!task.one_input_size);
  CHECK(task.one_output_size);
  CHECK(task.size(2, kOutput) == GridSize{2, 2});  // that of all outputs
  CHECK(task.code(0, 1, 2, kInput) == 3);
  CHECK(task.code(1, 0, 1, kInput) == 5);
  CHECK(task.code(1, 2, 2, kInput) == 0);  // outside
  CHECK(task.code(2, 0, 0, kOutput) == 0);

  ArcTask like = a_task();
  for (ArcPair& pair : like.train) pair.output = pair.input;
  CHECK(code_task(like).size(2, kOutput) == GridSize{3, 1});
  ArcTask other = a_task();
  other.train[1].output = grid("333/000");
  CHECK(code_task(other).size(2, kOutput) == GridSize{3, 3});  // the largest rows and columns
  other.train.clear();
  expect_error([&] { code_task(other); }, "[compressarc] task cafe0123 has no demonstration");
  ArcTask black = like;
  black.train = {{grid("0"), grid("00")}};
  black.test = {{grid("00"), grid("1")}};
  expect_error([&] { code_task(black); }, "[compressarc] task cafe0123 has no colour but black");
  like.test.clear();
  expect_error([&] { code_task(like); }, "[compressarc] task cafe0123 has no test");
}

TEST_CASE("compressarc: all tasks of ARC-AGI-1 are seen as the official code sees them") {
  const Path recorded = reference_dir() / "compressarc" / "preprocess.json";
  const Path arc = data_dir() / "arc-agi-1";
  for (const Path& needed : {recorded, arc})
    if (!std::filesystem::exists(needed)) SKIP(needed.string() << " is not there");
  const Json json = read_json(recorded);
  // Columns: demonstrations, tests, colours, rows, columns, three flags, sizes of the answers.
  for (const auto& entry : json.at("tasks").items()) {
    const std::string& name = entry.key();
    int64_t repeated = 0;
    const CodedTask task = code_task(load_arc({arc / (name + ".json")}, &repeated).at(0));
    Json predicted = Json::array();
    for (int64_t i = task.demonstrations; i < task.examples(); ++i)
      predicted.push_back({task.size(i, kOutput).height, task.size(i, kOutput).width});
    const Json got = {task.demonstrations,
                      task.tests,
                      task.colours,
                      task.rows,
                      task.cols,
                      int{task.outputs_like_inputs},
                      int{task.one_input_size},
                      int{task.one_output_size},
                      predicted};
    CHECK_MESSAGE(got == entry.value(), name);
  }
  CHECK(json.at("tasks").size() == 800);
}

TEST_CASE("compressarc: eighteen tensors, and who shares weights with whom") {
  CHECK(subsets().size() == 18);
  CHECK(subsets().front().name() == "01000");
  CHECK(parse_subset("11011") == kCells);
  CHECK(kColsOnly.owner() == kRowsOnly);
  CHECK(parse_subset("11101").owner().name() == "11110");
  CHECK(kCells.owner() == kCells);
  CHECK(parse_subset("10111").shape({2, 3, 8, 5, 7}, 4) == Shape{2, 8, 5, 7, 4});
  CHECK(parse_subset("10111").dim(kCol) == 3);
  expect_error([] { parse_subset("00011"); }, "no subset of axes is named 00011");
  // A turn of the square keeps the map of two directions.
  const DirectionMaps& square = direction_maps(kCells);
  CHECK(square.count == 10);
  CHECK(direction_maps(kRowsOnly).count == 18);
  for (int target = 0; target < 8; ++target)
    for (int source = 0; source < 8; ++source)
      CHECK(square.map[target][source] == square.map[(target + 2) % 8][(source + 2) % 8]);
}

TEST_CASE("compressarc: every part of a layer is what its description composes") {
  for (const ArcTask& arc :
       {a_task(), a_larger_task(), a_task_of_unknown_sizes(), the_smallest_task()}) {
    const CodedTask task = code_task(arc);
    const Canvas canvas(task, DType::f64);
    Random random(11);
    using Composed = std::function<Stream(const Stream&, const Weights&)>;
    const auto same = [&](const Layer& layer, const Composed& composed, int inside, int back = 0) {
      CAPTURE(arc.id);
      check_layer(canvas, random, layer, composed, inside, back);
    };
    same(Share(canvas, Share::Kind::up), composed::share_up, 16);
    same(Softmax(canvas), composed::softmax_over_sets, 2, -1);
    for (const bool cummax : {true, false})
      same(
          Directional(canvas, cummax ? Directional::Kind::cummax : Directional::Kind::shift),
          [&](const Stream& x, const Weights& w) {
            return composed::directional(task, x, w, cummax);
          },
          4);
    same(ShareDirections(canvas), composed::share_directions, 0);
    same(Nonlinear(canvas), composed::nonlinear, 16);
    same(
        Share(canvas, Share::Kind::down),
        [&](const Stream& x, const Weights& w) { return composed::share_down(task, x, w); }, 8);
    same(
        Normalize(canvas), [](const Stream& x, const Weights&) { return composed::normalize(x); },
        -1);
  }
}

TEST_CASE("compressarc: running maxima and shifts of equal values") {
  // Whole numbers, so that many are equal and all sums are exact.
  for (const ArcTask& arc : {a_task(), a_larger_task()}) {
    const CodedTask task = code_task(arc);
    const Canvas canvas(task, DType::f64);
    const NoGradGuard no_grad;
    Random random(21);
    const auto draw = [&](const Shape& shape) {
      return random.randint(shape, -1, 1).to(DType::f64);
    };
    Stream x;
    Weights weights;
    for (const Subset s : walking_subsets()) {
      x[s] = draw(s.shape(canvas.sizes, s.channels()));
      weights.down[s] = draw({s.channels(), 4});
      weights.up[s] = draw({4, s.channels()});
    }
    for (const bool cummax : {true, false}) {
      const Stream want = composed::directional(task, x, weights, cummax);
      Stream got = x;
      Directional(canvas, cummax ? Directional::Kind::cummax : Directional::Kind::shift)
          .apply(got, weights);
      for (const Subset s : walking_subsets()) CHECK(max_difference(got[s], want[s]) < 1e-9);
    }
  }
}

TEST_CASE("compressarc: gradients in f32 on the largest canvas keep their digits") {
  ArcTask arc = a_task();
  arc.id = "cafe0126";
  ArcGrid large{30, 30, {}};
  for (int i = 0; i < 900; ++i) large.cells.push_back(static_cast<uint8_t>(i * 7 % 10));
  arc.train = {{large, large}};
  arc.test = {{large, {}}};
  const CodedTask task = code_task(arc);
  std::vector<Tensors> gradients;
  for (const DType dtype : {DType::f64, DType::f32}) {
    const Canvas canvas(task, dtype);
    Random random(22);
    Stream x;
    for (const Subset s : subsets())
      x[s] = random.normal(s.shape(canvas.sizes, s.channels()), 1, DType::f64).to(dtype);
    Weights weights;
    Tensors leaves;
    for (const Subset s : subsets()) {
      if (!(s.owner() == s)) continue;
      const auto leaf = [&](const Shape& shape) {
        leaves.push_back(random.normal(shape, 0.5, DType::f64).to(dtype).set_requires_grad());
        return leaves.back();
      };
      weights.down[s] = leaf({s.channels(), 2});
      weights.up[s] = leaf({2 * std::ssize(softmax_sets(s)), s.channels()});
    }
    const Softmax softmax(canvas);
    softmax.apply(x, weights);
    Tensors outputs, cotangents;
    for (const Subset s : subsets()) {
      outputs.push_back(x[s]);
      // All of one sign, so that the sums are long ones.
      cotangents.push_back(random.uniform(x[s].shape(), 0, 1, DType::f64).to(dtype));
    }
    gradients.push_back(grad(outputs, leaves, cotangents));
  }
  for (size_t i = 0; i < gradients[0].size(); ++i) {
    const Tensor& exact = gradients[0][i];
    CHECK_MESSAGE(max_difference(gradients[1][i], exact) <= 1e-6 * norm(exact), "leaf ", i);
  }
}

TEST_CASE("compressarc: softmaxes of values that are far apart stay numbers") {
  const CodedTask task = code_task(a_larger_task());
  const Canvas canvas(task, DType::f32);
  const NoGradGuard no_grad;
  Random random(12);
  Stream x;
  for (const Subset s : subsets())
    x[s] = random.normal(s.shape(canvas.sizes, s.channels()), 300, DType::f32);
  const Weights weights = draw_weights(canvas, random, 2, -1);
  const Stream want = composed::softmax_over_sets(x, weights);
  Softmax(canvas).apply(x, weights);
  for (const Subset s : subsets()) CHECK(max_difference(x[s], want[s]) < 1e-2);
}

TEST_CASE("compressarc: latents arrive and cost what their description composes") {
  for (const bool clear : {true, false}) {  // little noise, and much
    const CodedTask task = code_task(clear ? a_task() : a_larger_task());
    const Canvas canvas(task, DType::f64);
    Random random(13);
    Latents latents;
    Decoder decoder;
    Multitensor<Tensor> noise;
    Tensors leaves;
    const auto draw = [&](const Shape& shape, double std, double shift = 0) {
      const Tensor leaf = (random.normal(shape, std, DType::f64) + shift).set_requires_grad();
      leaves.push_back(leaf);
      return leaf;
    };
    for (const Subset s : subsets()) {
      const Shape shape = s.shape(canvas.sizes, kLatentChannels);
      latents.mean[s] = draw(shape, 1);
      latents.capacity[s] = draw(shape, 0.5);
      latents.target[s] = draw({kLatentChannels}, 0.05, clear ? 0 : -0.6);
      noise[s] = random.normal(shape, 1, DType::f64);
      if (!(s.owner() == s)) continue;
      decoder.weight[s] = draw({kLatentChannels, s.channels()}, 1);
      decoder.bias[s] = draw({s.channels()}, 1);
    }
    const Decoded got = decode(canvas, latents, decoder, noise);
    const Decoded want = composed::decode(latents, decoder, noise);
    Tensors ours, theirs, cotangents;
    for (const Subset s : subsets())
      for (const auto part : {&Decoded::x, &Decoded::kl}) {
        ours.push_back((got.*part)[s]);
        theirs.push_back((want.*part)[s]);
        cotangents.push_back(random.normal(ours.back().shape(), 1, DType::f64));
      }
    check_same(ours, theirs, leaves, cotangents);
  }
}

TEST_CASE("compressarc: the loss is what its description composes, and gradchecks") {
  const auto outputs = [](const CodedTask& task, Random& random) {
    TaskOutputs out;
    const auto variable = [&](const Shape& shape) {
      return random.normal(shape, 1, DType::f64).set_requires_grad();
    };
    const int64_t examples = task.examples();
    out.logits = variable({examples, std::ssize(task.colours), task.rows, task.cols, 2});
    out.row_mask = variable({examples, task.rows, 2});
    out.col_mask = variable({examples, task.cols, 2});
    return out;
  };
  for (const ArcTask& arc : {a_task(), a_larger_task(), a_task_of_unknown_sizes()}) {
    const CodedTask task = code_task(arc);
    Random random(3);
    const TaskOutputs out = outputs(task, random);
    for (const int64_t step : {0, 60, 500})
      check_same({code_lengths(task, out, step)}, {composed::code_lengths(task, out, step)},
                 {out.logits, out.row_mask, out.col_mask},
                 {random.normal({2 * task.examples()}, 1, DType::f64)});
  }
  const CodedTask task = code_task(a_task());
  Random random(4);
  TaskOutputs out = outputs(task, random);
  CHECK(gradcheck(
            [&](const Tensors& in) {
              out.logits = in[0];
              out.row_mask = in[1];
              out.col_mask = in[2];
              return Tensors{code_lengths(task, out, 60)};
            },
            {out.logits, out.row_mask, out.col_mask}) == "");
}

TEST_CASE("compressarc: a grid costs what its colours cost where its place is certain") {
  // All grids as large as the canvas: there is one place.
  ArcTask arc = a_task();
  arc.train = {{grid("12/20"), grid("21/02")}};
  arc.test = {{grid("11/22"), grid("0")}};
  const CodedTask task = code_task(arc);
  Random random(5);
  TaskOutputs out;
  out.logits = random.normal({2, 3, 2, 2, 2}, 1, DType::f64);
  out.row_mask = random.normal({2, 2, 2}, 1, DType::f64);
  out.col_mask = random.normal({2, 2, 2}, 1, DType::f64);
  const Tensor lengths = code_lengths(task, out, 0);
  const auto log_p = log_softmax(out.logits, 1).to_vector();
  double expected = 0;
  for (int row = 0; row < 2; ++row)
    for (int col = 0; col < 2; ++col)
      expected -= log_p[((task.code(0, row, col, kOutput) * 2 + row) * 2 + col) * 2 + kOutput];
  CHECK(lengths.to_vector()[1] == doctest::Approx(expected));
  CHECK(lengths.to_vector()[3] == 0);  // the test's output
}

TEST_CASE("compressarc: gradients of the whole network") {
  const CodedTask task = code_task(a_task());
  Random random(7);
  const Network network(task, random, DType::f64);
  backward(total_loss(task, network, 1, 30));
  // Along a random direction of each kind of parameter, by differences.
  const NoGradGuard no_grad;
  std::set<std::string> kinds;
  for (const auto& entry : network.named_parameters()) {
    const std::string& name = entry.first;
    Parameter* parameter = entry.second;
    std::string kind = name;
    for (const Subset s : subsets())
      if (const size_t at = kind.find(s.name()); at != std::string::npos) kind.erase(at, 5);
    if (!parameter->value.grad().defined() || !kinds.insert(kind).second) continue;
    const Tensor direction = random.normal(parameter->value.shape(), 1, DType::f64);
    const Tensor start = parameter->value.detach().clone();
    const auto loss_at = [&](double distance) {
      parameter->value.copy_from(start + distance * direction);
      return total_loss(task, network, 1, 30).item();
    };
    const double step = kind == "posterior..mean" ? 1e-9 : 1e-7;  // of what is 0.01 large
    const double difference = (loss_at(step) - loss_at(-step)) / (2 * step);
    parameter->value.copy_from(start);
    const double slope = sum(parameter->value.grad() * direction).item();
    CHECK_MESSAGE(std::abs(slope - difference) <= 1e-3 * std::abs(difference) + 0.01, name);
  }
  CHECK(kinds.size() > 50);
}

TEST_CASE("compressarc: neither threads nor layers run twice change a bit") {
  const CodedTask task = code_task(a_larger_task());
  std::vector<std::vector<double>> all;
  for (const auto& [threads, twice] : {std::pair(1, false), {3, false}, {1, true}}) {
    omp_set_num_threads(threads);
    Random random(7);
    Network network(task, random, DType::f32);
    CHECK(!network.run_layers_twice);  // it is no large task
    network.run_layers_twice = twice;
    const Tensor loss = total_loss(task, network, 1, 30);
    backward(loss);
    all.push_back(loss.to_vector());
    for (const auto& [name, parameter] : network.named_parameters())
      if (const Tensor g = parameter->value.grad(); g.defined())
        for (const double v : g.to_vector()) all.back().push_back(v);
  }
  omp_set_num_threads(omp_get_num_procs());
  CHECK(all[0] == all[1]);
  CHECK(all[0] == all[2]);
}

TEST_CASE("compressarc: answers are the candidates that were proposed most surely") {
  ArcTask arc = a_task();
  arc.train = {{grid("12/20"), grid("21/02")}};
  arc.test = {{grid("11/22"), grid("0")}};
  Answers answers(code_task(arc));
  // Every cell as sure of its colour as `sure` says.
  const auto say = [&](int64_t step, const std::vector<int>& codes, double sure) {
    std::vector<double> logits(3 * 4, 0.0);
    for (int cell = 0; cell < 4; ++cell) logits[codes[cell] * 4 + cell] = sure;
    return answers.add(step, {from_vector(logits, {1, 3, 2, 2}), zeros({1, 2}, DType::f64),
                              zeros({1, 2}, DType::f64)});
  };
  const Answer first = {grid("12/20")}, other = {grid("11/11")};
  const auto candidates = say(200, {1, 2, 2, 0}, 2);
  CHECK(candidates[0].grids == first);
  CHECK(candidates[0].uncertainty == doctest::Approx(std::log(1 + 2 * std::exp(-2.0))));
  CHECK(candidates[0].score == doctest::Approx(-10 * candidates[0].uncertainty));
  CHECK(answers.best() == first);
  CHECK(answers.second() == first);
  say(201, {1, 1, 1, 1}, 1);
  CHECK(answers.best() == first);
  CHECK(answers.second() == first);  // of the same total as the best: nothing less takes its place
  say(202, {1, 1, 1, 1}, 9);
  CHECK(answers.best() == other);
  CHECK(answers.second() == first);
  // A candidate of the first 150 steps counts less.
  CHECK(say(149, {1, 1, 1, 1}, 9)[0].score ==
        doctest::Approx(say(150, {1, 1, 1, 1}, 9)[0].score - 10));
}

TEST_CASE("compressarc: the size of an answer is found where it is not sure") {
  ArcTask arc = a_task();
  arc.train[1].output = grid("333/000");  // outputs of two sizes
  Answers answers(code_task(arc));
  std::vector<double> logits(6 * 9, 0.0);
  for (int cell = 0; cell < 9; ++cell) logits[cell % 6 * 9 + cell] = 5;
  const auto say = [&](std::vector<double> rows, std::vector<double> cols) {
    return answers
        .add(0, {from_vector(logits, {1, 6, 3, 3}), from_vector(rows, {1, 3}),
                 from_vector(cols, {1, 3})})[0]
        .grids[0];
  };
  CHECK(say({-1, 2, -1}, {1, 1, -3}) == grid("34"));
  CHECK(say({1, 1, 1}, {-1, -1, 3}) == grid("2/5/2"));
}

TEST_CASE("compressarc: the page of a fit") {
  ArcTask arc = a_task();
  arc.id = "<cafe>";
  TaskFit fit(arc, 3);
  while (fit.steps() < 2 * kRecordEvery) fit.advance();
  const Json result = fit.result();
  const std::string page = task_page(arc, result, "result.json");
  CHECK(page.find("<cafe>") == std::string::npos);
  CHECK(page.find("&lt;cafe&gt;") != std::string::npos);
  CHECK(page.find("example, colour, row, column") != std::string::npos);
  CHECK(page.find("step 50") != std::string::npos);
  // What is judged is what is shown.
  Json right = result;
  right["best"] = {"7"};
  CHECK(task_page(arc, right, "result.json").find("attempt 1 (right)") != std::string::npos);
  CHECK(page.find("attempt 1 (wrong)") != std::string::npos);
  arc.test[0].output = {};
  CHECK(task_page(arc, right, "result.json").find("attempt 1 (") == std::string::npos);

  // The latents' parts are those of the whole; files of earlier versions lack them.
  double sum = 0;
  for (const auto& [name, kl] : result["history"][1]["kl_of"].items()) sum += kl.get<double>();
  CHECK(sum == doctest::Approx(result["history"][1]["kl"].get<double>()));
  Json earlier = result;
  for (Json& line : earlier["history"]) line.erase("kl_of");
  CHECK(task_page(arc, earlier, "result.json").find("latents (KL)") != std::string::npos);
  const auto rejects = [&](const char* key, const Json& value, const char* what) {
    Json damaged = result;
    damaged["history"][0][key] = value;
    expect_error([&] { task_page(arc, damaged, "result.json"); }, what);
  };
  rejects("kl", "much", "result.json");
  rejects("step", -3, "result.json");
  rejects("step", 51, "no multiple of 50");
  rejects("step", 100, "result.json");  // which comes again
  rejects("best", Json{"7", "7"}, "a list of 1 grids");
  rejects("kl_of", Json{{"11011", 3}}, "01000");
}
