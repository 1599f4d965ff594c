// hrm/c_api.h: puzzles on the way to their answers, update by update.
#include <algorithm>
#include <cmath>
#include <optional>

#include "autograd/grad_mode.h"
#include "autograd/ops/ops.h"
#include "hrm/c_api/objects.h"
#include "hrm/eval/segment_view.h"

using namespace hrm;
using namespace hrm::c_api;

namespace {
State copy_of(const State& state) {
  return {state.z_H.clone(), state.z_L.defined() ? state.z_L.clone() : Tensor()};
}
}  // namespace

// Segments are those of an evaluation: when the last update of one is done, eval_segment runs it
// again as a whole, so that whoever looks at every update sees the same bits as who does not.
struct hrm_refinement {
  hrm_refinement(const hrm_model& of, const int32_t* puzzles, int32_t count, double noise,
                 uint32_t seed);

  Level update();
  void run_segment();
  // Gets ready for the next segment, unless that is done.
  void begin();
  const Tensor& logits();  // f32 [count, cells, vocab]

  std::shared_ptr<const Model> model;
  Recurrence recurrence;
  Batch batch;
  Carry carry;          // as the last whole segment left it, and begun anew if begun_ is set
  State state;          // as the last update left it
  std::string updates;  // done in this segment
  Tensor x;             // of this segment
  std::vector<double> change;
  int segments = 0;  // done

  // Of the last whole segment.
  std::optional<SegmentView> view;
  std::vector<double> residual;
  std::vector<bool> repeats;

 private:
  void finish_segment();

  bool changing_ = false;
  bool begun_ = false;
  Tensor logits_;  // undefined until somebody asks
};

hrm_refinement::hrm_refinement(const hrm_model& of, const int32_t* puzzles, int32_t count,
                               double noise, uint32_t seed)
    : model(of.model), recurrence(model->recurrence()), change(count, 0) {
  const int64_t cells = of.config.model.seq_len;
  batch.rows = count;
  batch.inputs = from_vector(tokens_of(of, puzzles, count * cells, "puzzles"), {count, cells});
  batch.labels = full({count, cells}, kIgnoreLabel, DType::i32);
  batch.puzzle_ids = zeros({count}, DType::i32);
  carry = initial_carry(*model, count);
  begin();
  Random random = Random(seed).fork("noise");
  for (Tensor* z : {&carry.state.z_H, &carry.state.z_L})
    if (noise > 0 && z->defined())
      z->copy_from(*z + noise * random.normal(z->shape(), 1, z->dtype()));
  state = copy_of(carry.state);
}

namespace {
constexpr const char* kStartAnew = "hrm_refine begins anew";
}

void hrm_refinement::begin() {
  if (begun_) return;
  Change change_of_segment(changing_, kStartAnew);
  const NoGradGuard no_grad;
  begin_segment(*model, carry, batch, Refill::reference);
  const Tensor rows =
      model->puzzle_emb ? model->puzzle_emb->rows(carry.puzzle_ids, false) : Tensor();
  x = model->segment_input(model->input_embeddings(carry.inputs, rows), carry.steps);
  state = copy_of(carry.state);
  updates.clear();
  begun_ = true;
  change_of_segment.done();
}

Level hrm_refinement::update() {
  begin();
  Change change_of_state(changing_, kStartAnew);
  const NoGradGuard no_grad;
  const Level level = recurrence.updates[updates.size()];
  const Tensor before = level == Level::H ? state.z_H : state.z_L;
  state = recurrence.apply(level, state, x);
  updates += level == Level::H ? 'H' : 'L';
  logits_ = {};
  if (updates.size() == recurrence.updates.size()) finish_segment();
  change = relative_change(before, level == Level::H ? state.z_H : state.z_L);
  change_of_state.done();
  return level;
}

void hrm_refinement::run_segment() {
  begin();
  Change change_of_state(changing_, kStartAnew);
  finish_segment();
  change_of_state.done();
}

void hrm_refinement::finish_segment() {
  const NoGradGuard no_grad;
  const Tensor before = carry.state.z_H.clone();
  constexpr int64_t kNoEnd = 1 << 30;  // the caller says when to stop
  const SegmentResult result = eval_segment(*model, carry, kNoEnd);
  state = copy_of(carry.state);
  const SegmentView now(model->config(), result, true);
  for (const double q : now.head)
    HRM_CHECK(
        !std::isnan(q),
        "[c_api] the Q head of the model gives no number: its training has diverged. HINT: an "
        "earlier checkpoint");
  change = residual = relative_change(before, state.z_H);
  repeats.assign(batch.rows, false);
  for (int64_t b = 0; view && b < batch.rows; ++b)
    repeats[b] = view->predicted(b) == now.predicted(b);
  view = now;  // last: who finds it finds the others, too
  logits_ = result.outputs.logits.to(DType::f32).contiguous();
  ++segments;
  begun_ = false;
}

const Tensor& hrm_refinement::logits() {
  if (logits_.defined()) return logits_;
  const NoGradGuard no_grad;
  const bool asks_H = begun_ && !updates.empty() && updates.back() == 'L';
  const Tensor z_H = asks_H ? recurrence.apply(Level::H, state, x).z_H : state.z_H;
  return logits_ = model->heads(z_H).logits.to(DType::f32).contiguous();
}

namespace {

void copy_out(const Tensor& values, float* to, const char* name) {
  required(to, name);
  const Tensor dense = values.to(DType::f32).contiguous();
  std::copy_n(dense.data<float>(), dense.numel(), to);
}

const SegmentView& whole_segment(const hrm_refinement& refinement) {
  HRM_CHECK(refinement.view,
            "[c_api] there is no whole segment yet, so nothing is known of halting. HINT: "
            "hrm_segment");
  return *refinement.view;
}

Level level_of(char name, const ModelConfig& config) {
  HRM_CHECK(name == 'H' || name == 'L', "[c_api] a level is 'H' or 'L'");
  HRM_CHECK(name == 'H' || config.levels != Levels::single, "[c_api] this model has no level L");
  return name == 'H' ? Level::H : Level::L;
}

}  // namespace

hrm_refinement* hrm_refine(hrm_model* model, const int32_t* puzzles, int32_t count, double noise,
                           uint32_t seed) {
  return guarded<hrm_refinement*>(nullptr, [&] {
    HRM_CHECK(count >= 1, "[c_api] the number of puzzles must be at least 1, got ", count);
    HRM_CHECK(noise >= 0 && noise <= 1e6, "[c_api] the noise must be from 0 to 1e6, got ", noise);
    return new hrm_refinement(object(model), puzzles, count, noise, seed);
  });
}

void hrm_refinement_free(hrm_refinement* refinement) { delete refinement; }

int hrm_update(hrm_refinement* refinement) {
  return guarded(-1, [&] { return object(refinement).update() == Level::H ? 'H' : 'L'; });
}

int hrm_segment(hrm_refinement* refinement) {
  return status([&] { object(refinement).run_segment(); });
}

int hrm_segments_done(const hrm_refinement* refinement) {
  return guarded(-1, [&] { return object(refinement).segments; });
}

int hrm_logits(hrm_refinement* refinement, float* logits) {
  return status([&] { copy_out(object(refinement).logits(), logits, "logits"); });
}

int hrm_answers(hrm_refinement* refinement, int32_t* answers) {
  return status([&] {
    const Tensor tokens = argmax(object(refinement).logits());
    std::copy_n(tokens.data<int32_t>(), tokens.numel(), required(answers, "answers"));
  });
}

int hrm_state(const hrm_refinement* refinement, char which, float* state) {
  return status([&] {
    const hrm_refinement& r = object(refinement);
    const Level level = level_of(which, r.model->config());
    copy_out(level == Level::H ? r.state.z_H : r.state.z_L, state, "state");
  });
}

int hrm_change(const hrm_refinement* refinement, float* change) {
  return status([&] {
    const std::vector<double>& values = object(refinement).change;
    std::ranges::transform(values, required(change, "change"),
                           [](double value) { return static_cast<float>(value); });
  });
}

int hrm_attention(hrm_refinement* refinement, char level, float* weights) {
  return status([&] {
    hrm_refinement& r = object(refinement);
    r.begin();
    const Level of = level_of(level, r.model->config());
    copy_out(r.model->attention_weights(of, r.state, r.x), weights, "weights");
  });
}

int hrm_halting_values(const hrm_refinement* refinement, hrm_halting* values) {
  return status([&] {
    const hrm_refinement& r = object(refinement);
    const SegmentView& view = whole_segment(r);
    required(values, "values");
    for (int64_t b = 0; b < r.batch.rows; ++b)
      values[b] = {
          .q_halt = static_cast<float>(probability(view.q_halt[b])),
          .q_continue = static_cast<float>(probability(view.q_continue[b])),
          .margin = static_cast<float>(view.halt_margin(b)),
          .residual = static_cast<float>(r.residual[b]),
          .confidence = static_cast<float>(view.confidence[b]),
          .repeats = r.repeats[b],
      };
  });
}
