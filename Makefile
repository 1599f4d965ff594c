# hrm.cpp. `make run` trains a first model, `make test` runs every check; `make help` lists the rest.

# Options -----------------------------------------------------------------------------------------
CUDA ?= 0#             0: CPU only; 1: with the CUDA backend; emulate: its kernels run on the CPU
ARCH ?= native#        native, or a value of -march for the CPU's kernels: x86-64-v3, ...
MPI ?=#                1: for several processes that mpirun or srun starts, connected by MPI
NCCL ?=#               1: their GPUs talk over NCCL (CUDA=1; with MPI=1 where it is found), 0: by way of the host
PORTABLE ?=#           1: kernels for every generation of x86-64 in one program, without shared libraries
PRESET ?= sudoku4#     what `make run` trains
ARGS ?=#               further options of `make run` and `make bench-pytorch`, e.g. ARGS='--seed 3'
DEBUG ?=#              1: -O0 -g
WERROR ?=#             1: a warning is an error (what continuous integration asks for)
SAN ?=#                address or thread, with CUDA=emulate also check: instrumented build; seen: unseen-checks
FUZZ_SECONDS ?= 5#     of each fuzz target
SEED ?= 1#             of make torture
N ?=#                  which exercise of docs/course `make exercise` grades, 1 to 8
SOLUTION ?=#           1: its solution instead
VERSION := 0.1.0
STD ?= c++20#          or c++23
PREFIX ?= /usr/local
LIBDIR ?= lib#            where libraries go below PREFIX
STATIC ?=#             fmt: programs that need no libfmt.so; all: no shared library at all (PORTABLE=1: none to need them)
V ?=#                  1: full command lines
CXX := $(if $(filter default undefined,$(origin CXX)),g++,$(CXX))
CLANGXX ?= clang++#    compiler of `make fuzz` and of the thread sanitizer
EMXX ?= em++#          Emscripten's compiler, for WebAssembly
NODE ?= node
CUDA_HOME ?= $(or $(patsubst %/bin/nvcc,%,$(realpath $(shell command -v nvcc))),/usr/local/cuda)
NVCC ?= $(CUDA_HOME)/bin/nvcc
MPICXX ?= mpicxx

# Folders with recorded reference numbers and puzzles. Tests that need one are skipped without it.
REFERENCE_DIR ?= ../shared/reference
DATA_DIR ?= ../shared/data
export REFERENCE_DIR DATA_DIR CXX CLANGXX

ifeq ($(filter 0 1 emulate,$(CUDA)),)
  $(error CUDA=$(CUDA): must be 0, 1 or emulate)
endif
ifneq ($(filter-out address thread seen $(if $(filter emulate,$(CUDA)),check),$(SAN)),)
  $(error SAN=$(SAN): must be address, thread or seen, or check with CUDA=emulate)
endif
ifneq ($(filter exercise,$(MAKECMDGOALS)),)
  EXERCISE := $(if $(filter 1 2 3 4 5 6 7 8,$(N)),$(notdir $(wildcard docs/course/$(N)_*)))
  ifeq ($(EXERCISE),)
    $(error make exercise: N must be 1 to 8, got '$(N)'. HINT: make exercise N=1; docs/course/README.md lists them)
  endif
endif
ifneq ($(STATIC),$(filter fmt all $(if $(PORTABLE),none),$(STATIC)))
  $(error STATIC=$(STATIC): must be fmt or all, or none with PORTABLE=1)
endif
ifeq ($(CUDA)$(wildcard $(NVCC)),1)
  $(error CUDA=1: no nvcc at $(NVCC). HINT: install the CUDA Toolkit 12 or newer, or set CUDA_HOME)
endif
override MPI := $(filter-out 0,$(MPI))
has_mpi = echo '\#include <mpi.h>' | $(MPICXX) -E -x c++ - >/dev/null 2>&1
ifneq ($(MPI),)
  ifneq ($(MPI),1)
    $(error MPI=$(MPI): must be 0 or 1)
  endif
  ifeq ($(filter deps help clean,$(MAKECMDGOALS))$(shell $(has_mpi) && echo yes),)
    $(error MPI=1: $(MPICXX) does not find mpi.h. HINT: make MPI=1 deps)
  endif
endif
# The emulation has a stand-in for NCCL.
has_nccl = echo '\#include <nccl.h>' | $(CXX) -isystem $(CUDA_HOME)/include -E -x c++ - >/dev/null 2>&1
ifeq ($(CUDA),emulate)
  override NCCL := 1
else ifeq ($(CUDA)|$(MPI)|$(NCCL),1|1|)
  override NCCL := $(if $(shell $(has_nccl) && echo yes),1)
  ifeq ($(NCCL),)
    $(info CUDA=1 MPI=1: no nccl.h, so the GPUs of several processes talk by way of the host. HINT: \
      apt-get install libnccl-dev, or NCCL=0)
  endif
endif
override NCCL := $(filter-out 0,$(NCCL))
ifneq ($(NCCL),)
  ifneq ($(NCCL),1)
    $(error NCCL=$(NCCL): must be 0 or 1)
  else ifeq ($(CUDA),0)
    $(error NCCL=1: needs CUDA=1)
  else ifeq ($(CUDA)$(shell $(has_nccl) && echo yes),1)
    $(error NCCL=1: no nccl.h. HINT: apt-get install libnccl-dev)
  endif
endif
# All cores, unless -j was given; a make called by this one shares its jobs.
ifeq ($(MAKELEVEL),0)
  MAKEFLAGS += -j$(shell nproc)
endif
MAKEFLAGS += --no-print-directory

# The processor that the compiler compiles for, and whether that is another one than this.
TARGET := $(firstword $(subst -, ,$(shell $(CXX) -dumpmachine)))
CROSS := $(filter-out $(shell uname -m),$(TARGET))

ifneq ($(PORTABLE),)
  ifneq ($(TARGET),x86_64)
    $(error PORTABLE=1 is for x86-64, and $(CXX) compiles for $(TARGET))
  endif
  ifneq ($(filter-out 0,$(CUDA))$(SAN)$(DEBUG)$(MPI)$(filter bench%,$(MAKECMDGOALS)),)
    $(error PORTABLE=1 is for the CPU alone, without SAN, DEBUG, MPI or benchmarks)
  endif
  SHARED := $(filter none,$(STATIC))
  override STATIC := $(if $(SHARED),,all)
endif

# A build tree for each flavour.
TREES := build/$(if $(CROSS),$(CROSS)-)
BUILD := $(TREES)$(if $(PORTABLE),portable,$(if $(filter 1,$(CUDA)),cuda,$(if $(filter emulate,$(CUDA)),emulate,cpu)))$(if $(SAN),-$(SAN))$(if $(DEBUG),-debug)$(if $(MPI),-mpi)$(if $(filter 11,$(CUDA)$(NCCL)),$(if $(MPI),,-nccl))

# Flags -------------------------------------------------------------------------------------------
# No -ffast-math: a NaN must stay a NaN. The two -fno- flags only drop errno and traps.
# Position-independent, so that a shared library can be made of the same objects; functions are
# inlined as if it were not.
CXXFLAGS := -std=$(STD) -fopenmp -fPIC -fno-semantic-interposition -fno-math-errno -fno-trapping-math -I. \
            -Wall -Wextra $(if $(WERROR),-Werror) $(if $(filter aarch64,$(TARGET)),-Wno-psabi) \
            $(if $(filter x86_64,$(TARGET)),-march=x86-64)
LDFLAGS := -fopenmp
ifeq ($(STATIC),all)
  LDFLAGS += -static -Wl,--gc-sections
endif
LDLIBS := $(if $(STATIC),$(BUILD)/obj/fmt.o,-lfmt)
# Kernels are worth every optimisation, and what makes and reads data is worth some. All else calls
# these, and only its compile time counts. Kernels alone may use instructions that not every
# processor has, so that a program can say in a line that it is built for another one.
KERNEL_OPT := -O3 $(if $(filter x86_64,$(TARGET)),-mprefer-vector-width=512)
# The copies of PORTABLE=1, and what each is compiled for (kernels/instruction_sets.cpp).
COPIES := v2 v3 v4 amx
FLAGS_OF_v1 := -march=x86-64
FLAGS_OF_v2 := -march=x86-64-v2
FLAGS_OF_v3 := -march=x86-64-v3
FLAGS_OF_v4 := -march=x86-64-v4
FLAGS_OF_amx := -march=x86-64-v4 -mavx512bf16 -mamx-tile -mamx-bf16
# For the processor at hand the best of these, and not all that it can do: a program asks for just
# that when it starts. (The copy for AMX asks for bf16 alone, and uses tiles if they are there.)
defines = $(CXX) $(1) -fopenmp -dM -E -x c++ /dev/null
ifeq ($(ARCH),native)
  NATIVE_COPY := $(if $(filter x86_64,$(TARGET)),$(shell $(call defines,-march=native) | awk ' \
    { has[$$2] = 1 } \
    END { v2 = ("__SSE4_2__" in has) && ("__POPCNT__" in has); \
      v3 = v2 && ("__AVX2__" in has) && ("__FMA__" in has) && ("__BMI__" in has) && ("__BMI2__" in has); \
      v4 = v3 && ("__AVX512BW__" in has) && ("__AVX512CD__" in has) && ("__AVX512DQ__" in has) && \
           ("__AVX512VL__" in has); \
      print v4 && ("__AVX512BF16__" in has) ? "amx" : v4 ? "v4" : v3 ? "v3" : v2 ? "v2" : "v1" }'))
  ARCH_FLAGS := $(if $(NATIVE_COPY),$(FLAGS_OF_$(NATIVE_COPY)) -mtune=native)
else
  ARCH_FLAGS := -march=$(ARCH)
endif
KERNEL_FLAGS := $(ARCH_FLAGS) -DHRM_CPU=cpu_native
DATA_OPT := -O2
OPT := -O1

# clang vectorises fewer loops, and says so; it alone sees two statements joined by a comma.
CLANG_FLAGS := -Wno-pass-failed -Wcomma
CXXFLAGS += $(if $(findstring clang,$(CXX)),$(CLANG_FLAGS))

# What MPI's own compiler would add. Its C++ interface is not used.
ifneq ($(MPI),)
  MPI_ADDS := $(shell $(MPICXX) -show 2>/dev/null)
  CXXFLAGS += -DHRM_WITH_MPI -DOMPI_SKIP_MPICXX -DMPICH_SKIP_MPICXX \
    $(patsubst -I%,-isystem %,$(filter-out -I/usr/include,$(filter -I%,$(MPI_ADDS))))
  LDFLAGS += $(filter -L% -Wl%,$(MPI_ADDS))
  LDLIBS += $(filter-out -lmpi_cxx -lmpicxx -lmpichcxx,$(filter -l%,$(MPI_ADDS)))
endif
ifneq ($(NCCL),)
  CXXFLAGS += -DHRM_WITH_NCCL $(if $(filter emulate,$(CUDA)),-isystem kernels/cuda/emulate/nccl)
  LDLIBS += $(if $(filter 1,$(CUDA)),-lnccl)
endif

# The .cu files: nvcc's, or the host compiler's over kernels/cuda/emulate.
ifeq ($(CUDA),1)
  CUBLASLT ?= 1
  CXXFLAGS += -DHRM_WITH_CUDA=1 -isystem $(CUDA_HOME)/include
  CUDA_ARCHS ?= 80 89 90
  NEWEST := $(lastword $(CUDA_ARCHS))
  CU_COMPILE = $(NVCC) -std=c++20 -O3 -I. -DHRM_WITH_CUDA=1 \
    $(if $(filter 1,$(CUBLASLT)),-DHRM_CUBLASLT=1) $(if $(WERROR),-Werror all-warnings) \
    -Xptxas -v,-warn-spills,-warn-lmem-usage -Xcompiler -Wall,-Wextra,-fopenmp,-fPIC -lineinfo \
    $(foreach a,$(CUDA_ARCHS),-gencode arch=compute_$(a),code=sm_$(a)) \
    -gencode arch=compute_$(NEWEST),code=compute_$(NEWEST)
  # ptxas says of each kernel how many registers and how much shared memory it takes, for
  # tests/cuda/host_side. Only what else is said there is for the eye.
  KEEP_USAGE = 2>$(@:.o=.ptxas); status=$$?; \
    grep -v -e 'ptxas info' -e 'bytes stack frame' $(@:.o=.ptxas) >&2; exit $$status
  LDFLAGS += -L$(CUDA_HOME)/lib64 -Wl,-rpath,$(CUDA_HOME)/lib64 \
    $(if $(filter 1,$(CUBLASLT)),-lcublasLt) -lcudart_static -ldl -lrt
else ifeq ($(CUDA),emulate)
  CXXFLAGS += -DHRM_WITH_CUDA=1 -DHRM_EMULATE=1 $(if $(filter check,$(SAN)),-DHRM_EMULATE_CHECK=1)
  # No contraction: the same bits everywhere.
  CU_COMPILE = $(CXX) $(CXXFLAGS) $(CU_OPT) $(CU_SANITIZE) -ffp-contract=off \
    -fno-strict-aliasing -x c++
  # The kernels' speed counts in the tests, the host code's costs only compile time.
  CU_OPT = $(if $(SAN)$(DEBUG),$(OPT),-O2)
  DATA_OPT := -O1
endif

ifeq ($(SAN),check)
  # The calls that come before each memory access go to kernels/cuda/emulate/checker.cpp.
  CU_SANITIZE := -fsanitize=thread,undefined -fno-sanitize-recover=all -g1
  LDFLAGS += -lubsan
else ifeq ($(SAN),address)
  SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
else ifeq ($(SAN),thread)
  SANITIZE := -fsanitize=thread $(CLANG_FLAGS)
  CXX := $(CLANGXX)# g++'s OpenMP runtime is not instrumented: its barriers would look like races
endif
ifeq ($(SAN),seen)
  CXXFLAGS += -include tests/support/seen_checks.h
endif
ifneq ($(SANITIZE),)
  CXXFLAGS += $(SANITIZE) -g1
  LDFLAGS += $(SANITIZE)
  KERNEL_OPT := -O2
  DATA_OPT := -O1
endif
ifneq ($(DEBUG),)
  CXXFLAGS += -g
  KERNEL_OPT := -O0
  OPT := -O0
  DATA_OPT := -O0
endif

# Sources: every file in these folders; there is no list to keep ----------------------------------
# The rooms of hrm/ that belong to the library, from the bottom up; hrm/cli is the program.
HRM_ROOMS := support data tasks model lattice eval train view lab c_api
KERNEL_SRC := $(wildcard kernels/cpu/*.cpp)
LIB_SRC := $(wildcard kernels/*.cpp kernels/cpu/*.cpp tensor/*.cpp autograd/*.cpp autograd/ops/*.cpp \
                      nn/*.cpp nn/optim/*.cpp nn/distributed/*.cpp hrm/*.cpp $(HRM_ROOMS:%=hrm/%/*.cpp)) \
           $(if $(filter emulate,$(CUDA)),$(wildcard kernels/cuda/emulate/*.cpp)) \
           $(if $(filter 11,$(CUDA)$(CUBLASLT)),kernels/cuda/gemm_cublaslt.cpp) \
           $(if $(filter-out 0,$(CUDA)),kernels/cuda/profile.cpp)
ifeq ($(MPI),)
  LIB_SRC := $(filter-out nn/distributed/mpi_transport.cpp,$(LIB_SRC))
endif
ifeq ($(NCCL),)
  LIB_SRC := $(filter-out nn/distributed/nccl_transport.cpp,$(LIB_SRC))
endif
# A GPU needs the CUDA runtime and cuBLASLt; the emulation has its own runtime in its folder.
CU_SRC := $(if $(filter 0,$(CUDA)),,$(filter-out $(if $(filter emulate,$(CUDA)),%/runtime.cu), \
            $(wildcard kernels/cuda/*.cu)))
CLI_SRC := $(wildcard hrm/cli/*.cpp)
TEST_SRC := $(wildcard tests/test_*.cpp tests/support/*.cpp tests/compressarc/*.cpp) tests/main.cpp
# Of these, the ones with cases for devices: all that a CPU build asks of its emulated twin.
DEVICE_TEST_SRC := $(shell grep -lE 'devices[(][)]|HRM_WITH_CUDA|HRM_EMULATE' tests/test_*.cpp) \
                   $(wildcard tests/support/*.cpp) tests/main.cpp
TEST_CU_SRC := $(if $(filter-out 0,$(CUDA)),$(wildcard tests/cuda/*.cu)) \
               $(if $(filter emulate,$(CUDA)),$(wildcard tests/emulate/*.cu))
# The command line's own parts are tested too; only its main() is not.
TEST_CLI_SRC := $(filter-out hrm/cli/main.cpp,$(CLI_SRC))
RANKS_SRC := $(wildcard tests/mpi/*.cpp)
TORTURE_SRC := $(wildcard tests/torture/*.cpp)
# The host side of the CUDA backend over a stand-in for the CUDA runtime and cuBLASLt: needs nvcc,
# but no GPU.
HOST_SIDE_SRC := $(wildcard tests/cuda/host_side/*.cpp) kernels/cuda/gemm_cublaslt.cpp tests/main.cpp
# The parts of an example that has a folder to itself are tested like those of the library.
EXAMPLE_SRC := $(wildcard examples/*/*.cpp examples/*/*/*.cpp)
EXAMPLE_PARTS := $(filter-out %/main.cpp,$(EXAMPLE_SRC))
EXAMPLE_KERNELS := $(wildcard examples/*/*/*.cpp)
PARITY_SRC := $(EXAMPLE_PARTS) $(wildcard tests/compressarc/*.cpp) tests/parity.cpp $(wildcard tests/parity/*.cpp) tests/support/sha256.cpp
# Each exercise of the course is linked with its grade three times: as the student leaves it, as its
# solution, and as one that makes the mistake that $MISTAKE names.
EXERCISES := $(patsubst docs/course/%/grade.cpp,%,$(wildcard docs/course/*/grade.cpp))
COURSE_SRC := $(foreach e,$(EXERCISES),$(addprefix docs/course/$(e)/,exercise.cpp solution.cpp grade.cpp) tests/course/$(e).cpp)
# The parsers and all they touch: not what computes, trains and evaluates.
FUZZ_SRC := $(filter-out %_transport.cpp nn/distributed/gradient_sum.cpp nn/distributed/job.cpp nn/distributed/tree_sum.cpp \
              nn/optim/% hrm/c_api/% hrm/lattice/% $(addprefix hrm/eval/,evaluate.cpp predictions.cpp rollouts.cpp segment_view.cpp solve_lattice.cpp) \
              $(addprefix hrm/train/,estimate.cpp lattice_pool.cpp lattice_step.cpp learner.cpp loaded_run.cpp metrics_window.cpp \
                micro_batches.cpp not_finite.cpp row_queue.cpp run_folder.cpp train_step.cpp trainer.cpp trainer_state.cpp),$(LIB_SRC))
HEADERS := $(wildcard kernels/*.h kernels/cpu/namespace.h kernels/cuda/runtime.h tensor/*.h autograd/*.h autograd/ops/*.h nn/*.h nn/optim/*.h nn/distributed/*.h \
                      $(filter-out hrm/precompiled.h,$(wildcard hrm/*.h)) $(HRM_ROOMS:%=hrm/%/*.h))
# Of nn/distributed what connects processes in this build alone, which job.h stands for.
# Likewise behind the C interface.
HEADERS := $(filter-out nn/distributed/mpi_transport.h nn/distributed/nccl_transport.h hrm/c_api/%,$(HEADERS))
# The examples at their heads, as functions to compile.
HEADER_EXAMPLES := $(BUILD)/header_examples
HEADER_LIST := $(HEADER_EXAMPLES)/list
FORMATTED = $(shell find kernels tensor autograd nn hrm tests bench examples docs/course \
                    -name '*.h' -o -name '*.c' -o -name '*.cpp' -o -name '*.cu' -o -name '*.js' -o -name '*.mjs')

# The emulated builds compile only what differs: a source that does not name the seam between the
# devices comes from the CPU's tree, and the checker's build takes most others from the plain one.
ifeq ($(CUDA),emulate)
  DEBUG_TREE := $(if $(DEBUG),-debug)
  CPU_BUILD := $(TREES)cpu$(if $(filter address,$(SAN)),-address)$(DEBUG_TREE)
  SHAREABLE := $(sort $(filter-out kernels/cuda/% nn/distributed/%_transport.cpp,$(LIB_SRC)) $(DEVICE_TEST_SRC) $(PARITY_SRC))
  FROM_CPU := $(shell grep -LE 'HRM_DISPATCH|kBuiltWithCuda|HRM_WITH_CUDA|HRM_WITH_NCCL|HRM_EMULATE' $(SHAREABLE))
  FROM_EMULATE := $(if $(filter check,$(SAN)), \
                    $(filter-out $(FROM_CPU),$(shell grep -L HRM_EMULATE $(SHAREABLE))))
endif
# With MPI, only what connects processes differs.
ifeq ($(CUDA)$(SAN)$(DEBUG)$(if $(MPI),mpi),0mpi)
  CPU_BUILD := $(TREES)cpu
  FROM_CPU := $(filter-out nn/distributed/job.cpp nn/distributed/mpi_transport.cpp,$(LIB_SRC) $(CLI_SRC))
endif
# The portable build compiles nothing but the copies of the kernels.
ifneq ($(PORTABLE),)
  CPU_BUILD := build/cpu
  asked = $(if $(filter $(1),$(MAKECMDGOALS)),$(2))
  FROM_CPU := $(filter-out $(KERNEL_SRC) $(EXAMPLE_KERNELS) kernels/instruction_sets.cpp,$(sort $(LIB_SRC) $(CLI_SRC) \
                $(call asked,unit,$(TEST_SRC)) $(call asked,parity,$(PARITY_SRC))))
endif
objects_in = $(patsubst %.cpp,$(1)/obj/%.o,$(patsubst %.cu,$(1)/obj/%.cu.o,$(2)))
objects = $(call objects_in,$(BUILD),$(filter-out $(FROM_CPU) $(FROM_EMULATE),$(1))) \
          $(call objects_in,$(CPU_BUILD),$(filter $(FROM_CPU),$(1))) \
          $(call objects_in,$(TREES)emulate$(DEBUG_TREE),$(filter $(FROM_EMULATE),$(1)))
COVERAGE ?=
FUZZ_TREE := build/fuzz$(if $(COVERAGE),-coverage)
fuzz_objects = $(patsubst %.cpp,$(FUZZ_TREE)/obj/%.o,$(1))
LIB := $(BUILD)/libhrm.a
SONAME := libhrm.so.$(firstword $(subst ., ,$(VERSION)))
SHARED_LIB := $(BUILD)/libhrm.so.$(VERSION)
# The portable program exists in two forms, linked from the same objects.
LINKED := $(BUILD)$(if $(SHARED),/shared)
HRM := $(LINKED)/hrm
UNIT := $(BUILD)/tests/unit
DEVICES := $(BUILD)/tests/devices
TORTURE := $(BUILD)/tests/torture
HOST_SIDE := $(BUILD)/tests/host_side
RANKS := $(BUILD)/tests/ranks
TRACE := $(BUILD)/tests/trace
RANKS_BENCH := $(BUILD)/bench/ranks
PARITY := $(BUILD)/tests/parity
SMALL_EXAMPLES := $(patsubst examples/%.cpp,$(BUILD)/examples/%,$(wildcard examples/*.cpp)) \
                  $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))
LARGE_EXAMPLES := $(patsubst examples/%/main.cpp,$(BUILD)/examples/%,$(wildcard examples/*/main.cpp))
EXAMPLES := $(SMALL_EXAMPLES) $(LARGE_EXAMPLES)
COURSE := $(foreach kind,exercise solution mistake,$(EXERCISES:%=$(BUILD)/course/%/$(kind)))
BENCH := $(BUILD)/bench/bench
GPU_BENCH := $(BUILD)/bench/gpu
LADDER := $(patsubst bench/%.cpp,$(BUILD)/bench/%,$(wildcard bench/ladder/*.cpp))
CUDA_LADDER := $(if $(filter-out 0,$(CUDA)),$(patsubst bench/%.cu,$(BUILD)/bench/%,$(wildcard bench/ladder/cuda/*.cu)))
FUZZERS := $(patsubst tests/fuzz/%.cpp,$(FUZZ_TREE)/%,$(wildcard tests/fuzz/*.cpp))

Q := $(if $(V),,@)
say = @printf '  %-6s %s\n' $(1) $(2)

# Makes the second word if clang with OpenMP is there, or says that the first is skipped.
with_clang = if echo '\#include <omp.h>' | $(CLANGXX) -fopenmp -fsyntax-only -x c++ - 2>/dev/null; \
  then $(MAKE) $(if $(V),,-s) $(2); \
  else echo 'SKIPPED $(1): needs $(CLANGXX) with OpenMP. HINT: apt-get install clang libomp-dev'; fi

# Targets -----------------------------------------------------------------------------------------
.PHONY: header-examples deb check-deb exercise course nccl-objects uninstall site all hrm run test trace wasm wasm-tests check-wasm playground deps-playground check-pages deps-pages check-js check-portable dist check-arm test-build test-programs cuda-objects check-kernels check-some-kernels check-other-kernels mutate gpu-bench gpu-report gpu-kit unit devices host-side parity ranks objects shared emulated bench bench-pytorch bench-ranks bench-build examples gradcheck sanitize fuzz fuzz-run fuzz-check fuzz-check-run check-clang check-clang-run unseen-checks fuzz-coverage fuzz-coverage-run torture torture-short \
        install format format-check check-tidy tidy loc check-deps print-config clean help deps
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

all: hrm  ## the program build/cpu/hrm and the library build/cpu/libhrm.a (the default)
hrm: $(HRM) | print-config
unit: $(UNIT)
devices: $(DEVICES)
ifeq ($(CUDA)$(CUBLASLT),11)
host-side: $(HOST_SIDE)
else
host-side:
	$(error make host-side: needs CUDA=1, with cuBLASLt)
endif
parity: $(PARITY)
ranks: $(RANKS)
trace: $(TRACE)
bench-build: $(BENCH) $(LADDER) $(CUDA_LADDER)

run: deps  ## install what is missing, build, train a model (PRESET=sudoku4|lattice6|maze10|...)
	@$(MAKE) hrm
	$(HRM) demo --preset $(PRESET) $(ARGS)

test: test-build  ## build everything, the CUDA kernels too (emulated, and by nvcc if it is there), test it
	+@NVCC='$(NVCC)' bash tests/run.sh $(BUILD)

test-build: deps  ## only the building
	@$(MAKE) $(if $(V),,-s) test-programs
ifeq ($(CUDA)$(SAN),0)
	@$(MAKE) $(if $(V),,-s) CUDA=emulate MPI= NCCL= devices parity
	@if $(has_mpi); then $(MAKE) $(if $(V),,-s) MPI=1 hrm ranks; fi
endif
test-programs: hrm unit parity examples course bench-build trace header-examples

cuda-objects: $(call objects,$(CU_SRC) $(TEST_CU_SRC)) $(CUDA_LADDER:$(BUILD)/bench/%=$(BUILD)/obj/bench/%.cu.o)  ## compile the kernels for every GPU (CUDA=1)

# Against the real NCCL, which has a stand-in in the emulation.
nccl-objects: $(call objects,nn/distributed/nccl_transport.cpp nn/distributed/job.cpp)

header-examples: $(addprefix $(HEADER_EXAMPLES)/,kernels.o nn.o hrm.o c_api.o)  ## compile the example at the head of every installed header

examples: $(EXAMPLES)  ## build the programs of examples/

GRADED := $(BUILD)/course/$(EXERCISE)/$(if $(filter-out 0,$(SOLUTION)),solution,exercise)
exercise: deps  ## grade exercise N=1..8 of docs/course (SOLUTION=1: its solution)
	@$(MAKE) $(if $(V),,-s) $(GRADED)
	@bash docs/course/grade.sh docs/course/$(EXERCISE) $(GRADED)
course: $(COURSE)

bench: deps  ## measure the machine, every kernel and whole training steps (bench/ladder: step by step)
	@$(MAKE) $(if $(V),,-s) bench-build
	$(BENCH) --json $(BUILD)/bench.json

bench-ranks: deps  ## several processes against several threads (MPI=1): a training step, the sum of a gradient
	$(if $(filter-out 0,$(MPI)),,$(error make bench-ranks: needs MPI=1))
	@$(MAKE) $(if $(V),,-s) $(RANKS_BENCH)
	@bash bench/ranks/run.sh $(RANKS_BENCH)

PYTHON ?= python3
bench-pytorch: deps  ## the same model and step in PyTorch (PYTHON=... with torch), in turns with ours; ten minutes, ARGS=--quick two
	@$(MAKE) $(if $(V),,-s) bench-build
	@$(PYTHON) -c 'import torch' 2>/dev/null || { echo 'bench-pytorch: $(PYTHON) has no torch.' \
	  'HINT: pip install torch, or PYTHON=a python that has it'; exit 1; }
	$(PYTHON) bench/pytorch_hrm.py --bench $(BENCH) --json $(BUILD)/pytorch.json $(ARGS)

check-kernels: deps  ## the CUDA kernels under the checker of races, bounds and uninitialised memory
	@$(MAKE) -s CUDA=emulate SAN=check MPI= NCCL= devices
	@$(MAKE) -s check-some-kernels check-other-kernels
# Two programs that take about as long: the emulation runs on one core each.
SOME_KERNELS := cuda: gradcheck*,cuda: attention*,*is recorded once*
# Whole steps take minutes there; one training is enough.
MORE_STEPS := *recorded step*,*training follows*,*cannot be recorded*,*late steps*
check-some-kernels:
	@build/emulate-check/tests/devices --no-colors=true --test-case='$(SOME_KERNELS)'
check-other-kernels:
	@build/emulate-check/tests/devices --no-colors=true --test-case='cuda*' \
	  --test-case-exclude='$(SOME_KERNELS),$(MORE_STEPS)'

check-portable: deps  ## the portable program with every instruction set that this processor has
	@$(MAKE) $(if $(V),,-s) PORTABLE=1 hrm unit parity
	@bash .ci/dist build/portable/hrm $(DIST)
	@bash tests/portable.sh build/portable $(DIST)

# One program for every x86-64 Linux, with its documents and the licences of what is linked into it.
DIST := build/dist
dist: deps  ## build/dist/hrm-VERSION-linux-x86_64.tar.gz: the portable program, to unpack and run anywhere
	@$(MAKE) $(if $(V),,-s) PORTABLE=1 hrm
	@bash .ci/dist build/portable/hrm $(DIST)

# Packages for Debian and Ubuntu: the program, the shared library, and what is needed to compile.
DEB := build/deb
deb: deps  ## build/deb/*.deb: packages for Debian and Ubuntu, for any x86-64 processor
	@command -v dpkg-shlibdeps >/dev/null || { echo 'deb: no dpkg-shlibdeps. HINT: apt-get install dpkg-dev' >&2; exit 1; }
	@$(MAKE) $(if $(V),,-s) PORTABLE=1 STATIC=none hrm
	@rm -rf $(DEB)
	@$(MAKE) -s PORTABLE=1 STATIC=none PREFIX=/usr LIBDIR=lib/$(TARGET)-linux-gnu DESTDIR=$(DEB)/all install >/dev/null
	@bash .ci/deb $(DEB)/all $(DEB)

check-deb: deps  ## the packages, and what is in them
	@if command -v dpkg-shlibdeps >/dev/null; then \
	  $(MAKE) $(if $(V),,-s) deb && bash tests/deb.sh $(DEB); \
	else echo 'SKIPPED check-deb: there is no dpkg-shlibdeps. HINT: apt-get install dpkg-dev'; \
	  echo '0 passed, 0 failed, 1 skipped'; fi

# Without shared libraries, so that qemu needs none of that processor.
check-arm: deps  ## the tests on an ARM processor, which qemu imitates
	@if command -v aarch64-linux-gnu-g++ >/dev/null && command -v qemu-aarch64 >/dev/null; then \
	  $(MAKE) $(if $(V),,-s) CXX=aarch64-linux-gnu-g++ STATIC=all hrm unit parity && \
	  bash tests/arm.sh build/aarch64-cpu; \
	else echo 'SKIPPED check-arm: needs a compiler for ARM and qemu.' \
	  'HINT: apt-get install g++-aarch64-linux-gnu qemu-user'; echo '0 passed, 0 failed, 1 skipped'; fi

check-wasm: deps  ## the library as WebAssembly: its tests under node, and its numbers beside the native ones
	@if command -v $(EMXX) >/dev/null && command -v $(NODE) >/dev/null; then \
	  $(MAKE) $(if $(V),,-s) hrm trace wasm wasm-tests && NODE='$(NODE)' bash tests/wasm/run.sh build/wasm $(TRACE); \
	else echo 'SKIPPED check-wasm: needs Emscripten and node. HINT: make deps-playground'; \
	  echo '0 passed, 0 failed, 1 skipped'; fi
playground: deps-playground  ## build/playground/index.html: a page in which HRM is watched, changed and trained
	@$(MAKE) $(if $(V),,-s) hrm wasm
	@NODE='$(NODE)' bash examples/playground/make_page.sh $(HRM) build/wasm build/playground
deps-playground:  ## install what WebAssembly needs, too: Emscripten and node
	@PLAYGROUND=1 bash .ci/deps
deps-pages:
	@PLAYGROUND=1 PAGES=1 bash .ci/deps

CHROMIUM ?= chromium
check-pages: deps  ## the playground and the reports in a headless Chromium
	@if command -v $(EMXX) >/dev/null && command -v $(NODE) >/dev/null && command -v $(CHROMIUM) >/dev/null; then \
	  $(MAKE) $(if $(V),,-s) hrm trace wasm && \
	  NODE='$(NODE)' CHROMIUM='$(CHROMIUM)' bash tests/pages/run.sh $(BUILD) build/wasm; \
	else echo 'SKIPPED check-pages: needs Emscripten, node and Chromium. HINT: make deps-pages'; \
	  echo '0 passed, 0 failed, 1 skipped'; fi

mutate:  ## remove each synchronisation of the CUDA kernels in turn; some test must notice
	@$(MAKE) $(if $(V),,-s) CUDA=emulate unit
	@bash tests/mutate.sh

gpu-bench: $(GPU_BENCH) $(CUDA_LADDER)
gpu-report:  ## on a machine with an NVIDIA GPU: build, test, measure, write docs/gpu/REPORT.md
	@bash bench/gpu/report.sh
CAPABILITIES ?= 80 90
gpu-kit: deps  ## build/kit.txz, for gpu-report on a machine without packages or a network (CAPABILITIES='80 90')
	+@bash bench/gpu/kit.sh $(CAPABILITIES)

gradcheck: $(UNIT)  ## only the finite-difference checks
	$(UNIT) --test-case='*gradcheck*'

sanitize: deps  ## unit tests under address+undefined (g++) and thread (clang++) sanitizers
	+@bash tests/sanitize.sh

unseen-checks: deps  ## the messages for wrong input that no test has seen
	@$(MAKE) -s SAN=seen hrm unit
	@bash tests/unseen_checks.sh build/cpu-seen
fuzz: deps  ## every parser for FUZZ_SECONDS
	+@$(call with_clang,fuzz,fuzz-run)
fuzz-check: deps  ## build the fuzz targets and run each over its examples
	+@$(call with_clang,fuzz-check,fuzz-check-run)
fuzz-coverage: deps  ## which share of each parser's lines the fuzz targets have reached
	+@$(call with_clang,fuzz-coverage,COVERAGE=1 fuzz-coverage-run)

TORTURE_ARGS = --hrm $(HRM) --work build/torture --seed $(SEED) $(if $(SAN)$(filter 1,$(CUDA)),--memory 0)
torture: $(HRM) $(TORTURE)  ## kill, damage, share, stop and mislead the program for some minutes (SEED=1)
	$(TORTURE) $(TORTURE_ARGS)
torture-short: $(HRM) $(TORTURE)  ## a part of it, in about a minute
	$(TORTURE) $(TORTURE_ARGS) --short

# What a program of one's own links besides: -lmpi, -lcudart_static, ... where the build has them.
ALSO_LINKED = $(filter-out -lfmt,$(filter -L% -l% -Wl%,$(LDFLAGS) $(LDLIBS)))
define PKG_CONFIG_FILE
prefix=$(PREFIX)
Name: hrm
Description: tensors, autograd and the Hierarchical Reasoning Model in C++20
Version: $(VERSION)
Requires: fmt nlohmann_json
Cflags: -std=c++20 -fopenmp -I$${prefix}/include
Libs: -L$${prefix}/$(LIBDIR) -lhrm -fopenmp $(ALSO_LINKED)
endef
define CMAKE_CONFIG_FILE
# find_package(hrm) and target_link_libraries(program PRIVATE hrm::hrm), or hrm::shared.
include(CMakeFindDependencyMacro)
find_dependency(fmt)
find_dependency(nlohmann_json)
find_dependency(OpenMP COMPONENTS CXX)
get_filename_component(_hrm_prefix "$${CMAKE_CURRENT_LIST_DIR}/../..$(subst $() ,,$(patsubst %,/..,$(subst /, ,$(LIBDIR))))" ABSOLUTE)
if(NOT TARGET hrm::hrm)
  add_library(hrm::hrm STATIC IMPORTED)
  set_target_properties(hrm::hrm PROPERTIES IMPORTED_LOCATION "$${_hrm_prefix}/$(LIBDIR)/libhrm.a")
  add_library(hrm::shared SHARED IMPORTED)
  set_target_properties(hrm::shared PROPERTIES IMPORTED_SONAME "$(SONAME)"
    IMPORTED_LOCATION "$${_hrm_prefix}/$(LIBDIR)/libhrm.so.$(VERSION)")
  set_target_properties(hrm::hrm hrm::shared PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "$${_hrm_prefix}/include"
    INTERFACE_COMPILE_FEATURES cxx_std_20
    INTERFACE_LINK_LIBRARIES "fmt::fmt;nlohmann_json::nlohmann_json;OpenMP::OpenMP_CXX;$(ALSO_LINKED)")
endif()
endef
define CMAKE_VERSION_FILE
set(PACKAGE_VERSION "$(VERSION)")
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION)
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
endif()
if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
  set(PACKAGE_VERSION_EXACT TRUE)
endif()
endef
AT := $(DESTDIR)$(PREFIX)
# A header that is hrm/x.h here is hrm/x.h there; what lies beside hrm/ here lies below it there, and
# is included so.
installed_header = $(AT)/include/hrm/$(patsubst hrm/%,%,$(1))

install: export PKG_CONFIG_TEXT = $(PKG_CONFIG_FILE)
install: export CMAKE_CONFIG_TEXT = $(CMAKE_CONFIG_FILE)
install: export CMAKE_VERSION_TEXT = $(CMAKE_VERSION_FILE)
install: hrm $(SHARED_LIB)  ## program, libraries, headers, manual and completion under PREFIX
	@install -d $(AT)/bin $(AT)/$(LIBDIR)/pkgconfig $(AT)/$(LIBDIR)/cmake/hrm $(AT)/share/hrm/experiments $(AT)/share/hrm/python \
	  $(AT)/share/man/man1 $(AT)/share/bash-completion/completions $(AT)/share/zsh/site-functions \
	  $(AT)/share/fish/vendor_completions.d
	@install -m 755 $(HRM) $(AT)/bin/hrm
	@install -m 644 $(LIB) $(AT)/$(LIBDIR)/libhrm.a
	@install -m 644 $(SHARED_LIB) $(AT)/$(LIBDIR)/libhrm.so.$(VERSION)
	@ln -sf libhrm.so.$(VERSION) $(AT)/$(LIBDIR)/$(SONAME)
	@ln -sf $(SONAME) $(AT)/$(LIBDIR)/libhrm.so
	@install -m 644 examples/experiments/*.json $(AT)/share/hrm/experiments/
	@install -m 644 examples/python/hrm.py $(AT)/share/hrm/python/
	@if [ -e build/playground/index.html ]; then \
	  install -D -m 644 build/playground/index.html $(AT)/share/hrm/playground/index.html; \
	else echo 'without the page of `hrm playground`, which `make playground` makes'; fi
	@$(HRM) manual > $(AT)/share/man/man1/hrm.1
	@$(HRM) completion bash > $(AT)/share/bash-completion/completions/hrm
	@$(HRM) completion zsh > $(AT)/share/zsh/site-functions/_hrm
	@$(HRM) completion fish > $(AT)/share/fish/vendor_completions.d/hrm.fish
	@$(foreach h,$(HEADERS),install -d $(dir $(call installed_header,$(h))) && \
	  sed -E 's,#include "(kernels|tensor|autograd|nn)/,#include "hrm/\1/,' $(h) > $(call installed_header,$(h)) &&) true
	@printf '%s\n' "$$PKG_CONFIG_TEXT" > $(AT)/$(LIBDIR)/pkgconfig/hrm.pc
	@printf '%s\n' "$$CMAKE_CONFIG_TEXT" > $(AT)/$(LIBDIR)/cmake/hrm/hrmConfig.cmake
	@printf '%s\n' "$$CMAKE_VERSION_TEXT" > $(AT)/$(LIBDIR)/cmake/hrm/hrmConfigVersion.cmake
	@echo 'installed under $(AT)'

uninstall:  ## take away what `make install` put under PREFIX
	rm -rf $(AT)/include/hrm $(AT)/share/hrm $(AT)/$(LIBDIR)/cmake/hrm
	rm -f $(AT)/bin/hrm $(AT)/$(LIBDIR)/libhrm.a $(AT)/$(LIBDIR)/libhrm.so* $(AT)/$(LIBDIR)/pkgconfig/hrm.pc $(AT)/share/man/man1/hrm.1 \
	  $(AT)/share/bash-completion/completions/hrm $(AT)/share/zsh/site-functions/_hrm \
	  $(AT)/share/fish/vendor_completions.d/hrm.fish

check-clang: deps  ## every source through clang++, with a warning as an error
	+@$(call with_clang,check-clang,WERROR=1 check-clang-run)
# Most of the library is compiled for the fuzz targets anyway.
check-clang-run: $(FUZZ_TREE)/libhrm.a $(patsubst %.cpp,build/clang/%.checked,$(filter-out $(FUZZ_SRC) %_transport.cpp,$(LIB_SRC)) $(CLI_SRC) $(TEST_SRC) $(PARITY_SRC) \
  tests/wasm/trace.cpp $(RANKS_SRC) $(TORTURE_SRC) $(filter %/main.cpp,$(EXAMPLE_SRC)) $(wildcard examples/*.cpp bench/*.cpp bench/ranks/*.cpp bench/ladder/*.cpp) $(COURSE_SRC))

format:  ## clang-format every source
	clang-format -i $(FORMATTED)

format-check:  ## fail if a source is not formatted
	@if command -v clang-format >/dev/null; then clang-format --dry-run -Werror $(FORMATTED); \
	else echo 'SKIPPED format-check: clang-format is not installed'; fi

site:  ## API reference and documents as pages, build/site/index.html (needs doxygen); fails on a dead link
	@.ci/site

check-js:  ## the JavaScript of the pages: names that nothing declares, variables that nothing uses
	@.ci/check_js

check-tidy:  ## clang-tidy over the sources that changed last
	@.ci/tidy

tidy:  ## clang-tidy over every source (five minutes)
	@.ci/tidy all

loc:  ## lines by folder
	@bash .ci/loc

check-deps:  ## includes that run against the order of the folders and of the rooms in hrm/
	@bash .ci/check_deps

deps:
	@MPI=$(MPI) bash .ci/deps

clean:  ## remove build/
	rm -rf build

help:  ## this list
	@awk -F'## ' '/^[a-z-]+:.*## /{split($$1,t,":"); printf "  make %-13s %s\n", t[1], $$2}' Makefile
	@echo '  options: ARCH=native PRESET=sudoku4 ARGS= MPI=1 NCCL=1 DEBUG=1 WERROR=1 SAN=address|thread V=1 FUZZ_SECONDS=5'
	@echo '           PREFIX=/usr/local DESTDIR= CXX=g++ REFERENCE_DIR= DATA_DIR='

# What the compiler really does, asked of the compiler.
CUDA_TEXT := $(if $(filter 0,$(CUDA)),no,$(if $(filter 1,$(CUDA)),$(CUDA_ARCHS:%=sm_%),emulated))
print-config:  ## compiler, instruction set and features of this build
	@$(call defines,$(ARCH_FLAGS)) | awk -v compiler="$$($(CXX) --version | head -n 1)" -v copies='$(if $(PORTABLE),$(COPIES))' ' \
	  $$2 ~ /^__(AVX512F|AVX512BF16|AVX2|FMA|ARM_NEON)__$$|^__ARM_NEON$$/ { \
	    name = $$2; gsub(/__/, "", name); has[name] = 1 } \
	  $$2 == "_OPENMP" { openmp = $$3 } \
	  END { n = split("AVX512BF16 AVX512F AVX2 FMA ARM_NEON", order, " "); \
	    for (i = 1; i <= n; ++i) if (order[i] in has) isa = isa " " order[i]; \
    if (copies) isa = " of the processor at hand: " copies; \
	    printf "hrm.cpp: %s | ISA%s | OpenMP %s | CUDA $(CUDA_TEXT) | MPI $(if $(MPI),yes,no) | NCCL $(if $(NCCL),$(if $(filter 1,$(CUDA)),yes,stand-in),no)\n", \
	      compiler, isa ? isa : " baseline", openmp ? openmp : "no" }'
	@echo 'flags:   $(CXXFLAGS) (kernels $(if $(PORTABLE),,$(ARCH_FLAGS) )$(KERNEL_OPT), data $(DATA_OPT), all else $(OPT)) -> $(BUILD)'

# Rules -------------------------------------------------------------------------------------------
# A file that changes only when the text in it does: a reason to rebuild for what is no file.
stamp = $(shell mkdir -p $(dir $(1)); echo '$(2)' | cmp -s - $(1) || echo '$(2)' > $(1))
FLAGS_STAMP := $(BUILD)/flags
KERNEL_STAMP := $(BUILD)/kernel_flags
LINK_STAMP := $(LINKED)/link_flags
SOURCES_STAMP := $(BUILD)/sources
# Nothing but `hrm info` says it, so that only one object is compiled anew for each commit.
# Not that of another project in whose folder the sources have been unpacked.
COMMIT := $(shell [ -z "$$(git rev-parse --show-cdup 2>/dev/null)" ] && git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null)
COMMIT_STAMP := $(BUILD)/commit
$(call stamp,$(COMMIT_STAMP),$(COMMIT))
$(call stamp,$(FLAGS_STAMP),$(CU_COMPILE) $(CXX) $(CXXFLAGS) $(OPT) $(DATA_OPT))
$(call stamp,$(KERNEL_STAMP),$(if $(PORTABLE),$(foreach copy,$(COPIES),$(FLAGS_OF_$(copy))),$(KERNEL_FLAGS)) $(KERNEL_OPT))
$(call stamp,$(LINK_STAMP),$(CXX) $(LDFLAGS) $(LDLIBS))
$(call stamp,$(SOURCES_STAMP),$(LIB_SRC) $(CU_SRC) $(CLI_SRC) $(TEST_SRC) $(TEST_CU_SRC))
$(call stamp,$(HEADER_LIST),$(HEADERS))

LEVEL = $(OPT)
$(BUILD)/obj/kernels/cpu/%.o: LEVEL = $(KERNEL_OPT) $(KERNEL_FLAGS)
# Benchmarks run where they are built, as do the examples' own kernels.
$(BUILD)/obj/bench/%.o $(call objects_in,$(BUILD),$(EXAMPLE_KERNELS)): LEVEL = $(KERNEL_OPT) $(if $(PORTABLE),,$(ARCH_FLAGS))
$(call objects_in,$(BUILD),$(KERNEL_SRC) $(EXAMPLE_KERNELS) $(wildcard bench/*.cpp bench/*/*.cpp)): $(KERNEL_STAMP)
$(BUILD)/obj/hrm/cli/build_info.o: LEVEL = $(OPT) -DHRM_COMMIT='"$(COMMIT)"'
$(BUILD)/obj/hrm/cli/build_info.o: $(COMMIT_STAMP)
$(BUILD)/obj/kernels/instruction_sets.o: LEVEL = $(OPT) $(if $(PORTABLE),-DHRM_PORTABLE)
$(patsubst %,$(BUILD)/obj/%.o,tensor/% hrm/data/% hrm/tasks/%): LEVEL = $(DATA_OPT)

$(BUILD)/obj/%.cu.o: %.cu $(FLAGS_STAMP)
	$(call say,CU,$<)
	@mkdir -p $(@D)
	$(Q)$(CU_COMPILE) -MMD -MP -MF $(@:.o=.d) -c $< -o $@ $(if $(filter 1,$(CUDA)),$(KEEP_USAGE))

$(BUILD)/obj/%.o: %.cpp $(FLAGS_STAMP)
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CXXFLAGS) $(LEVEL) $(PRECOMPILED) -MMD -MP -c $< -o $@

# The assembler reads them (page_files.cpp).
$(BUILD)/obj/hrm/view/page_files.o $(FUZZ_TREE)/obj/hrm/view/page_files.o: hrm/view/style.css hrm/view/viewer.js

# Examples in C: hrm/c_api.h must be one for a compiler of 1999.
$(BUILD)/obj/%.o: %.c hrm/c_api.h $(FLAGS_STAMP)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c99 -pedantic -Wall -Wextra $(if $(WERROR),-Werror) $(filter -fsanitize%,$(SANITIZE)) \
	  -I. -c $< -o $@

# g++ parses the headers that most sources of hrm/ and the tests include once for each level of
# optimisation. A precompiled header that cannot be used, as after an update of g++, is passed over
# for the file beside it, which only takes longer. clang++ does without, and so shows whether each
# source includes what it needs; SAN=seen does without because its own header must come first.
ifeq ($(findstring clang,$(CXX))$(filter seen,$(SAN)),)
  precompile = $(eval $(call objects_in,$(BUILD),$(2)): $(BUILD)/precompiled/$(1).h.gch) \
    $(eval $(call objects_in,$(BUILD),$(2)): PRECOMPILED = -include $(BUILD)/precompiled/$(1).h)
  DATA_SRC := $(filter hrm/data/% hrm/tasks/%,$(LIB_SRC))
  $(call precompile,data,$(DATA_SRC))
  $(call precompile,rest,$(filter-out $(DATA_SRC),$(filter hrm/%,$(LIB_SRC))) $(CLI_SRC) $(TEST_SRC) $(COURSE_SRC))
endif
$(BUILD)/precompiled/data.h.gch: LEVEL = $(DATA_OPT)
$(BUILD)/precompiled/%.h.gch: hrm/precompiled.h $(FLAGS_STAMP)
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	@echo '#include "$<"' > $(@:.gch=)
	$(Q)$(CXX) $(CXXFLAGS) $(LEVEL) -MMD -MP -x c++-header $< -o $@

# A copy of the kernels as one object. The linker keeps one of all functions of the same name, and
# so might let any processor run a template of the standard library that is compiled for AVX-512:
# what does not belong to the copy's own namespace becomes local to it.
define copy_rules
$(BUILD)/obj/kernels/$(1)/%.o: kernels/cpu/%.cpp $(FLAGS_STAMP) $(KERNEL_STAMP)
	$(call say,CXX,"$$< ($(1))")
	@mkdir -p $$(@D)
	$(Q)$(CXX) $(CXXFLAGS) $(KERNEL_OPT) $(FLAGS_OF_$(1)) -DHRM_CPU=cpu_$(1) -MMD -MP -c $$< -o $$@
$(BUILD)/obj/kernels/$(1).o: $(KERNEL_SRC:kernels/cpu/%.cpp=$(BUILD)/obj/kernels/$(1)/%.o)
	$(Q)$(CXX) -r -nostdlib -Wl,--force-group-allocation $$^ -o $$@
	$(Q)objcopy --wildcard --keep-global-symbol='_ZN*3hrm*cpu_$(1)*' $$@
endef
$(if $(PORTABLE),$(foreach copy,$(COPIES),$(eval $(call copy_rules,$(copy)))))

HEADER_SOURCES := $(addprefix $(HEADER_EXAMPLES)/,kernels.cpp nn.cpp hrm.cpp c_api.c)
$(HEADER_EXAMPLES)/kernels.cpp: $(filter kernels/%,$(HEADERS))
$(HEADER_EXAMPLES)/nn.cpp: $(filter tensor/% autograd/% nn/%,$(HEADERS))
$(HEADER_EXAMPLES)/hrm.cpp: $(filter-out hrm/c_api.h,$(filter hrm/%,$(HEADERS)))
$(HEADER_EXAMPLES)/c_api.c: hrm/c_api.h
$(HEADER_SOURCES): tests/header_examples.sh $(HEADER_LIST)
	@bash tests/header_examples.sh $(filter %.h,$^) > $@
# An example may leave out what is done with a result.
$(HEADER_EXAMPLES)/%.o: $(HEADER_EXAMPLES)/%.cpp $(FLAGS_STAMP)
	$(call say,CXX,$<)
	$(Q)$(CXX) $(CXXFLAGS) -O0 -Wno-unused -MMD -MP -c $< -o $@
$(HEADER_EXAMPLES)/%.o: $(HEADER_EXAMPLES)/%.c $(FLAGS_STAMP)
	$(call say,CC,$<)
	$(Q)$(CC) -std=c99 -pedantic -Wall -Wextra $(if $(WERROR),-Werror) -Wno-unused -I. -MMD -MP -c $< -o $@

# All of {fmt} that is not a template: its headers alone have it, as inline functions.
$(BUILD)/obj/fmt.o: $(FLAGS_STAMP)
	$(call say,CXX,fmt/format-inl.h)
	@mkdir -p $(@D)
	$(Q)echo '#include <fmt/format-inl.h>' | $(CXX) -std=c++20 $(OPT) -DFMT_HEADER_ONLY -fkeep-inline-functions \
	  -ffunction-sections -x c++ -c - -o $@

build/clang/bench/%.checked: CLANG_ARCH = $(ARCH_FLAGS)
build/clang/%.checked: %.cpp
	$(call say,CLANG,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANGXX) $(CXXFLAGS) $(CLANG_FLAGS) $(CLANG_ARCH) -fsyntax-only $<
	@touch $@

# Without commands of their own, so that make looks at these files when the other tree is done.
$(filter-out $(BUILD)/%,$(call objects,$(FROM_CPU) $(FROM_EMULATE))): shared ;
shared:
	@$(MAKE) PORTABLE= STATIC= MPI= NCCL= $(if $(FROM_EMULATE),SAN=,CUDA=0) objects SOURCES='$(FROM_CPU) $(FROM_EMULATE)'
objects: $(call objects,$(SOURCES))

LIB_OBJECTS = $(if $(PORTABLE),$(call objects,$(filter-out $(KERNEL_SRC),$(LIB_SRC))) \
  $(COPIES:%=$(BUILD)/obj/kernels/%.o),$(call objects,$(LIB_SRC) $(CU_SRC)))
$(LIB): $(LIB_OBJECTS) $(SOURCES_STAMP)
	$(call say,AR,$@)
	@rm -f $@
	$(Q)ar rcs $@ $(filter %.o,$^)

$(SHARED_LIB): $(LIB_OBJECTS) $(SOURCES_STAMP) $(LINK_STAMP)
	$(call say,LINK,$@)
	$(Q)$(CXX) -shared -Wl,-soname,$(SONAME) -Wl,-z,defs $(filter %.o,$^) $(LDFLAGS) $(LDLIBS) -o $@

PROGRAMS := $(HRM) $(TRACE) $(RANKS) $(UNIT) $(DEVICES) $(PARITY) $(TORTURE) $(EXAMPLES) $(COURSE) $(BENCH) $(GPU_BENCH) $(RANKS_BENCH) $(LADDER) $(CUDA_LADDER)
$(PROGRAMS): $(LINK_STAMP) $(if $(STATIC),$(BUILD)/obj/fmt.o)
$(HRM): $(call objects,$(CLI_SRC)) $(LIB)
$(UNIT): $(call objects,$(TEST_SRC) $(TEST_CU_SRC) $(TEST_CLI_SRC) $(EXAMPLE_PARTS)) $(LIB)
$(DEVICES): $(call objects,$(DEVICE_TEST_SRC) $(TEST_CU_SRC)) $(LIB)
$(PARITY): $(call objects,$(PARITY_SRC)) $(LIB)
$(TORTURE): $(call objects,$(TORTURE_SRC))
$(RANKS): $(call objects,$(RANKS_SRC)) $(LIB)
$(TRACE): $(call objects,tests/wasm/trace.cpp) $(LIB)
$(SMALL_EXAMPLES): $(BUILD)/examples/%: $(BUILD)/obj/examples/%.o $(LIB)
course_program = $(call objects,docs/course/$(1)/grade.cpp tests/main.cpp $(2)) $(LIB)
define course_rules
$(BUILD)/course/$(1)/exercise: $(call course_program,$(1),docs/course/$(1)/exercise.cpp)
$(BUILD)/course/$(1)/solution: $(call course_program,$(1),docs/course/$(1)/solution.cpp)
$(BUILD)/course/$(1)/mistake: $(call course_program,$(1),tests/course/$(1).cpp)
endef
$(foreach e,$(EXERCISES),$(eval $(call course_rules,$(e))))
# With the parts of the program's command line.
$(BUILD)/examples/compressarc: $(call objects,$(filter examples/compressarc/%,$(EXAMPLE_SRC)) $(TEST_CLI_SRC)) $(LIB)
$(BENCH): $(call objects,$(wildcard bench/*.cpp) $(EXAMPLE_PARTS)) $(LIB)
$(CUDA_LADDER): $(BUILD)/bench/%: $(BUILD)/obj/bench/%.cu.o $(LIB)
$(GPU_BENCH): $(call objects,bench/gpu/main.cpp) $(LIB)
$(RANKS_BENCH): $(call objects,bench/ranks/main.cpp) $(LIB)
$(LADDER): $(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(call objects,bench/machine.cpp bench/measure.cpp) $(LIB)
# Without the libraries that it stands in for. What no GPU changes comes from the emulated library,
# which is built for the tests anyway; the linker takes from it only what the objects lack.
EMULATED_LIB := $(TREES)emulate/libhrm.a
$(HOST_SIDE): $(call objects,$(HOST_SIDE_SRC) $(CU_SRC)) $(EMULATED_LIB)
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	@cat $(patsubst %.o,%.ptxas,$(filter %.cu.o,$^)) > $@.ptxas
	$(Q)$(CXX) $^ -fopenmp -lfmt -o $@
ifeq ($(CUDA),1)
  $(EMULATED_LIB): emulated ;
endif
emulated:
	@$(MAKE) CUDA=emulate SAN= DEBUG= STATIC= MPI= NCCL= $(EMULATED_LIB)
# Without shared libraries the linker warns of a dlopen in libgomp, for devices that nothing here uses.
ifeq ($(STATIC),all)
  QUIET_LINK = 2>$@.log || { cat $@.log; exit 1; }
endif
# build/hrm is a link to the newest program of all build trees.
$(PROGRAMS):
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(filter-out $(LDLIBS),$(filter %.o %.a,$^)) $(LDFLAGS) $(LDLIBS) -o $@ $(QUIET_LINK)
	@$(if $(CROSS)$(MPI),,$(if $(filter $(HRM),$@),ln -sfn $(HRM:build/%=%) build/hrm))

# Fuzzing: clang's own flavour of the library. What a run has found out stays in build/fuzz/corpus,
# and is where the next one starts, beside the examples of tests/fuzz/corpus.
FUZZ_OPT ?= -O1
FUZZ_FLAGS := -std=c++20 $(FUZZ_OPT) -g1 -fopenmp -I. -Wall -Wextra $(if $(WERROR),-Werror) $(CLANG_FLAGS) $(if $(COVERAGE), \
                -fprofile-instr-generate -fcoverage-mapping, \
                -fsanitize=address,undefined -fno-sanitize-recover=all)
$(FUZZ_TREE)/obj/kernels/cpu/%.o: LEVEL = -DHRM_CPU=cpu_native
$(FUZZ_TREE)/obj/%.o: %.cpp
	$(call say,FUZZ,$<)
	@mkdir -p $(@D)
	$(Q)$(CLANGXX) $(FUZZ_FLAGS) $(LEVEL) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@
$(FUZZ_TREE)/libhrm.a: $(call fuzz_objects,$(FUZZ_SRC))
	$(Q)rm -f $@; ar rcs $@ $^
$(FUZZERS): $(FUZZ_TREE)/%: $(FUZZ_TREE)/obj/tests/fuzz/%.o $(FUZZ_TREE)/libhrm.a
	$(call say,LINK,$@)
	$(Q)$(CLANGXX) $(FUZZ_FLAGS) -fsanitize=fuzzer $^ $(LDLIBS) -o $@
fuzz-run: $(FUZZERS)
	@bash tests/fuzz/run.sh time $(FUZZ_SECONDS) $(FUZZERS)
fuzz-check-run: $(FUZZERS)
	@bash tests/fuzz/run.sh examples 0 $(FUZZERS)
fuzz-coverage-run: $(FUZZERS)
	@bash tests/fuzz/coverage.sh $(FUZZERS)

# WebAssembly: the library behind its C interface, for pages and for node. Emscripten's headers do not
# see those of the system, and include/ leads to the libraries that are nothing but headers.
WASM := build/wasm
# Without what the interface never asks for: reports, experiments, processes, ARC's files.
WASM_SRC := $(filter-out %_transport.cpp kernels/cuda/% hrm/view/% hrm/lab/% autograd/gradcheck.cpp nn/distributed/job.cpp \
              $(addprefix hrm/support/,local_server.cpp machine.cpp processes.cpp project_files.cpp shard.cpp stop_signals.cpp) \
              $(addprefix hrm/tasks/,arc_audit.cpp arc_build.cpp arc_files.cpp arc_vote.cpp maze_build.cpp) \
              hrm/eval/rollouts.cpp hrm/train/estimate.cpp hrm/train/run_folder.cpp,$(LIB_SRC)) hrm/lab/bias_meter.cpp
WASM_TEST_SRC := $(addprefix tests/,$(addsuffix .cpp,main support/support support/sha256 test_c_api test_io \
                   test_json test_kernels test_layers test_model test_sudoku test_tensor))
WASM_FLAGS := -std=c++20 -fwasm-exceptions -msimd128 -fno-math-errno -fno-trapping-math -DFMT_HEADER_ONLY \
              -include kernels/wasm/older_library.h -isystem kernels/wasm -isystem $(WASM)/include -I. \
              -Wall -Wextra $(CLANG_FLAGS) -Wno-unknown-pragmas -Wno-defaulted-function-deleted
WASM_LINK := -fwasm-exceptions -O2 -sALLOW_MEMORY_GROWTH=1 -sTOTAL_STACK=1048576 -sFORCE_FILESYSTEM=1
# Emscripten asks node for a module that Debian has where only its own node looks.
EMLINK = NODE_PATH=/usr/share/nodejs:$$NODE_PATH $(EMXX)
wasm_objects = $(patsubst %.cpp,$(WASM)/obj/%.o,$(1))
$(if $(filter wasm wasm-tests,$(MAKECMDGOALS)),$(call stamp,$(WASM)/flags,$(EMXX) $(WASM_FLAGS) $(WASM_LINK)))

wasm: $(WASM)/hrm.js  ## build/wasm/hrm.js: the library behind hrm/c_api.h for pages and node (needs Emscripten)
wasm-tests: $(WASM)/tests/unit.js $(WASM)/tests/trace.js
$(WASM)/include:
	$(Q)mkdir -p $@
	$(Q)for header in nlohmann/json.hpp fmt/core.h doctest/doctest.h eigen3/Eigen/Dense; do \
	  found=$$(echo "#include <$$header>" | $(CXX) -std=c++20 -M -x c++ - | tr ' ' '\n' | grep "$$header\$$"); \
	  [ -n "$$found" ] || { rm -rf $@; exit 1; }; \
	  ln -sfn "$${found%/$$header}/$${header%%/*}" $@/ || exit 1; done
$(WASM)/obj/%.o: LEVEL = -O1
$(WASM)/obj/kernels/cpu/%.o: LEVEL = -O3 -DHRM_CPU=cpu_native
$(WASM)/obj/%.o: %.cpp $(WASM)/flags | $(WASM)/include
	$(call say,WASM,$<)
	@mkdir -p $(@D)
	$(Q)$(EMXX) $(WASM_FLAGS) $(if $(WERROR),-Werror) $(LEVEL) -MMD -MP -c $< -o $@
$(WASM)/libhrm.a: $(call wasm_objects,$(WASM_SRC))
	$(Q)rm -f $@; emar rcs $@ $^
$(WASM)/hrm.js: $(WASM)/libhrm.a hrm/c_api.h
	$(call say,LINK,$@)
	$(Q)$(EMLINK) $(WASM_LINK) $< -o $@ -sMODULARIZE=1 -sEXPORT_NAME=createHrm -sENVIRONMENT=web,worker,node \
	  -sEXPORTED_FUNCTIONS=_malloc,_free$$(grep -o '\bhrm_[a-z_]*(' hrm/c_api.h | sort -u | tr -d '(\n' | sed 's/hrm_/,_hrm_/g') \
	  -sEXPORTED_RUNTIME_METHODS=FS,UTF8ToString
$(WASM)/tests/unit.js: $(call wasm_objects,$(WASM_TEST_SRC)) $(WASM)/libhrm.a
$(WASM)/tests/trace.js: $(call wasm_objects,tests/wasm/trace.cpp) $(WASM)/libhrm.a
$(WASM)/tests/%.js: tests/wasm/before.js
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(EMLINK) $(WASM_LINK) --pre-js tests/wasm/before.js $(filter %.o %.a,$^) -o $@ -sENVIRONMENT=node -sNODERAWFS=1 -sEXIT_RUNTIME=1

-include $(patsubst %.o,%.d,$(call wasm_objects,$(WASM_SRC) $(WASM_TEST_SRC) tests/wasm/trace.cpp))
-include $(wildcard $(BUILD)/precompiled/*.d $(HEADER_EXAMPLES)/*.d $(BUILD)/obj/kernels/*/*.d) $(patsubst %.o,%.d,$(call objects,$(LIB_SRC) $(CU_SRC) $(CLI_SRC) $(TEST_SRC) $(TEST_CU_SRC) $(PARITY_SRC) $(RANKS_SRC) $(HOST_SIDE_SRC) \
  tests/wasm/trace.cpp $(TORTURE_SRC) $(EXAMPLE_SRC) $(COURSE_SRC) $(wildcard examples/*.cpp bench/*.cpp bench/gpu/*.cpp bench/ranks/*.cpp bench/ladder/*.cpp)) $(call fuzz_objects,$(FUZZ_SRC) $(wildcard tests/fuzz/*.cpp)))
