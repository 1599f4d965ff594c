// What the examples at the heads of the headers take for granted: the names that a reader is to
// have in mind, each with the type that he would expect. Nothing here is defined, because
// tests/header_examples.sh has the examples compiled and not linked. The namespaces are those of
// the folders, so that a name may be a tensor for one folder and memory for another.
#pragma once

#ifndef __cplusplus

#include <stdio.h>

int fail(const char* message);

#else

#include <iostream>

#include "hrm/eval/predictions.h"
#include "hrm/hrm.h"
#include "hrm/lab/experiment_page.h"
#include "hrm/lattice/solver_step.h"
#include "hrm/support/local_server.h"
#include "hrm/support/processes.h"
#include "hrm/tasks/registry.h"
#include "hrm/train/lattice_pool.h"
#include "hrm/view/picture.h"
#include "hrm/view/puzzle_view.h"
#include "nn/distributed/transport.h"

namespace hrm::header_examples {

void show(const auto&... values);  // in whatever way
void work();

extern DType type;
extern Device device;
extern Context context;
extern Random random;
extern Tensor x, y, loss, images, labels, logits, ids;
extern Communicator ranks;

namespace in_kernels {
extern int64_t n, m, k, batch, seq, heads, head_dim, dim, rows, cols, inter;
extern uint64_t seed, offset;
extern size_t bytes;
extern float *a, *b, *c, *x, *y, *out, *stats, *mean, *rstd, *weight, *bias, *table, *target, *loss;
extern float *qkv, *cos, *sin, *gate_up, *p, *shadow, *values;
extern int32_t *ids, *index, *steps, *skip;
extern uint8_t* halted;
extern void *data, *pinned;
}  // namespace in_kernels

namespace in_tensor {
extern const std::byte* begin;
extern size_t size;
}  // namespace in_tensor

namespace in_autograd::in_ops {
extern Tensor a, b, q, k, qkv, weight, bias, residual, table, gate_up, step;
}

namespace in_nn {
extern Sequential net, model;
extern Tensor initial;
void train(const Tensor& images, const Tensor& labels);
Tensor loss_of(const Tensor& answer);

namespace in_optim {
extern NamedParameters hidden_matrices, all_others;
extern SparseEmbedding table;
}  // namespace in_optim

namespace in_distributed {
extern int64_t puzzles, micro_batches;
extern Range own;
extern Transport& transport;
extern std::vector<Transport::Outgoing> out;
extern std::vector<Transport::Incoming> in;
bool arrived();
std::string work(const Range& own);
Tensor loss_of(int64_t part);
Tensor gradient_of(int64_t part);
}  // namespace in_distributed
}  // namespace in_nn

namespace in_hrm {
extern Config config;
extern Model model;
extern LatticeModel network;
extern PuzzleDataset train, test;
extern TrainSampler sampler;
extern Carry carry;
extern EvalOptions options;
extern const Task& task;
extern Tokens puzzle;
extern Domain domain;
extern DropoutStream drop;
extern std::string page;

namespace in_support {
using header_examples::work;
extern Path path;
extern Json config;
extern std::vector<ProcessCommand> commands;
extern std::vector<std::string> tasks;
std::string work(const std::string& task);
bool more_to_do();
void step();
}  // namespace in_support

namespace in_data {
extern std::shared_ptr<const Task> task;
extern DatasetInfo info;
extern std::vector<Example> list;
extern const Examples& examples;
extern Tokens inputs, labels, answer;
}  // namespace in_data

namespace in_tasks {
extern ArcGrid grid;
extern double q_halt;
}  // namespace in_tasks

namespace in_model {
extern ModelConfig config;
extern State state;
extern Tensor inputs, puzzle_ids;
extern Adam optimizer;
extern SegmentResult result;
}  // namespace in_model

namespace in_lattice {
extern LatticeModel model;
extern std::vector<Candidates> states;
extern Candidates start, alive;
extern Verdict verdict;
extern LatticeTargets targets;
extern LatticeShares shares;
}  // namespace in_lattice

namespace in_train {
extern Learner& learner;
extern MetricsWindow window;
extern TrainMetrics line;
extern Checkpoint checkpoint;
extern Batch batch;
extern Tensor head;
extern std::string text;
extern int64_t step, count, rows;
void compute(const Batch& batch, const Range& rows);
}  // namespace in_train

namespace in_view {
extern ArcPair pair;
extern PuzzleTrace trace;
extern PuzzleDataset dataset;
extern std::vector<std::byte> bytes;
}  // namespace in_view

namespace in_lab {
using namespace lab;
extern Experiment experiment;
extern Trial trial;
extern std::vector<Record> records;
extern Members found;
}  // namespace in_lab
}  // namespace in_hrm

}  // namespace hrm::header_examples

#endif
