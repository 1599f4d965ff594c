// Experiments as data: a file says which data sets are made, what is trained on them, what varies,
// and how the models are judged, all in the words of the command line, so that every step of an
// experiment is a command that a person could have typed. docs/experiments.md explains the keys.
//
//     const Experiment experiment = read_experiment("examples/experiments/figure_4.json", {});
//     for (const Trial& trial : experiment.trials) show(to_string(trial.train));
#pragma once

#include <nlohmann/json.hpp>

#include "hrm/config.h"
#include "tensor/io.h"

namespace hrm::lab {

// What tells one model or one judgement from another: {"loops", "4"}, {"halting", "ACT"}.
using Labels = std::vector<std::pair<std::string, std::string>>;
std::string to_string(const Labels& labels);  // "loops=4,halting=ACT"

// Words of a command behind `hrm`.
using Words = std::vector<std::string>;
std::string to_string(const Words& words);  // as a shell reads it
// What the words behind `hrm train` ask for: the configuration (--preset, --set), and the others.
std::pair<Config, Words> asked_for(const Words& train);

// A way to judge a trained model: eval or arc predict, without --run and --json; without
// words it is the evaluation at the end of training.
struct Judgement {
  Labels labels;
  Words words;
};

// One model. {data:NAME} in its words stands for the folder of a data set.
struct Trial {
  Labels labels;  // the values of the axes, and the seed
  Words train;    // without --run
  std::vector<Judgement> judgements;
};

struct Experiment {
  std::string name;  // of the file
  std::string title, question, article;
  std::map<std::string, Words> data;  // NAME -> `data ...` without --out
  std::vector<Trial> trials;
  bool partial = false;              // --only left trials out
  bool curve = false;                // the evaluations during training count, too
  std::vector<std::string> average;  // labels over which means are taken: the seed, ...
  Json charts = Json::array(), compare = Json::array();
};

struct ExperimentOptions {
  bool full = false;                  // with the changes of the file's key "full"
  Path arc;                           // where {arc} in the file's words points
  std::vector<std::string> settings;  // KEY=VALUE for every model
  std::string only;                   // "loops=4,seed=1": these trials alone
};
// Errors name the file, the key and what it must hold.
Experiment parse_experiment(Json json, const Path& file, const ExperimentOptions& options);
Experiment read_experiment(const Path& file, const ExperimentOptions& options);

// The files of a folder, and where the project's own lie: beside the program, or installed.
std::vector<Path> list_experiments(const Path& folder);
Path experiments_folder();

}  // namespace hrm::lab
