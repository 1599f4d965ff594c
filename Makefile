# hrm.cpp. `make run` trains a first model, `make test` runs every check; `make help` lists the rest.

# Options -----------------------------------------------------------------------------------------
CUDA ?= 0#             0: CPU only (the CUDA backend is not part of this version)
ARCH ?= native#        value of -march: native, x86-64, x86-64-v3, ...
PRESET ?= sudoku4#     what `make run` trains
DEBUG ?=#              1: -O0 -g
SAN ?=#                address or thread: instrumented build in a tree of its own
FUZZ_SECONDS ?= 5#     of each fuzz target
PREFIX ?= /usr/local
V ?=#                  1: full command lines
CXX := $(if $(filter default undefined,$(origin CXX)),g++,$(CXX))

ifneq ($(CUDA),0)
  $(error CUDA=$(CUDA): this version has only the CPU backend; build without CUDA=)
endif
ifneq ($(filter-out address thread,$(SAN)),)
  $(error SAN=$(SAN): must be address or thread)
endif
ifeq ($(filter -j%,$(MAKEFLAGS)),)
  MAKEFLAGS += -j$(shell nproc)
endif
MAKEFLAGS += --no-print-directory

# A build tree for each flavour.
BUILD := build/cpu$(if $(SAN),-$(SAN))$(if $(DEBUG),-debug)
# g++'s thread sanitizer does not know OpenMP's barriers; clang with libomp does.
ifeq ($(SAN),thread)
  CXX := clang++
endif

REFERENCE_DIR ?= ../shared/reference
DATA_DIR ?= ../shared/data
export REFERENCE_DIR DATA_DIR

# Flags -------------------------------------------------------------------------------------------
# No -ffast-math: a NaN must stay a NaN. The two -fno- flags only drop errno and traps.
WARN := -Wall -Wextra -Werror
CXXFLAGS := -std=c++20 -march=$(ARCH) -fopenmp -fno-math-errno -fno-trapping-math -I. $(WARN)
LDFLAGS := -fopenmp
KERNEL_OPT := -O3
OPT := -O2
CLI_OPT := -O1
ifdef DEBUG
  KERNEL_OPT := -O0 -g
  OPT := -O0 -g
  CLI_OPT := -O0 -g
endif
ifeq ($(SAN),address)
  CXXFLAGS += -fsanitize=address,undefined -fno-sanitize-recover=all -g1
  LDFLAGS += -fsanitize=address,undefined
  OPT := -O1
  CLI_OPT := -O1
endif
ifeq ($(SAN),thread)
  CXXFLAGS += -fsanitize=thread -g1
  LDFLAGS += -fsanitize=thread
  OPT := -O1
  CLI_OPT := -O1
endif

# Sources -----------------------------------------------------------------------------------------
LIB_SRC := $(wildcard kernels/cpu/*.cpp tensor/*.cpp autograd/*.cpp autograd/ops/*.cpp \
                      nn/*.cpp nn/optim/*.cpp hrm/*.cpp hrm/data/*.cpp)
CLI_SRC := $(wildcard hrm/cli/*.cpp)
TEST_SRC := $(wildcard tests/test_*.cpp tests/support/*.cpp) tests/main.cpp
HEADERS := $(wildcard kernels/*.h tensor/*.h autograd/*.h autograd/ops/*.h nn/*.h nn/optim/*.h \
                      hrm/*.h hrm/data/*.h)
FORMATTED := $(shell git ls-files '*.h' '*.cpp' 2>/dev/null)

objects = $(patsubst %.cpp,$(BUILD)/obj/%.o,$(1))
LIB := $(BUILD)/libhrm.a
HRM := $(BUILD)/hrm
UNIT := $(BUILD)/tests/unit
PARITY := $(BUILD)/tests/parity
EXAMPLES := $(patsubst examples/%.cpp,$(BUILD)/examples/%,$(wildcard examples/*.cpp))
BENCHES := $(patsubst bench/%.cpp,$(BUILD)/bench/%,$(wildcard bench/*.cpp))
FUZZERS := $(patsubst tests/fuzz/%.cpp,build/fuzz/%,$(wildcard tests/fuzz/*.cpp))

Q := $(if $(V),,@)
say = @printf '  %-6s %s\n' $(1) $(2)

.PHONY: all hrm run test unit parity bench examples gradcheck sanitize fuzz install format \
        format-check loc check-deps print-config clean help deps
.DEFAULT_GOAL := all

all: hrm
hrm: $(HRM) | print-config

# Main targets ------------------------------------------------------------------------------------
run: deps  ## install what is missing, build, train the demo model (PRESET=sudoku4|sudoku6)
	@$(MAKE) hrm
	$(HRM) demo --preset $(PRESET) $(ARGS)

test: deps  ## build everything and run all tests
	@$(MAKE) hrm unit parity examples bench-build
	@bash tests/run.sh $(BUILD)

unit: $(UNIT)
parity: $(PARITY)
examples: $(EXAMPLES)  ## build the programs of examples/
bench-build: $(BENCHES)

bench: bench-build  ## measure kernels and training steps
	@for b in $(BENCHES); do echo "== $$b"; $$b || exit 1; done

gradcheck: $(UNIT)  ## only the finite-difference checks
	$(UNIT) --test-case='*gradcheck*'

sanitize: deps  ## unit tests under address+undefined (g++) and thread (clang) sanitizers
	@bash tests/sanitize.sh

fuzz: $(FUZZERS)  ## every parser for FUZZ_SECONDS
	@for f in $(FUZZERS); do echo "== $$f"; \
	  $$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=4096 -verbosity=0 -print_final_stats=1 \
	    2>&1 | grep -E 'stat::number_of_executed|ERROR|SUMMARY' ; \
	  test $${PIPESTATUS[0]} -eq 0 || exit 1; done
fuzz: SHELL := bash

install: hrm  ## binary, library, headers and a pkg-config file under PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 755 $(HRM) $(DESTDIR)$(PREFIX)/bin/hrm
	install -m 644 $(LIB) $(DESTDIR)$(PREFIX)/lib/libhrm.a
	@for h in $(HEADERS); do \
	  install -D -m 644 $$h $(DESTDIR)$(PREFIX)/include/hrm.cpp/$$h || exit 1; done
	@printf '%s\n' 'prefix=$(PREFIX)' 'Name: hrm' \
	  'Description: tensors, autograd and the Hierarchical Reasoning Model in C++20' \
	  'Version: 0.1.0' 'Cflags: -std=c++20 -fopenmp -I$${prefix}/include/hrm.cpp' \
	  'Libs: -L$${prefix}/lib -lhrm -fopenmp' > $(DESTDIR)$(PREFIX)/lib/pkgconfig/hrm.pc

format:  ## clang-format every source
	clang-format -i $(FORMATTED)
format-check:
	@if command -v clang-format >/dev/null; then clang-format --dry-run -Werror $(FORMATTED); \
	else echo 'format-check: clang-format is not installed, nothing checked'; fi
loc:  ## lines by folder against the budget
	@bash .ci/loc
check-deps:  ## includes that run against kernels <- tensor <- autograd <- nn <- hrm
	@bash .ci/check_deps
deps:
	@bash .ci/deps
clean:
	rm -rf build
help:  ## this list
	@awk -F'## ' '/^[a-z-]+:.*## /{split($$1,t,":"); printf "  make %-12s %s\n", t[1], $$2}' Makefile
	@echo '  options: ARCH=native PRESET=sudoku4 DEBUG=1 SAN=address|thread V=1 PREFIX=/usr/local'

print-config:  ## compiler, instruction set and features of this build
	@printf 'hrm.cpp  %s  ISA %s  OpenMP %s  CUDA no  -march=%s  %s\n' \
	  "$$($(CXX) --version | head -1)" \
	  "$$($(CXX) -march=$(ARCH) -dM -E -x c++ /dev/null | awk '/__AVX512BF16__/{b=1} /__AVX512F__/{z=1} /__AVX2__/{y=1} END{print z?"AVX-512" (b?"+BF16":""):y?"AVX2":"SSE2"}')" \
	  "$$(echo | $(CXX) -fopenmp -dM -E -x c++ - | awk '/_OPENMP/{print $$3}')" \
	  "$(ARCH)" "$(BUILD)"

# Rules -------------------------------------------------------------------------------------------
# Recompile when the flags change.
STAMP := $(BUILD)/flags
SIGNATURE := $(CXX) $(CXXFLAGS) $(KERNEL_OPT) $(OPT) $(CLI_OPT)
$(shell mkdir -p $(BUILD); echo '$(SIGNATURE)' | cmp -s - $(STAMP) || echo '$(SIGNATURE)' > $(STAMP))

$(BUILD)/obj/kernels/%.o: LEVEL = $(KERNEL_OPT)
$(BUILD)/obj/hrm/cli/%.o $(BUILD)/obj/hrm/config.o $(BUILD)/obj/tests/%.o: LEVEL = $(CLI_OPT)
LEVEL = $(OPT)

$(BUILD)/obj/%.o: %.cpp $(STAMP)
	$(call say,CXX,$<)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(CXXFLAGS) $(LEVEL) -MMD -MP -c $< -o $@

$(LIB): $(call objects,$(LIB_SRC))
	$(call say,AR,$@)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(HRM): $(call objects,$(CLI_SRC)) $(LIB)
$(UNIT): $(call objects,$(TEST_SRC)) $(LIB)
$(PARITY): $(call objects,tests/parity.cpp) $(LIB)
$(BUILD)/examples/%: $(BUILD)/obj/examples/%.o $(LIB)
$(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(LIB)
$(HRM) $(UNIT) $(PARITY) $(EXAMPLES) $(BENCHES):
	$(call say,LINK,$@)
	@mkdir -p $(@D)
	$(Q)$(CXX) $^ $(LDFLAGS) -o $@

# Fuzz targets bring their own flavour of everything they touch.
build/fuzz/%: tests/fuzz/%.cpp $(LIB_SRC) $(HEADERS)
	$(call say,FUZZ,$@)
	@mkdir -p $(@D)
	$(Q)clang++ -std=c++20 -O1 -g1 -I. -fopenmp -fsanitize=fuzzer,address $< \
	  $(filter-out hrm/trainer.cpp hrm/estimate.cpp,$(LIB_SRC)) -o $@

-include $(patsubst %.o,%.d,$(call objects,$(LIB_SRC) $(CLI_SRC) $(TEST_SRC) tests/parity.cpp \
  $(wildcard examples/*.cpp bench/*.cpp)))
.SECONDARY:
