// Several ranks in one process, a thread each, for tests of nn/distributed and of what is built on
// it.
//
//     run_ranks(3, [](Communicator ranks) { CHECK(ranks.gather("x").size() == 3); });
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nn/distributed/communicator.h"

namespace hrm::test {

// in_turn: a rank goes on until it has to wait for others, as long as ranks share a device that
// takes work from one thread at a time (the emulation of a GPU).
enum class Turns { at_once, in_turn };

// Runs `work` on so many ranks and waits for all. What a rank throws, it also tells the others, as
// a program does; each rank computes with one thread. Returns what each of them threw ("":
// nothing). CHECK may be used in `work`; REQUIRE may not.
std::vector<std::string> run_ranks(int size, const std::function<void(Communicator)>& work,
                                   double deadline = 20, Turns turns = Turns::at_once,
                                   const Communicator::ConnectGpus& connect_gpus = {});

}  // namespace hrm::test
