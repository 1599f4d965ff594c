// hrm import, hrm export: official checkpoints in and out.
#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "hrm/cli/commands.h"
#include "hrm/cli/print.h"
#include "hrm/presets.h"
#include "hrm/support/input.h"
#include "hrm/support/progress.h"
#include "hrm/support/text.h"
#include "hrm/tasks/open_dataset.h"
#include "hrm/tasks/registry.h"
#include "hrm/train/checkpoint.h"
#include "hrm/train/official_weights.h"
#include "hrm/train/run_folder.h"

namespace hrm {
namespace {

Tensor tensor_named(const NamedTensors& tensors, const std::string& name) {
  const Tensor* t = find(tensors, kOfficialPrefix + name);
  HRM_CHECK(t, "[import] the file has no '", kOfficialPrefix, name,
            "'. HINT: is it a checkpoint of HRM or TRM?");
  return *t;
}

int64_t count_layers(const NamedTensors& tensors, const std::string& level) {
  int64_t n = 0;
  while (find(tensors,
              kOfficialPrefix + level + ".layers." + std::to_string(n) + ".mlp.down_proj.weight"))
    ++n;
  return n;
}

// Fills in what the shapes tell; heads, cycles and halting come from the preset and --set.
void adopt_shapes(ModelConfig& m, const NamedTensors& tensors) {
  const Tensor embedding = tensor_named(tensors, "embed_tokens.embedding_weight");
  HRM_CHECK(embedding.ndim() == 2 && embedding.numel() > 0,
            "[import] the token embedding must be [vocab, hidden], got ", embedding.shape());
  m.vocab_size = embedding.size(0);
  m.hidden_size = embedding.size(1);
  m.H_layers = count_layers(tensors, "H_level");
  m.L_layers = count_layers(tensors, "L_level");
  const Tensor* table = find(tensors, std::string(kOfficialPrefix) + "puzzle_emb.weights");
  m.puzzle_emb_ndim = table ? table->size(1) : 0;
  if (table) m.num_puzzle_identifiers = table->size(0);
  if (!table) m.puzzle_emb_len = 0;
  if (const Tensor* p =
          find(tensors, std::string(kOfficialPrefix) + "embed_pos.embedding_weight")) {
    if (!has_learned_positions(m.pos_encodings)) m.pos_encodings = PosEncoding::learned;
    m.seq_len = p->size(0) - m.prefix();
  }
}

// The settings of the preset that the weights do not tell, nor the user. `length_told`: by a data
// set or a table of positions.
Json settings_of_preset(const Config& config, const std::vector<std::string>& overrides,
                        bool length_told) {
  const Json model = config.to_json()["model"];
  Json settings = Json::object();
  for (const char* key : {"seq_len", "num_heads", "pos_encodings", "H_cycles", "L_cycles",
                          "halt_max_steps", "halting", "q_head"}) {
    if (length_told && key == std::string("seq_len")) continue;
    // A table of positions may stand alone or beside angles.
    if (!has_learned_positions(config.model.pos_encodings) && key == std::string("pos_encodings"))
      continue;
    const bool given = std::ranges::any_of(overrides, [&](const std::string& item) {
      return item.starts_with(std::string(key) + "=");
    });
    if (!given) settings[key] = model[key];
  }
  return settings;
}

void note_preset(const Config& config, const Json& settings, bool length_told) {
  std::string text;
  for (const auto& [key, value] : settings.items())
    text += (text.empty() ? "" : ", ") + key + "=" +
            (value.is_string() ? value.get<std::string>() : value.dump());
  if (!text.empty())
    print(stderr,
          "note: the weights do not tell {}; these are of the preset {}. HINT: --set "
          "KEY=VALUE if the model was trained with others{}\n",
          text, config.preset, length_told ? "" : "; --data DIR tells seq_len");
}

void run_import(const std::string& file, const std::string& run, const std::string& name,
                const std::string& data, const std::vector<std::string>& overrides, bool as_json) {
  RunFolder folder(run);
  HRM_CHECK(!folder.has_run(), "[import] ", run,
            " is a run folder already. HINT: choose another --run folder");
  const NamedTensors tensors = read_official_weights(file);
  check_finite(tensors, input_name(file), "the training diverged; import an earlier checkpoint");
  Config config = preset(name);
  adopt_shapes(config.model, tensors);
  for (const std::string& item : overrides) config.set_from(item);
  Json task = unknown_task()->to_json();
  if (!data.empty()) {
    const PuzzleDataset dataset = open_dataset(data, "test");
    config.data = data;
    adopt_data(config, dataset);
    task = dataset.task().to_json();
  }
  config.validate();
  Model model(config.model, nullptr);
  try {
    model.load_state_dict(tensors, kOfficialPrefix);
  } catch (const Error& error) {
    throw with_place(error, input_name(file));
  }
  Checkpoint checkpoint;
  checkpoint.model = model.state_dict(kOfficialPrefix);
  checkpoint.state = {{"step", 0}, {"imported_from", stored_name(input_name(file))}};
  write_checkpoint(Path(run) / "best", checkpoint);
  write_run_config(run, config, task, {}, false);  // last: it makes the folder a run
  const bool length_told = has_learned_positions(config.model.pos_encodings) || !data.empty();
  const Json of_preset = settings_of_preset(config, overrides, length_told);
  if (as_json)
    return print_json({{"run", run},
                       {"parameters", model.parameter_count()},
                       {"preset", config.preset},
                       {"settings_of_preset", of_preset}});
  note_preset(config, of_preset, length_told);
  print("{}: {} parameters. Next: hrm eval --run {}{}\n", run,
        format_count(model.parameter_count()), run, data.empty() ? " --data DIR" : "");
}

void run_export(const std::string& run, const std::string& which, const std::string& out,
                bool compiled) {
  const LoadedRun loaded = load_run(run, which);
  NamedTensors tensors;
  for (const auto& [name, tensor] : loaded.model->state_dict(kOfficialPrefix))
    tensors.emplace_back((compiled ? "_orig_mod." : "") + name, tensor);
  std::error_code none;
  const auto real = [&](const Path& path) { return std::filesystem::weakly_canonical(path, none); };
  const Path inside = real(out).lexically_relative(real(run));
  const bool own =
      !inside.empty() &&
      (*inside.begin() == "best" || *inside.begin() == "checkpoints" || inside == "config.json" ||
       inside == "metrics.jsonl" || inside == "evaluation.json");
  HRM_CHECK(!own, "[export] ", out, " is a part of the run itself. HINT: another --out file");
  // With its settings the file is a model by itself, but not under torch.compile's names, nor where
  // a puzzle table has rows whose names are lost.
  const bool whole = !compiled && loaded.config.model.num_puzzle_identifiers <= 1;
  const std::map<std::string, std::string> plain = {{"format", "pt"}};
  write_safetensors(out, tensors,
                    whole ? model_metadata(loaded.config, *loaded.task, loaded.step) : plain);
  print(text_beside(out), "{}: the weights of {} (step {})\n", out, loaded.weights.string(),
        loaded.step);
}

}  // namespace

void add_import_command(Command app) {
  const Command command =
      app.command("import", "Make a run folder from an official checkpoint (.pt or safetensors).");
  struct Options {
    std::string file, run, preset = "hrm-27m", data;
    std::vector<std::string> overrides;
    bool json = false;
  };
  auto o = std::make_shared<Options>();
  command
      .text("file", o->file,
            "The checkpoint: what torch.save wrote, or a safetensors file (- is the standard "
            "input).")
      .required();
  command.text("--run", o->run, "The run folder to make.").required();
  command.text("--preset", o->preset, "The kind of model (default hrm-27m).");
  command.text("--data", o->data, "Its data set, for sizes that the weights do not tell.");
  command.texts("--set", o->overrides, "Settings that the weights do not tell: num_heads=8, ...")
      .shown_as("KEY=VALUE");
  command.flag("--json", o->json, kJsonHelp);
  command.action([o] { run_import(o->file, o->run, o->preset, o->data, o->overrides, o->json); });
}

void add_export_command(Command app) {
  const Command command = app.command(
      "export",
      "Write the weights of a run with the official names, and its settings (safetensors).");
  struct Options {
    std::string run, out, checkpoint;
    bool compiled = false;
  };
  auto o = std::make_shared<Options>();
  command.text("run", o->run, "The run folder.").required();
  command.text("--out", o->out, "The file to write.").required();
  command.text("--checkpoint", o->checkpoint, kCheckpointHelp);
  command.flag("--compiled", o->compiled, "Use the names that torch.compile gives (_orig_mod.).");
  command.action([o] { run_export(o->run, o->checkpoint, o->out, o->compiled); });
}

}  // namespace hrm
