/*
 * hrm.cpp for C, and for every language that can call C: load a model, watch it refine a puzzle
 * update by update, train one.
 *
 *     hrm_model* model = hrm_model_open("runs/demo-sudoku4", NULL);
 *     int32_t puzzle[16], answer[16];
 *     if (!model || hrm_parse(model, "41.2234.3..4..2.", puzzle) != 0) return fail(hrm_error());
 *     hrm_refinement* r = hrm_refine(model, puzzle, 1, 0, 0);
 *     for (int segment = 0; segment < 4; ++segment) hrm_segment(r);
 *     hrm_answers(r, answer);
 *     puts(hrm_text(model, answer));
 *     hrm_refinement_free(r);
 *     hrm_model_free(model);
 *
 * Errors: a function that returns a pointer returns NULL, one that returns an int returns -1, and
 * hrm_error() says in one line what was wrong and what to do. Nothing is thrown, and nothing is
 * written to the terminal. (Only where the processor lacks the instructions that the library was
 * built for, or HRM_ISA names others, the program ends with a line when it starts.) An object on
 * which a call failed half-way, say for want of memory, says so at every further call.
 *
 * Memory: what hrm_model_open, hrm_model_parse, hrm_refine, hrm_train and hrm_training_model return
 * belongs to the caller, who gives it to the ..._free of its type (which takes NULL, too). Every
 * other pointer belongs to the object that it came from, and is good until the next call on that
 * object. A refinement keeps its model alive. Arrays are dense, the last dimension next to each
 * other in memory, and the caller provides them; their sizes are in hrm_sizes.
 *
 * Threads: one object at a time in one thread. Different objects may be used by different threads,
 * except that a model and its refinements count as one.
 *
 * A program in C links with the C++ compiler: g++ main.o -lhrm -lfmt -fopenmp.
 *
 * Texts are UTF-8. Settings are those of `hrm train --set`: "hidden_size=64 lr=2e-3".
 */
#ifndef HRM_C_API_H
#define HRM_C_API_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hrm_model hrm_model;           /* a network, its weights and its kind of puzzle */
typedef struct hrm_refinement hrm_refinement; /* puzzles on the way to their answers */
typedef struct hrm_training hrm_training;     /* a model that learns, and its data set */

/* "0.1.0". */
const char* hrm_version(void);
/* The last error of this thread; "" if there was none yet. */
const char* hrm_error(void);

/* --- models ------------------------------------------------------------------------------------
 */

/*
 * The model of a run folder. checkpoint: "best", "last", the folder of a checkpoint or the name of
 * one in the run; NULL: best if there is one, else last. Models of lattice deduction are refused:
 * they have no segments.
 */
hrm_model* hrm_model_open(const char* run, const char* checkpoint);
/*
 * A model from a safetensors file in memory, with weights under their official names. config: the
 * text of the run's config.json; NULL: it is in the file itself, as hrm_model_weights writes it.
 */
hrm_model* hrm_model_parse(const void* safetensors, size_t bytes, const char* config);
void hrm_model_free(hrm_model* model);

typedef struct {
  int32_t cells;      /* of a puzzle, and of an answer */
  int32_t vocab;      /* tokens: 0 is padding */
  int32_t positions;  /* of a state: those of the puzzle embedding, then the cells */
  int32_t hidden;     /* numbers of a state at a position */
  int32_t heads;      /* of attention; 0 if the model has an MLP over positions instead */
  int32_t H_layers;   /* a model with one network for both levels has the same number twice */
  int32_t L_layers;   /* 0 for a single level */
  int32_t updates;    /* in a segment */
  int32_t segments;   /* the most in training, and the usual number */
  int32_t parameters; /* trained ones, without the puzzle embedding */
} hrm_sizes;
int hrm_model_sizes(const hrm_model* model, hrm_sizes* sizes);
/* The updates of a segment in their order, such as "LLHLLH". */
const char* hrm_model_updates(const hrm_model* model);
/* All settings as JSON, in the form of config.json; "task" says what its puzzles are. */
const char* hrm_model_config(const hrm_model* model);
/* The model as a safetensors file in memory, with its config.json as metadata. */
const void* hrm_model_weights(hrm_model* model, size_t* bytes);

/* --- puzzles -----------------------------------------------------------------------------------
 */

/* Text, such as a Sudoku's "41.2...", to tokens [cells], and back. */
int hrm_parse(const hrm_model* model, const char* text, int32_t* tokens);
const char* hrm_text(hrm_model* model, const int32_t* tokens);
/* What is wrong with an answer by the rules of the puzzle; "" if it is solved. */
const char* hrm_wrong(hrm_model* model, const int32_t* puzzle, const int32_t* answer);
/* The answer of a plain solver [cells], to compare with. */
int hrm_solution(const hrm_model* model, const int32_t* puzzle, int32_t* answer);

/* --- refinement --------------------------------------------------------------------------------
 */

/*
 * Puts `count` puzzles, [count, cells], in their initial state. noise: standard deviation of
 * Gaussian noise that is added to it, drawn from `seed`. A model with a row of its puzzle table for
 * every puzzle is given row 0.
 */
hrm_refinement* hrm_refine(hrm_model* model, const int32_t* puzzles, int32_t count, double noise,
                           uint32_t seed);
void hrm_refinement_free(hrm_refinement* refinement);

/*
 * Runs the next update of one of the two states, and returns which: 'L' or 'H'. With the last
 * update of a segment its halting values are there.
 */
int hrm_update(hrm_refinement* refinement);
/* Runs the updates that are left of this segment, or all of the next one. */
int hrm_segment(hrm_refinement* refinement);
/* Segments done so far. */
int hrm_segments_done(const hrm_refinement* refinement);

/*
 * The logits of every cell, [count, cells, vocab], and the most likely tokens, [count, cells]. In
 * the middle of a segment, behind an update of L: what H would answer if its turn were now, as the
 * paper's figures show it. At first the answer of the initial state. Models that halt by ACT answer
 * with a weighted mean over the segments behind each of them, and with the last state in between.
 */
int hrm_logits(hrm_refinement* refinement, float* logits);
int hrm_answers(hrm_refinement* refinement, int32_t* answers);
/* A state, [count, positions, hidden]: which is 'H' or 'L'. */
int hrm_state(const hrm_refinement* refinement, char which, float* state);
/* |new - old| / |new| of the state that was updated last, [count]; behind hrm_segment of z_H over
 * the whole segment; zeros at first. */
int hrm_change(const hrm_refinement* refinement, float* change);
/*
 * What each position takes from which in the next update of a level ('H' or 'L') from the present
 * states: [count, layers, heads, positions, positions], each row of which adds up to 1.
 */
int hrm_attention(hrm_refinement* refinement, char level, float* weights);

/* What the last whole segment says of halting, of each puzzle. */
typedef struct {
  /* Probabilities that the answer is right now, and after further segments. Models without a Q head
   * say how far they are, and the rest to 1. */
  float q_halt, q_continue;
  float margin; /* how far the model's own rule is above its threshold: it stops above 0; -infinity
                   for a model without a rule */
  float residual;   /* |new - old| / |new| of z_H over the segment */
  float confidence; /* the least sure cell's probability of its most likely token */
  int32_t repeats;  /* 1 if the answer is that of the segment before */
} hrm_halting;
/* [count]; an error before the first whole segment. */
int hrm_halting_values(const hrm_refinement* refinement, hrm_halting* values);

/* --- training ----------------------------------------------------------------------------------
 */

/*
 * Makes a data set of generated puzzles in the folder `out`: kind "sudoku" (side 4, 6 or 9),
 * "n_queens" or "parity". `count` puzzles, of which `test` are held out in whole symmetry classes.
 */
int hrm_make_data(const char* kind, int32_t side, int32_t count, int32_t test, uint32_t seed,
                  const char* out);
/* Random weights of a preset with other settings ("" or NULL: none), to learn from a data set. */
hrm_training* hrm_train(const char* data, const char* preset, const char* settings);
void hrm_training_free(hrm_training* training);
/*
 * Runs so many optimizer steps. An error if the loss or a gradient is not finite in one of them;
 * the weights stay those of the step before, for good.
 */
int hrm_training_run(hrm_training* training, int32_t steps);
/*
 * The means over the steps since the last call, as JSON: step, samples, lr, loss, and of the
 * puzzles that were finished: exact_accuracy, steps (segments) and others. NULL if there was no
 * step since.
 */
const char* hrm_training_metrics(hrm_training* training);
/*
 * Held-out puzzles, the first so many (0: all), as JSON in the form of evaluation.json:
 * exact_accuracy, exact_by_segment, "solved" by puzzle, ...
 */
const char* hrm_training_evaluate(hrm_training* training, int32_t puzzles);
/*
 * How far the gradient of rules is from the full one, on the states that the last step left, where
 * puzzles that were done have made room for new ones (at first all are new): rules such as
 * "one_step last_k:4". JSON, as `hrm lab gradients --json`.
 */
const char* hrm_training_gradients(hrm_training* training, const char* rules);
/* A copy of the model as an evaluation sees it: with averaged weights if the training keeps any. */
hrm_model* hrm_training_model(hrm_training* training);
/* A held-out puzzle and its answer, [cells] each. */
int hrm_training_puzzle(const hrm_training* training, int32_t number, int32_t* puzzle,
                        int32_t* answer);

#ifdef __cplusplus
}
#endif

#endif
