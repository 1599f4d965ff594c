// Models of ARC tasks: conditionings, what training reaches, and puzzle rows in other data sets.
#include "hrm/presets.h"
#include "hrm/tasks/arc_vote.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/train/trainer.h"
#include "tests/support/arc.h"
#include "tests/support/support.h"
#include "tests/support/tiny.h"

using namespace hrm;
using namespace hrm::test;
namespace fs = std::filesystem;

TEST_CASE("arc: a model learns a task under every conditioning, and its votes are right") {
  // Every output is its input with colours 1 and 2 exchanged: easy, and the same for all tasks.
  Random random(11);
  ArcData data;
  for (const char* id : {"swap", "same"}) {
    ArcTask t;
    t.id = id;
    t.evaluated = true;
    for (int i = 0; i < 4; ++i) {
      ArcGrid g{2, 2, {}};
      for (int c = 0; c < 4; ++c) g.cells.push_back(static_cast<uint8_t>(1 + random.below(2)));
      g.cells[i] = 1;
      g.cells[(i + 1) % 4] = 2;
      ArcGrid out = g;
      if (id == std::string("swap"))
        for (uint8_t& c : out.cells) c = static_cast<uint8_t>(3 - c);
      (i < 3 ? t.train : t.test).push_back({g, out});
    }
    data.tasks.push_back(t);
  }
  data.variants = 3;
  data.canvas = 0;
  data.kinds = ArcKinds::parse("rotation,flip");
  for (const Conditioning conditioning :
       {Conditioning::variant, Conditioning::task, Conditioning::context}) {
    CAPTURE(to_string(conditioning));
    Config config = preset("arc-task");
    make_tiny(config.model, 32);
    config.model.halt_max_steps = 2;
    config.model.conditioning = conditioning;
    config.train.total_steps = 120;
    config.train.lr_warmup_steps = 5;
    config.train.lr = 3e-3;
    config.train.puzzle_emb_lr = 1e-2;
    config.train.batch_size = 16;
    config.train.checkpoint_every = 1000;
    DataView view;
    view.conditioning = conditioning;
    view.context_pairs = config.model.context_pairs;
    const PuzzleDataset train(std::make_shared<ArcExamples>(data, "train", view));
    config.model.seq_len = train.info().seq_len;
    config.model.num_puzzle_identifiers = train.info().num_puzzle_identifiers;
    const TempDir run;
    Trainer trainer(config, train, nullptr, run.path());
    while (trainer.steps_done() < config.train.total_steps) trainer.step();
    const PuzzleDataset test(std::make_shared<ArcExamples>(data, "test", view));
    Voting voting(*arc_examples(test));
    EvalOptions options;
    options.on_answer = [&](const Answer& a) { voting.add(a.example, a.tokens, a.q_halt); };
    evaluate(trainer.model(), test, options);
    const ArcScores scores = score_tasks(voting.outcomes());
    CHECK(scores.tasks == 2);
    CHECK(scores.all_tests[1] == 1);
  }
}

TEST_CASE("arc: conditionings give the same losses on every device") {
  const ArcData data = small_arc_data(3);
  for (const Conditioning conditioning : {Conditioning::task, Conditioning::context}) {
    CAPTURE(to_string(conditioning));
    Config config = preset("arc-task");
    make_tiny(config.model, 32);
    config.model.conditioning = conditioning;
    config.model.context_pairs = 2;
    DataView view;
    view.conditioning = conditioning;
    view.context_pairs = 2;
    const PuzzleDataset train(std::make_shared<ArcExamples>(data, "train", view));
    config.model.seq_len = train.info().seq_len;
    config.model.num_puzzle_identifiers = train.info().num_puzzle_identifiers;
    std::vector<std::vector<double>> losses;
    for (const Device device : devices()) {
      Random weights(5), draws(6);
      Model model(config.model, &weights, device);
      TrainSampler sampler(train, 1, nullptr);
      Carry carry = initial_carry(model, 4);
      losses.emplace_back();
      for (int step = 0; step < 2; ++step) {
        begin_segment(model, carry, sampler.next(4), Refill::reference);
        const auto r = train_segment(model, carry, {}, 0.25);
        losses.back().push_back(r.loss.total.item());
        double norm = 0;  // of what the conditioning learns
        for (const auto& [name, p] : model.named_parameters())
          if (name.starts_with("context") || name.starts_with("colour_emb"))
            for (const double g : p->value.grad().to(Device::cpu).to_vector()) norm += g * g;
        CHECK(norm > 0);
        losses.back().push_back(norm);
      }
    }
    for (size_t d = 1; d < losses.size(); ++d)
      for (size_t i = 0; i < losses[d].size(); ++i)
        CHECK(losses[d][i] == doctest::Approx(losses[0][i]).epsilon(1e-3));
  }
}

TEST_CASE("arc: puzzle rows follow their names into another data set") {
  const ArcData few = small_arc_data(2), many = small_arc_data(4);
  const ArcExamples a(few, "train", {}), b(many, "train", {});
  const PuzzleDataset from(std::make_shared<ArcExamples>(a)), to(std::make_shared<ArcExamples>(b));
  const auto saved = from.puzzle_names(), wanted = to.puzzle_names();
  const auto rows = static_cast<int64_t>(saved.size());
  Tensor table = empty({rows, 2}, DType::f32);
  for (int64_t i = 0; i < 2 * rows; ++i) table.data<float>()[i] = static_cast<float>(i);
  int64_t found = 0;
  const Tensor moved = match_puzzle_rows(table, saved, wanted, &found);
  CHECK(found == rows - 1);
  CHECK(moved.size(0) == static_cast<int64_t>(wanted.size()));
  int64_t equal = 0;
  for (int64_t i = 1; i < moved.size(0); ++i)
    for (int64_t j = 1; j < rows; ++j)
      if (from.puzzle_name(j) == to.puzzle_name(i))
        equal += moved.data<float>()[2 * i] == table.data<float>()[2 * j];
  CHECK(equal == rows - 1);
  // A name that is not known gets the mean of the rows, without the blank one.
  const Tensor fresh = match_puzzle_rows(table, saved, {wanted[0], 12345}, &found);
  CHECK(found == 0);
  CHECK(fresh.data<float>()[2] == doctest::Approx(static_cast<float>(rows)));

  // A run does not go on with the rows of other puzzles.
  Config config = preset("arc-task");
  make_tiny(config.model, 16);
  config.model.seq_len = from.info().seq_len;
  config.train.total_steps = 1;
  config.model.num_puzzle_identifiers = rows;
  ArcData renamed = few;
  renamed.tasks[0].id = "zzzz";
  const PuzzleDataset other(std::make_shared<ArcExamples>(renamed, "train", DataView{}));
  const TempDir run;
  Trainer(config, from, nullptr, run.path()).run({});
  Trainer(config, from, nullptr, run.path()).resume();
  REQUIRE(other.info().num_puzzle_identifiers == rows);
  expect_error([&] { Trainer(config, other, nullptr, run.path()).resume(); },
               "is not the one that the run was trained on");

  // Checkpoints keep them.
  const TempDir dir;
  Checkpoint c;
  c.model = {{"model.inner.puzzle_emb.weights", table}};
  c.puzzle_names = saved;
  write_checkpoint(dir / "c", c);
  const Checkpoint back = read_checkpoint(dir / "c");
  CHECK(back.puzzle_names == saved);
  CHECK(back.model.size() == 1);
}

TEST_CASE("arc: a data set of the official builder loads, is voted on, and trains") {
  const fs::path folder = reference_dir() / "official_dataset_arc";
  if (!fs::exists(folder / "train")) SKIP("no data set in " << folder);
  const PuzzleDataset train = open_dataset(folder, "train");
  const PuzzleDataset test = open_dataset(folder, "test");
  CHECK(train.puzzle_names().size() == 421);
  const OfficialArc votes(test);
  CHECK(votes.tasks().size() == 10);
  for (int64_t i = 0; i < votes.num_examples(); ++i) {
    const Tokens labels = test.read(i).labels;
    const auto w = votes.where(i);
    REQUIRE(votes.variant(w.task, w.variant).undo(crop(labels.data(), 30)) ==
            votes.pairs(w.task)[w.pair].output);
  }
  const auto tasks = official_tasks(folder);
  CHECK(tasks.size() == 20);
  for (const ArcTask& t : tasks)
    for (const ArcPair& p : t.train) REQUIRE_FALSE((p.input.empty() || p.output.empty()));
  Config config = preset("hrm-arc");
  make_tiny(config.model, 16);
  config.model.num_puzzle_identifiers = 421;
  config.train.batch_size = 2;
  config.train.total_steps = 3;
  const TempDir run;
  Trainer trainer(config, train, nullptr, run.path());
  trainer.step();
  trainer.step();
  CHECK(trainer.steps_done() == 2);
}
