// The program as a whole: its commands, and what is said of a command line that makes no sense.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "hrm/cli/command.h"

namespace hrm {

// The command line makes no sense; what() is one line that says why.
class UsageError : public Error {
 public:
  using Error::Error;
};

class Program {
 public:
  // `title` stands above the help, `footer` below that of every command.
  Program(const std::string& title, const std::string& version, const std::string& footer);
  ~Program();

  Command root() const;
  // Reads the words of a command line, without the program's own name, and does what it asks for;
  // prints help or the version. Throws UsageError, and what the command throws.
  void run(const std::vector<std::string>& words);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace hrm
